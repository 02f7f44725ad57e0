#!/bin/sh
# A detector from annotated photographs, trained at SageMaker on spot instances. With NAME=PATH a checkpoint is its start.
#
# Command: sh examples/detector-at-sagemaker.sh [OPTION...]   photos.zip and trainbox.toml (trainbox init) in the working folder
# Cost:    up to 0.07 USD estimated for 292 pictures in eu-west-1, by a price of December 2023; not measured at AWS.
#          Never more than --max-cost. --refresh-prices asks AWS what it costs now; --dry-run says it and asks for nothing else.
# Score:   BCCD from the pre-trained checkpoint (checkpoint=ssdlite.tar.gz), 300 px: mAP50 .859, mAP .550 on its test pictures
#          (benchmarks/RESULTS.md). Without a checkpoint not measured.
set -eu
exec trainbox train detect photos.zip -p epochs=40 --on sagemaker --instance-type ml.m5.xlarge --spot --max-cost 0.50 \
    --out detector "$@"
