#!/bin/sh
# The hyperparameters of a pilot searched on this machine; interrupted with ctrl-C, it goes on with --resume.
#
# Command: sh examples/pilot-tuned.sh [OPTION...]             tub.zip in the working folder; pip install 'trainbox[train,tune]'
# Cost:    your electricity: 12 trainings. One of 5,854 records took 323 s on two cores (benchmarks/RESULTS.md).
# Score:   what a search gains was not measured. Settings tried by hand lie between steering R2 .40 and .44 (benchmarks/RESULTS.md).
set -eu
exec trainbox tune drive tub.zip --over learning_rate --over smooth_steering=0:3 --over augment=false,mirror \
    --trials 12 --out pilot-search "$@"
