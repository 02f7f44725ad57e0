"""Models that donkeycar's own training wrote give their arrays to our networks, which then answer the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cars.frames import Drive
from trainbox.export import keras_native
from trainbox.export.arrays import assign, fitting, load_arrays
from trainbox.tasks.drive import pilots

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

PILOTS = ["linear", "categorical", "inferred", "memory"]


@pytest.mark.parametrize("car_name", ["5.3", "5.4"])
def test_a_donkeycar_model_transfers(car_name: str, car: Any, drive: Drive, frames: Path, tmp_path: Path) -> None:
    trained = car(car_name).run("train_pilots.py", {"frames": frames, "folder": tmp_path, "pilots": PILOTS})
    for pilot in PILOTS:
        network = pilots.build(pilot)
        arrays = load_arrays(Path(trained[pilot]["file"]))
        assert set(assign(network, arrays)) == set(arrays) == set(fitting(network, arrays))
        answers = keras_native.answers(network, _inputs(drive, trained[pilot]["others"]))
        for i, wanted in enumerate(answers.values()):
            raw = np.array([frame[i] for frame in trained[pilot]["raw"]])
            np.testing.assert_allclose(raw.reshape(wanted.shape), wanted, atol=1e-4)


def _inputs(drive: Drive, others: dict[str, list[float]]) -> dict[str, np.ndarray]:
    frames = (drive.held_out() / 255).astype(np.float32)
    return {"img_in": frames, **{name: np.float32([row] * len(frames)) for name, row in others.items()}}
