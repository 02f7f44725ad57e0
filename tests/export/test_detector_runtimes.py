"""A detector's files in the runtimes of phones and of older devices, each in an environment of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from environments import Environment, Unavailable, environment
from export import detector
from trainbox.export import runtimes
from trainbox.export.bundle import Bundle, write_bundle
from trainbox.export.detection_ending import OUTPUTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

RUNTIMES = {
    "tflite_runtime": Environment("3.11", ("tflite-runtime==2.14.0", "numpy<2")),
    "mediapipe": Environment("3.11", ("mediapipe==1.2.2",)),
}
FILES = ("model.tflite", "model_dynamic.tflite", "model_quantized.tflite")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("detector")
    return write_bundle(detector.network(), detector.deployables(*FILES), {}, folder / "model")


def found_by(runtime: str, file: Path, pictures: Path) -> Any:
    try:
        python = environment(RUNTIMES[runtime])
    except Unavailable as reason:
        pytest.skip(str(reason))
    done = subprocess.run(
        [python, Path(__file__).parent / "run_detector.py"],
        input=json.dumps({"runtime": runtime, "file": str(file), "pictures": str(pictures)}),
        capture_output=True,
        text=True,
        timeout=300,
        env={name: value for name, value in os.environ.items() if not name.startswith(("TF_", "TF2_", "KERAS_"))},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_finds_what_litert_finds(runtime: str, file: str, files: Bundle, tmp_path: Path) -> None:
    pictures = detector.pictures()
    np.save(tmp_path / "pictures.npy", runtimes.pixels(pictures["image"]))
    received = found_by(runtime, files.file(file), tmp_path / "pictures.npy")
    wanted = runtimes.open_model(files.file(file), trusted=True)(pictures)
    labels = [" ".join(label.split()) for label in detector.LABELS]
    # MediaPipe cuts corner, width and height to whole pixels each, and leaves out boxes outside of the picture; kernels
    # of another version round 8-bit numbers otherwise.
    exact = runtime == "tflite_runtime" and file == "model.tflite"
    box_tolerance = 2.0 if runtime == "mediapipe" else 1e-3 if exact else 0.5
    for picture, detections in enumerate(received):
        boxes, classes, scores, count = (wanted[name][picture] for name in OUTPUTS)
        assert abs(len(detections) - count) <= (0 if exact else 2)
        label, score, corners = detections[0]
        assert label == (labels[int(classes[0])] if runtime == "mediapipe" else classes[0])
        assert score == pytest.approx(scores[0], abs=1e-5 if file == "model.tflite" else 0.02)
        box = boxes[0] * detector.SIZE
        expected = _moved_inside(box) if runtime == "mediapipe" else box
        np.testing.assert_allclose(corners, expected, atol=box_tolerance)


def _moved_inside(box: np.ndarray) -> np.ndarray:
    """Return a box as MediaPipe gives it: what begins outside of the picture begins at its edge, as large as ever."""
    start = np.maximum(box[:2], 0)
    return np.concatenate([start, start + box[2:] - box[:2]])
