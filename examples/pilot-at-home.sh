#!/bin/sh
# A pilot for a Donkeycar from zipped tubs, trained on this machine, as the robocars image had it: commands lag two frames.
#
# Command: sh examples/pilot-at-home.sh [OPTION...]           tub.zip in the working folder; pip install 'trainbox[train]'
# Cost:    your electricity. 5,854 records took 323 s on two cores (benchmarks/RESULTS.md).
# Score:   with with_slide not measured; without it steering R2 .43, throttle R2 .75 on blocks never trained on of
#          tub_v2_yuki (benchmarks/RESULTS.md).
#
# Then, on the car: python manage.py drive --model pilot/model.tflite --type tflite_linear
set -eu
exec trainbox train drive tub.zip -p with_slide=true --checkpoints pilot-checkpoints --out pilot "$@"
