"""``evaluate`` and ``export`` on a bundle that the conformance suite trained."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from opt_ml import Trained
from trainbox import cli


@pytest.fixture
def bundle(trained: Callable[[str], Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished bundle of the task drive, and a working folder that is empty."""
    monkeypatch.chdir(tmp_path)
    return trained("drive").folder.model


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--to", "caffe"], "Unknown format 'caffe'. Available: tflite, "),
        (["--to", "tflite-int8"], "needs data"),
        (["--to", "h5", "--out", "taken"], "taken exists already."),
        (["--to", "h5", "--out", "folder", "--overwrite"], "folder is no such model, so it is not replaced."),
        (["--to", "saved-model", "--out", "folder", "--overwrite"], "folder is no such model"),
    ],
)
def test_refused(bundle: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").write_text("mine")
    Path("folder").mkdir()
    Path("folder/thesis.txt").write_text("mine")
    assert cli.run(["export", str(bundle), *arguments]) == 2
    assert Path("folder/thesis.txt").read_text() == "mine"
    assert says in capsys.readouterr().err
    assert Path("taken").read_text() == "mine"


def test_exported_again_a_file_is_the_same(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["export", str(bundle), "--to", "tflite", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["file"] == "model.tflite"
    assert said["proof"]["largest_difference"] < 1e-3
    again, first = (
        hashlib.sha256(path.read_bytes()).digest() for path in (Path("model.tflite"), bundle / "model.tflite")
    )
    assert again == first


def test_any_tasks_model_is_exported_to_onnx(
    task_name: str,
    trained: Callable[[str], Trained],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ending as the bundle's own files do: in answers or in detections."""
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    monkeypatch.chdir(tmp_path)
    model = trained(task_name).folder.model
    assert cli.run(["export", str(model), "--to", "onnx", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["file"] == "model.onnx" and Path("model.onnx").stat().st_size > 100_000
    assert said["proof"]["runtime"].startswith("onnxruntime ")
    assert said["proof"]["largest_difference"] < 1e-3
    own = json.loads((model / "manifest.json").read_text())["models"]["model.tflite"]
    assert said["outputs"] == own["outputs"]


def test_int8_is_scaled_by_the_data_it_is_given(
    bundle: Path, trained: Callable[[str], Trained], capsys: pytest.CaptureFixture[str]
) -> None:
    data = trained("drive").data
    assert cli.run(["export", str(bundle), "--to", "tflite-int8", "--data", str(data), "--out", "small.tflite"]) == 0
    assert capsys.readouterr().out.startswith("Wrote small.tflite, proved: ")
    assert Path("small.tflite").stat().st_size < (bundle / "model.tflite").stat().st_size / 2


def test_evaluate_prints_a_column_per_file(
    bundle: Path, trained: Callable[[str], Trained], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["evaluate", str(bundle), str(trained("drive").data), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert {"model.keras", "model.tflite"} <= set(scores)
