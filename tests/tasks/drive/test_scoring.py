import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from trainbox.data.problems import Problems
from trainbox.tasks.drive import task
from trainbox.tasks.drive.config import DriveConfig
from trainbox.tasks.drive.datasets import read_examples
from trainbox.tasks.drive.examples import DriveExamples
from trainbox.tasks.drive.scoring import score

MEANS = {"angle": 0.0, "throttle": 0.3}


class Seeing:
    """Steers by the brightness of the picture: what the tub below was driven by."""

    runtime = "test"

    def __init__(self, off_by: float = 0.0) -> None:
        self.off_by = off_by

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        angle = inputs["img_in"].mean(axis=(1, 2, 3))[:, None] * 2 - 1 + self.off_by
        return {"output_0": angle, "output_1": np.full_like(angle, 0.3)}


class Blind(Seeing):
    """Steers the same always."""

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        angle = np.zeros((len(inputs["img_in"]), 1))
        return {"output_0": angle, "output_1": angle + 0.3}


@pytest.fixture
def examples(tmp_path: Path) -> DriveExamples:
    """A tub of grey pictures, steered to the right the brighter they are."""
    from PIL import Image

    folder = tmp_path / "tub"
    folder.mkdir()
    (folder / "meta.json").write_text('{"inputs": ["cam/image_array"], "types": ["image_array"]}')
    for number, grey in enumerate(range(20, 240, 2), start=1):
        name = f"{number}_cam-image_array_.jpg"
        Image.new("RGB", (160, 120), (grey, grey, grey)).save(folder / name)
        record = {"user/angle": grey / 127.5 - 1, "user/throttle": 0.3, "user/mode": "user", "cam/image_array": name}
        (folder / f"record_{number}.json").write_text(json.dumps(record))
    return read_examples(DriveConfig(), [folder], tmp_path / "scratch", Problems())


def test_a_pilot_that_looks_is_scored_as_one(examples: DriveExamples) -> None:
    result = score({"model.tflite": Seeing()}, examples, MEANS, seed=0)
    scores = result["files"]["model.tflite"]
    assert scores["frames"] == 110
    assert scores["angle_r2"] > 0.999
    assert scores["angle_within"] == 1
    assert result["shuffled"]["angle_rmse"] > 0.5
    assert result["warnings"] == []
    assert result["int8"] is None


def test_a_blind_pilot_is_warned_of(examples: DriveExamples) -> None:
    result = score({"model.tflite": Blind()}, examples, MEANS, seed=0)
    assert result["files"]["model.tflite"]["angle_gain"] == pytest.approx(0, abs=1e-6)
    assert "does not look at the track" in result["warnings"][0]


def test_the_gap_of_int8_is_in_commands(examples: DriveExamples) -> None:
    models = {"model.keras": Seeing(), "model.tflite": Seeing(), "model_quantized.tflite": Seeing(off_by=0.02)}
    result = score(models, examples, MEANS, seed=0)
    assert result["scored_file"] == "model.tflite"
    assert result["int8"]["angle_mean"] == pytest.approx(0.02, abs=1e-6)
    assert result["int8"]["angle_most"] == pytest.approx(0.02, abs=1e-6)
    assert result["int8"]["throttle_most"] == 0


def test_result_is_json_and_its_frames_are_aligned(examples: DriveExamples) -> None:
    result = json.loads(json.dumps(score({"model.tflite": Seeing()}, examples, MEANS, seed=0), default=float))
    assert {len(column) for column in result["frames"].values()} == {110}
    assert result["frames"]["driven_angle"] == pytest.approx(result["frames"]["predicted_angle"], abs=0.01)


def test_predictor_answers_a_picture(trained: Callable) -> None:
    from trainbox.export.bundle import Bundle

    finished = trained("drive")
    picture = next(path for path in sorted(finished.data.rglob("[0-9]*.jpg")) if path.stat().st_size)
    answer = task.predictor(Bundle.open(finished.folder.model)).predict(picture.read_bytes())
    assert set(answer) == {"angle", "throttle"}
    assert all(np.isfinite(list(answer.values())))
