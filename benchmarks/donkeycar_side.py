"""Runs in donkeycar's own Python: trains its pilot as ``donkey train`` does, or answers for records with a model file.

The first argument names a JSON file: {"do": "train", "tub", "model", "train": [image names], "validation": [...],
"epochs"} or {"do": "answer", "tub", "models": [files], "images": [...], "answers": file to write}.
"""

import json
import sys
from pathlib import Path


def main():
    """Do what is asked for."""
    request = json.loads(Path(sys.argv[1]).read_text())
    {"train": train, "answer": answer}[request["do"]](request)


def configuration(folder):
    """Its defaults, but a line an epoch instead of a moving bar, and no window with a plot."""
    import donkeycar

    config = donkeycar.load_config(str(Path(donkeycar.__file__).parent / "templates" / "cfg_complete.py"))
    config.MODELS_PATH = folder
    config.VERBOSE_TRAIN = 2
    config.SHOW_PLOT = False
    config.PRINT_MODEL_SUMMARY = False
    return config


def train(request):
    """Its own ``train``, whose one random choice, which records validate, is made for it."""
    from donkeycar.pipeline import training

    def chosen(records, shuffle=True, test_size=0.2):
        by_name = {record.underlying["cam/image_array"]: record for record in records}
        return tuple([by_name[name] for name in request[part]] for part in ("train", "validation"))

    training.train_test_split = chosen
    config = configuration(str(Path(request["model"]).parent))
    config.MAX_EPOCHS = request["epochs"]
    training.train(config, request["tub"], model=request["model"], model_type="linear")


def answer(request):
    """Load each file with its own pilot and ask for all images: (angle, throttle) each."""
    import numpy as np
    from donkeycar.pipeline.types import TubDataset
    from donkeycar.utils import get_model_by_type, normalize_image

    config = configuration(str(Path(request["answers"]).parent))
    dataset = TubDataset(config=config, tub_paths=[request["tub"]])
    by_name = {record.underlying["cam/image_array"]: record for record in dataset.get_records()}
    frames = [by_name[name].image() for name in request["images"]]
    answers = []
    for model in request["models"]:
        pilot = get_model_by_type("linear", config)
        pilot.load(model)
        parts = []
        for start in range(0, len(frames), 128):
            pixels = np.stack([normalize_image(frame) for frame in frames[start : start + 128]]).astype("float32")
            parts.append(np.concatenate(pilot.interpreter.model.predict(pixels, verbose=0), axis=1))
        answers.append(np.concatenate(parts).tolist())
    Path(request["answers"]).write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
