#!/bin/sh
# A pilot for a Donkeycar from zipped tubs, trained at SageMaker on spot instances.
#
# Command: sh examples/pilot-at-sagemaker.sh [OPTION...]      tub.zip and trainbox.toml (trainbox init) in the working folder
# Cost:    up to 0.06 USD estimated for 5,854 records in eu-west-1, by a price of December 2023; not measured at AWS.
#          Never more than --max-cost. --refresh-prices asks AWS what it costs now; --dry-run says it and asks for nothing else.
# Score:   steering R2 .43, throttle R2 .75 on blocks never trained on of tub_v2_yuki, 5,854 records (benchmarks/RESULTS.md).
set -eu
exec trainbox train drive tub.zip --on sagemaker --instance-type ml.m5.xlarge --spot --max-cost 0.50 --out pilot "$@"
