"""How the pilot gets onto the car."""

from collections.abc import Mapping
from typing import Any

from trainbox.report.page import Block, Commands, Notice, Prose, Section, Table
from trainbox.tasks.drive.pilots import HEIGHT, KINDS, WIDTH
from trainbox.tasks.drive.scoring import FLOAT_FILE, INT8_FILE

_CAR = "pi@donkeycar.local"
_THROTTLE_RANGE_OF_CARS, _MEMORY_OF_CARS = 0.8, 3


def car_section(manifest: Mapping[str, Any]) -> Section:
    """Return the commands for a car with Donkeycar 5.3 or 5.4, and what its configuration must say."""
    kind, hyperparameters = KINDS[manifest["metrics"]["pilot"]], manifest["hyperparameters"]
    if kind.pixel_range != 1:
        return Section("Put it on the car", [_of_old()], contents="On the car")
    tflite = FLOAT_FILE if INT8_FILE not in manifest["models"] else INT8_FILE
    blocks: list[Block] = [
        Commands("From the model folder, copy the files into the car's application folder", [_copy(manifest)]),
        Commands(
            "On the car: a Pi with Donkeycar 5.3 or 5.4, no TensorFlow needed",
            [
                "cd ~/mycar",
                f"python manage.py drive --model models/{FLOAT_FILE} --type tflite_{kind.name}",
            ],
        ),
    ]
    if tflite == INT8_FILE:
        smaller = f"python manage.py drive --model models/{INT8_FILE} --type tflite_{kind.name}"
        blocks.append(Commands("The same, a quarter of the size and quicker on a small Pi", [smaller]))
    blocks.append(
        Commands(
            "With TensorFlow on the car or a PC (5.3: 2.15, 5.4: 2.19)",
            [f"python manage.py drive --model models/model.h5 --type {kind.name}"],
        )
    )
    blocks.append(Table(("In myconfig.py", "Because"), _settings(kind.name, hyperparameters)))
    blocks.append(
        Prose(
            "Put the car on blocks for the first start, choose 'Local Angle' in its web page so that the pilot steers "
            "while you hold the throttle, and 'Local Pilot' only when it follows the track."
        )
    )
    return Section("Put it on the car", blocks, contents="On the car")


def _copy(manifest: Mapping[str, Any]) -> str:
    files = [name for name in (FLOAT_FILE, INT8_FILE, "model.h5") if name in manifest["models"]]
    return f"scp {' '.join(files)} {_CAR}:mycar/models/"


def _settings(kind: str, hyperparameters: Mapping[str, Any]) -> list[list[str]]:
    rows = [
        [f"IMAGE_W = {WIDTH}\nIMAGE_H = {HEIGHT}\nIMAGE_DEPTH = 3", "the pictures it was trained on"],
        ["TRANSFORMATIONS = []\nPOST_TRANSFORMATIONS = []", "it was trained on whole pictures: no CROP, no TRAPEZE"],
    ]
    if kind == "categorical" and hyperparameters["throttle_range"] != _THROTTLE_RANGE_OF_CARS:
        value = hyperparameters["throttle_range"]
        rows.append([f"MODEL_CATEGORICAL_MAX_THROTTLE_RANGE = {value}", "the hyperparameter throttle_range"])
    if kind == "memory" and hyperparameters["memory_length"] != _MEMORY_OF_CARS:
        rows.append([f"SEQUENCE_LENGTH = {hyperparameters['memory_length']}", "the hyperparameter memory_length"])
    return rows


def _of_old() -> Notice:
    return Notice(
        [
            "This is the network of the original robocars image: its files take pixels of 0 to 255 and are for the "
            "Donkeycar 2 installations that ran it. For Donkeycar 5.3 and 5.4 train with pilot=linear or "
            "pilot=categorical."
        ],
        tone="warning",
    )
