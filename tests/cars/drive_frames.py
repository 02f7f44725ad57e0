"""Runs in a car's own Python: load files with the real pilots, as ``manage.py drive`` does, and drive with frames.

stdin: {"frames": a .npy file, "drives": [{"file", "type"}...]}. The last line of stdout: per drive what went into the
network besides the picture, what came out of it raw, the commands given, or the error. ``type`` is donkeycar's name
of a pilot ("linear", "tflite_memory"...), or "plain" and "plain_tflite" for files of no pilot of this donkeycar.
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
    os.dup2(2, 1)  # donkeycar and its libraries print as they load
    answers = [attempt(drive, frames) for drive in request["drives"]]
    os.write(out, (json.dumps(answers) + "\n").encode())


def attempt(drive, frames):
    try:
        return (plain if drive["type"].startswith("plain") else with_pilot)(drive, frames)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def with_pilot(drive, frames):
    import donkeycar as dk

    template = Path(dk.__file__).parent / "templates" / "cfg_complete.py"
    pilot = dk.utils.get_model_by_type(drive["type"], dk.load_config(str(template)))
    pilot.load(drive["file"])
    others, raw = [], []
    listen(pilot, others, raw)
    commands = [pilot.run(frame) for frame in frames]
    return {"others": others, "raw": raw, "commands": [[float(value) for value in command] for command in commands]}


def listen(pilot, others, raw):
    """Note what passes through the pilot's two methods around the network."""
    ask, read = pilot.inference_from_dict, pilot.interpreter_to_output

    def inference_from_dict(inputs):
        others.append({name: np.asarray(v).ravel().tolist() for name, v in inputs.items() if name != "img_in"})
        return ask(inputs)

    def interpreter_to_output(answers):
        raw.append([np.asarray(answer).ravel().tolist() for answer in answers])
        return read(answers)

    pilot.inference_from_dict, pilot.interpreter_to_output = inference_from_dict, interpreter_to_output


def plain(drive, frames):
    """Feed pixels 0..255, unscaled, one frame at a time."""
    answer = tflite(drive["file"]) if drive["type"] == "plain_tflite" else by_keras(drive["file"])
    raw = [[np.asarray(a).ravel().tolist() for a in answer(frame[None].astype(np.float32))] for frame in frames]
    return {"others": [{}] * len(raw), "raw": raw, "commands": []}


def by_keras(path):
    import tensorflow as tf

    model = tf.keras.models.load_model(path, compile=False)
    return lambda picture: model(picture, training=False)


def tflite(path):
    try:
        from tflite_runtime.interpreter import Interpreter
    except ImportError:
        from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=path)
    runner = interpreter.get_signature_runner("serving_default")
    names = list(interpreter.get_signature_list()["serving_default"]["outputs"])
    keep = interpreter  # the runner does not hold it

    def answer(picture):
        answers = runner(img_in=picture)
        return [answers[name] for name in names] if keep else []

    return answer


if __name__ == "__main__":
    main()
