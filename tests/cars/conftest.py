"""Real cars: each donkeycar in an environment of its own, kept between runs, driving with files of real bundles."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cars.frames import Drive, drive_data
from cars.networks import trained
from environments import Environment, Unavailable, environment

CARS = {
    # What the original's pilots drove on: donkeycar with Keras 2.0.8, here on the newest TensorFlow that carries it.
    "2.2": Environment(
        "3.7",
        ("tensorflow==1.15.*", "h5py<3", "protobuf<3.21", "numpy<1.19", "pillow", "pyyaml", "scipy"),
        alone=("donkeycar==2.2.4", "keras==2.0.8"),
    ),
    "5.3": Environment("3.11", ("donkeycar==5.3.0", "tensorflow-cpu==2.15.*", "tflite-runtime==2.14.0", "numpy<2")),
    "5.4": Environment(
        "3.12",
        ("donkeycar==5.4.0", "tensorflow-cpu==2.19.*", "tf-keras==2.19.*", "ai-edge-litert>=2.1.4", "setuptools<81"),
    ),
    "5.3 Pi": Environment("3.11", ("donkeycar==5.3.0", "tflite-runtime==2.14.0", "numpy<2", "typing-extensions")),
    "5.4 Pi": Environment("3.12", ("donkeycar==5.4.0", "ai-edge-litert==2.1.4", "typing-extensions")),
}
SCRIPTS = Path(__file__).parent


@dataclass(frozen=True)
class Car:
    """A donkeycar that can be asked to do things: each script runs in its environment and answers in JSON."""

    python: Path

    def run(self, script: str, request: Mapping[str, Any], timeout_seconds: float = 400) -> Any:
        done = subprocess.run(
            [self.python, SCRIPTS / script],
            input=json.dumps(request, default=str),
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            env=_environment(),
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])


def _environment() -> dict[str, str]:
    """Our own TensorFlow leaves settings in the environment that mean something else to a car's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "TF2_", "KERAS_"))}
    return {**kept, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="session")
def car() -> Callable[[str], Car]:
    """Return the car of a name, its environment made if need be; skip, saying why, where its Python is missing."""

    def make(name: str) -> Car:
        try:
            return Car(environment(CARS[name]))
        except Unavailable as reason:
            pytest.skip(str(reason))

    return make


@pytest.fixture(scope="session")
def drive() -> Drive:
    return drive_data()


@pytest.fixture(scope="session")
def frames(drive: Drive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames the pilots were not trained on, uint8 (12, 120, 160, 3), as a car hands them over."""
    path = tmp_path_factory.mktemp("frames") / "frames.npy"
    np.save(path, drive.held_out())
    return path


class Bundles(dict[str, Any]):
    """A trained network of each pilot with its bundle, made when first asked for: ``{pilot: (network, Bundle)}``."""

    def __init__(self, drive: Drive, folder: Path) -> None:
        self._drive, self._folder = drive, folder

    def __missing__(self, pilot: str) -> Any:
        self[pilot] = trained(pilot, self._drive, self._folder / pilot)
        return self[pilot]


@pytest.fixture(scope="session")
def bundles(drive: Drive, tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(drive, tmp_path_factory.mktemp("bundles"))
