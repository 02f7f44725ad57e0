#!/bin/sh
# A detector from annotated photographs, trained in Trainbox's image on this machine.
#
# Command: sh examples/detector-at-home.sh [OPTION...]        photos.zip in the working folder; trainbox image build before
# Cost:    your electricity. 880 steps of 16 pictures took 1,239 s on two shared cores (benchmarks/RESULTS.md).
# Score:   BCCD from the pre-trained checkpoint (checkpoint=ssdlite.tar.gz), 300 px: mAP50 .859, mAP .550 on its test pictures
#          (benchmarks/RESULTS.md). Without a checkpoint not measured.
set -eu
exec trainbox train detect photos.zip -p epochs=40 -p quantize=true -p inference_type=QUANTIZED_UINT8 --on docker \
    --out detector "$@"
