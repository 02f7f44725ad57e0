#!/bin/sh
# A finished model as a serverless SageMaker endpoint, tried with a picture before it is said to stand.
#
# Command: sh examples/pilot-deployed.sh [OPTION...]          the folder pilot and trainbox.toml in the working folder
# Cost:    by the millisecond of an answer, nothing while idle; not measured at AWS.
# Score:   that of model.tflite in the folder: the endpoint answers with that very file.
#
# Then:    trainbox predict endpoint:my-pilot frame.jpg
# At last: trainbox undeploy my-pilot
set -eu
exec trainbox deploy pilot my-pilot --memory 2048 "$@"
