"""Runs in a car's own Python: train each real pilot for a few steps and save it as donkeycar's training does.

stdin: {"frames": a .npy file, "folder": where the models go, "pilots": [types]}. The last line of stdout: per pilot
the file, what went into the network besides the picture, and what it answers to each frame.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np


def main():
    request = json.load(sys.stdin)
    frames = np.load(request["frames"])
    out = os.dup(1)
    os.dup2(2, 1)
    answers = {name: train(name, frames, request["folder"]) for name in request["pilots"]}
    os.write(out, (json.dumps(answers) + "\n").encode())


def train(name, frames, folder):
    import donkeycar as dk

    template = Path(dk.__file__).parent / "templates" / "cfg_complete.py"
    pilot = dk.utils.get_model_by_type(name, dk.load_config(str(template)))
    path = str(Path(folder) / f"{name}.h5")
    data = dataset(pilot, frames)
    pilot.train(path, data, 3, 4, data, 1, 2, 0)  # as the pipeline does: the best epoch is saved by its checkpoint
    pilot.interpreter.load(path)
    memory = np.linspace(-0.5, 0.5, 6)
    inputs = {"img_in": None, "mem_in": memory} if name == "memory" else {"img_in": None}
    raw = []
    for frame in frames:
        answers = pilot.interpreter.predict_from_dict(dict(inputs, img_in=frame / 255))
        raw.append(
            [np.asarray(answer).ravel().tolist() for answer in (answers if isinstance(answers, list) else [answers])]
        )
    return {"file": path, "others": {"mem_in": memory.tolist()} if name == "memory" else {}, "raw": raw}


def dataset(pilot, frames):
    """Random targets are enough: it is the file that counts."""
    import tensorflow as tf

    random = np.random.default_rng(1)
    inputs = {"img_in": (frames / 255).astype(np.float32)}
    given, wanted = pilot.interpreter.shapes
    if "mem_in" in given:
        inputs["mem_in"] = random.uniform(-1, 1, (len(frames), 6)).astype(np.float32)
    targets = {}
    for name, (_, size) in wanted.items():
        one_hot = np.eye(size, dtype=np.float32)[random.integers(0, size, len(frames))]
        targets[name] = one_hot if size > 1 else random.uniform(0, 1, (len(frames), 1)).astype(np.float32)
    both = inputs, targets if len(targets) > 1 else next(iter(targets.values()))
    return tf.data.Dataset.from_tensor_slices(both).batch(4).repeat()


if __name__ == "__main__":
    main()
