"""Runs in a car's environment: read a tub as donkeycar does, then go on recording into it. JSON in, JSON out."""

import json
import sys

import numpy as np
from donkeycar.parts.tub_v2 import Tub

request = json.loads(sys.stdin.read())
tub = Tub(request["tub"], read_only=True)
answer = {"length": len(tub), "records": list(tub), "inputs": tub.manifest.inputs}
tub.close()

tub = Tub(request["tub"], inputs=tub.manifest.inputs, types=tub.manifest.types)
frame = np.zeros((120, 160, 3), np.uint8)
tub.write_record({"cam/image_array": frame, "user/angle": 0.5, "user/throttle": 0.25, "user/mode": "user"})
tub.close()

tub = Tub(request["tub"], read_only=True)
answer["last"] = list(tub)[-1]
tub.close()
print(json.dumps(answer))
