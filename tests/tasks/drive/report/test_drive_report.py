"""A pilot's report says what the manifest holds, shows frames of its own data, and never trusts a name."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from opt_ml import Trained
from trainbox.tasks.drive.metrics import file_scores
from trainbox.tasks.drive.report import render
from trainbox.tasks.drive.report.driving import APART, Driven, _apart, _galleries, _liveliest, _needle, _stretches

FRAMES = 60


def scores(off: float) -> dict[str, Any]:
    angle = np.linspace(-0.9, 0.9, FRAMES)
    driven = {"angle": angle, "throttle": np.full(FRAMES, 0.3)}
    return file_scores({"angle": angle + off, "throttle": np.full(FRAMES, 0.25)}, driven, {"angle": 0, "throttle": 0.3})


def made_up(pilot: str = "linear") -> dict[str, Any]:
    """A manifest as a training writes it, small."""
    angle = np.linspace(-0.9, 0.9, FRAMES).round(3).tolist()
    proof = {"runtime": "ai-edge-litert 2.1.4", "examples": 32, "largest_difference": 2e-6, "tolerance": 1e-3}
    known = [{"runtime": "donkeycar 5.3 on a Pi", "loads": True, "because": "it knows every operator"}]
    model = {"kind": "tflite", "proof": proof, "loads_on": known}
    return {
        "created": "2026-01-02T03:04:05+00:00",
        "job": {"name": "monday"},
        "versions": {"trainbox": "0.1.0"},
        "hyperparameters": {"pilot": pilot, "throttle_range": 0.8, "memory_length": 3, "epochs": 2, "augment": []},
        "data": {
            "tubs": [{"label": "tub", "version": 2, "records": 400}],
            "records_found": 410,
            "records_used": 360,
            "train_examples": 300,
            "validation_examples": FRAMES,
            "sessions": 2,
            "modes": {"user": 400},
            "validation": "blocks",
            "angle_histogram": list(range(15)),
            "throttle_histogram": list(range(20)),
            "fingerprint": "f00d",
        },
        "problems": {
            "skipped": {"image is empty": {"count": 7, "examples": ["tub/images/3_cam_image_array_.jpg"]}},
            "warnings": {"image resized": {"count": 1, "examples": ["tub/images/9_cam_image_array_.jpg"]}},
        },
        "history": {
            "epochs": [{"loss": 0.3, "val_loss": 0.4, "learning_rate": 1e-3}, {"loss": 0.2, "val_loss": 0.3}],
            "best_epoch": 2,
            "stopped": "epochs",
            "seconds": 12.0,
            "images_per_second": 500.0,
            "resumed_from": None,
        },
        "models": {"model.tflite": model, "model_quantized.tflite": model, "model.h5": model},
        "metrics": {
            "pilot": pilot,
            "scored_file": "model.tflite",
            "files": {"model.tflite": scores(0.05)},
            "baseline": scores(0.5),
            "shuffled": {"angle_rmse": 0.7, "angle_change": 0.5, "gain": 0.9},
            "int8": {"angle_mean": 0.004, "angle_most": 0.03, "throttle_mean": 0.001, "throttle_most": 0.01},
            "frames": {
                "image": [f"tub/images/{number}_cam_image_array_.jpg" for number in range(FRAMES)],
                "driven_angle": angle,
                "driven_throttle": [0.3] * FRAMES,
                "predicted_angle": angle,
                "predicted_throttle": [0.25] * FRAMES,
            },
            "warnings": [],
        },
    }


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<svg.*?</svg>|<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)))


def test_report_says_what_the_manifest_holds(tmp_path: Path) -> None:
    text = text_of(render(tmp_path, made_up(), None))
    for said in (
        "Pilot linear: monday",
        "Trained on 300 frames of 2 sessions, 2 epochs in 12 s",
        "410 records were found and 360 used (88 %)",
        "image is empty 7 tub/images/3_cam_image_array_.jpg",
        "image resized 1",
        "The model is that of epoch 2",
        "python manage.py drive --model models/model.tflite --type tflite_linear",
        "python manage.py drive --model models/model.h5 --type linear",
        "ai-edge-litert 2.1.4",
        "throttle_range 0.8",
        "hard left",
        "Data f00d",
    ):
        assert said in text


def test_warnings_come_first(tmp_path: Path) -> None:
    manifest = made_up()
    manifest["metrics"]["warnings"] = ["The pilot does not look at the track."]
    main = text_of(render(tmp_path, manifest, None).split("<main>")[1])
    assert main.strip().startswith("The pilot does not look at the track.")


def test_random_split_is_called_what_it_is(tmp_path: Path) -> None:
    manifest = made_up()
    manifest["data"]["validation"] = "random"
    assert "flatter" in text_of(render(tmp_path, manifest, None))


@pytest.mark.parametrize(
    ("pilot", "change", "said"),
    [
        ("categorical", {"throttle_range": 0.6}, "MODEL_CATEGORICAL_MAX_THROTTLE_RANGE = 0.6"),
        ("memory", {"memory_length": 5}, "SEQUENCE_LENGTH = 5"),
        ("inferred", {}, "--type tflite_inferred"),
        ("robocars", {}, "pixels of 0 to 255"),
    ],
)
def test_car_is_told_what_this_pilot_needs(pilot: str, change: dict, said: str, tmp_path: Path) -> None:
    manifest = made_up(pilot)
    manifest["hyperparameters"] |= change
    assert said in text_of(render(tmp_path, manifest, None))


def test_cars_as_they_come_need_no_settings_of_their_own(tmp_path: Path) -> None:
    text = text_of(render(tmp_path, made_up("categorical"), None))
    assert "MODEL_CATEGORICAL_MAX_THROTTLE_RANGE" not in text
    assert "SEQUENCE_LENGTH" not in text


def test_names_of_others_are_escaped(tmp_path: Path) -> None:
    manifest = made_up()
    evil = "<img src=x onerror=alert(1)>"
    manifest["job"]["name"] = manifest["data"]["tubs"][0]["label"] = evil
    manifest["problems"]["skipped"] = {evil: {"count": 1, "examples": [evil]}}
    page = render(tmp_path, manifest, None)
    assert "<img" not in page
    assert page.count("&lt;img src=x") >= 4


def test_numbers_that_are_not_defined_are_dashes(tmp_path: Path) -> None:
    manifest = deepcopy(made_up())
    manifest["metrics"]["int8"] = None
    for name in ("angle_r2", "angle_gain", "throttle_r2"):
        manifest["metrics"]["files"]["model.tflite"][name] = None
    manifest["metrics"]["shuffled"]["gain"] = None
    text = text_of(render(tmp_path, manifest, None))
    assert "–" in text
    assert "None" not in text


def test_needles_point_where_the_wheels_go() -> None:
    left, straight, right = (_needle(angle, 160, 120, 1) for angle in (-1.0, 0.0, 3.0))
    assert left.to_x < straight.to_x == straight.from_x < right.to_x
    assert straight.to_y < left.to_y == right.to_y < 120
    assert right.to_x - straight.to_x == pytest.approx(straight.to_x - left.to_x)


def driven(angle: np.ndarray, pilot: np.ndarray, row: np.ndarray) -> Driven:
    images = [f"tub/images/{number}_cam_image_array_.jpg" for number in row]
    return Driven(angle, angle, pilot, pilot, None, row, images)


def test_stretch_has_no_gap_and_most_to_steer() -> None:
    row = np.concatenate([np.arange(0, 100), np.arange(500, 600), np.arange(900, 920)])
    angle = np.where(row >= 500, np.sin(row), 0.0)
    assert _liveliest(driven(angle, angle, row)) == slice(100, 200)


def test_shown_frames_are_the_worst_and_not_neighbours() -> None:
    error = np.zeros(200)
    error[50:60], error[120] = 1.0, 0.5
    chosen = _apart(-error)
    assert chosen[:2] == [50, 120]
    assert min(np.diff(sorted(chosen))) >= APART


def test_stretches_are_whole_and_bounded() -> None:
    assert len(_stretches(500)) == 500
    many = _stretches(20_000)
    assert len(many) == 3000
    assert (np.diff(many) == 1).sum() == 3000 - 10
    assert 0 <= many.min() < many.max() < 20_000


def test_galleries_show_the_frames_they_name() -> None:
    """Each frame is of one grey level, its own, so that a mix-up shows."""
    row = np.arange(100, 140)

    def read(rows: np.ndarray) -> np.ndarray:
        return np.repeat(rows, 120 * 160 * 3).reshape(-1, 120, 160, 3).astype(np.uint8)

    examples = SimpleNamespace(cache=SimpleNamespace(read=read))
    angle = np.linspace(-1, 1, len(row))
    for gallery in _galleries(driven(angle, np.zeros(len(row)), row), examples):  # type: ignore[arg-type]
        assert gallery.pictures
        for picture in gallery.pictures:
            number = int(re.match(r"record (\d+)", picture.caption)[1])
            assert abs(level_of(picture.jpeg) - number) <= 2


def level_of(jpeg: bytes) -> int:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as image:
        return int(np.asarray(image).mean().round())


def test_trained_bundle_has_a_report_of_its_own_data(trained: Callable[[str], Trained]) -> None:
    model = trained("drive").folder.model
    manifest = json.loads((model / "manifest.json").read_text())
    page = (model / "report.html").read_text()
    text = text_of(page)
    assert page.count("data:image/jpeg;base64,") >= 6
    assert all(name in text for name in manifest["hyperparameters"])
    assert all(reason in text for reason in manifest["problems"]["skipped"])
    assert all(name in text for name in manifest["models"])
    assert f"{manifest['data']['records_found']} records were found" in text
    assert len(page) < 1_000_000
