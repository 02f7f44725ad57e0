"""Runs in the Python of a Donkeycar 2.2: load a file with its own categorical pilot and drive, as its manage.py did.

stdin: {"frames": a .npy file, "file"}. The last line of stdout: {"raw", "commands"} as of ``drive_frames.py``.
"""

import json
import os
import sys

import numpy as np


def main():
    request = json.load(sys.stdin)
    frames = np.load(request["frames"])
    out = os.dup(1)
    os.dup2(2, 1)
    from donkeycar.parts.keras import KerasCategorical

    pilot = KerasCategorical()
    pilot.load(request["file"])
    raw = [[answer.ravel().tolist() for answer in pilot.model.predict(frame[None])] for frame in frames]
    commands = [[float(value) for value in pilot.run(frame)] for frame in frames]
    os.write(out, (json.dumps({"raw": raw, "commands": commands}) + "\n").encode())


if __name__ == "__main__":
    main()
