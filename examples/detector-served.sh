#!/bin/sh
# A finished model answering over HTTP on a Raspberry Pi or any other machine, with a page to try it at.
#
# Command: sh examples/detector-served.sh [OPTION...]         the folder detector; pip install 'trainbox[serve]'
# Cost:    your electricity. On a Raspberry Pi not measured.
# Score:   that of model_quantized.tflite in the folder: for BCCD at 300 px mAP50 .854 (benchmarks/RESULTS.md).
#
# Then:    trainbox predict http://127.0.0.1:8080 photo.jpg --draw seen
set -eu
exec trainbox serve detector --file model_quantized.tflite "$@"
