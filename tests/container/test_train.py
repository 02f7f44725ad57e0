"""One training job of the toy task, by the real program, real training and real export, in a process."""

import json
from pathlib import Path

import pytest

from opt_ml import tree_digest


def test_a_proved_bundle_stands_in_the_model_folder(toy_job) -> None:
    before = tree_digest(toy_job.data)
    toy_job.folder.model.mkdir(parents=True)
    (toy_job.folder.model / "stray").write_text("tolerated")
    process = toy_job.run(sagemaker_program="x.py", sagemaker_region='"eu-west-1"')
    assert process.returncode == 0, process.stderr
    manifest = json.loads((toy_job.folder.model / "manifest.json").read_text())
    assert manifest["task"] == "toy"
    assert manifest["hyperparameters"]["epochs"] == 2
    assert manifest["hyperparameters"]["patience"] == 5
    assert manifest["data"]["train_examples"] == 48
    assert manifest["problems"]["skipped"]["line is not numbers"] == {"count": 1, "examples": ["lines.toy: 65"]}
    assert manifest["history"]["stopped"] == "epochs"
    assert manifest["job"]["name"] == "toy-job"
    assert manifest["metrics"]["files"]["model.tflite"] == {"mae": 0.5}
    assert manifest["versions"]["keras"]
    assert set(manifest["models"]) == {"model.keras", "model.tflite"}
    assert (toy_job.folder.model / "report.html").read_text() == "<!doctype html><p>2"
    received = (toy_job.folder.base / "input/config/hyperparameters.json").read_bytes()
    assert (toy_job.folder.model / "hyperparameters.json").read_bytes() == received
    assert (toy_job.folder.model / "stray").read_text() == "tolerated"
    assert "train_examples=48; validation_examples=16;" in process.stdout
    assert "Skipped: line is not numbers (1, first: lines.toy: 65)" in process.stdout
    assert "not used here: sagemaker_program, sagemaker_region." in process.stdout
    assert "val_loss=" in process.stdout
    assert "Scored model.keras, model.tflite." in process.stdout
    assert any((toy_job.folder.base / "output/data/tensorboard").rglob("events*"))
    assert not toy_job.folder.failure
    assert not list(toy_job.scratch.iterdir())
    assert tree_digest(toy_job.data) == before


def test_a_batch_larger_than_the_data_is_refused(toy_job) -> None:
    process = toy_job.run(batch_size="49")
    assert process.returncode == 2
    line = (
        "Hyperparameter 'batch_size' is larger than the data: 49 > 48 training examples. Use at most 48, or more data."
    )
    assert process.stderr.strip() == line
    assert toy_job.folder.failure == line


def test_a_failure_has_its_cause_first_and_its_traceback_in_the_log(toy_job) -> None:
    process = toy_job.run(fail_in="reading")
    assert process.returncode == 1
    assert toy_job.folder.failure == "ZeroDivisionError: the toy failed in reading"
    assert process.stderr.splitlines()[-1] == toy_job.folder.failure
    assert process.stderr.startswith("Traceback")
    assert not list(toy_job.folder.model.iterdir())
    assert not list(toy_job.scratch.iterdir())


@pytest.mark.slow
def test_a_report_that_fails_costs_no_model(toy_job) -> None:
    process = toy_job.run(fail_in="report")
    assert process.returncode == 0, process.stderr
    assert "Warning: the report could not be made (ZeroDivisionError)" in process.stdout
    assert "Traceback" in process.stderr
    assert (toy_job.folder.model / "manifest.json").exists()
    assert not (toy_job.folder.model / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["deployables", "scores"])
def test_a_failure_after_training_leaves_the_model_folder_as_it_was(toy_job, stage: str) -> None:
    toy_job.folder.model.mkdir(parents=True)
    (toy_job.folder.model / "stray").write_text("stays")
    process = toy_job.run(fail_in=stage)
    assert process.returncode == 1
    assert toy_job.folder.failure == f"ZeroDivisionError: the toy failed in {stage}"
    assert [path.name for path in toy_job.folder.model.iterdir()] == ["stray"]


def test_a_task_may_train_on_for_a_file_with_checkpoints_of_its_own(toy_job) -> None:
    (toy_job.folder.base / "checkpoints").mkdir(parents=True)
    process = toy_job.run(adapt="true")
    assert process.returncode == 0, process.stderr
    manifest = json.loads((toy_job.folder.model / "manifest.json").read_text())
    assert manifest["adaptation"] == {"epochs": 1, "stopped": "epochs"}
    assert len(manifest["history"]["epochs"]) == 2
    assert list((toy_job.folder.base / "checkpoints/again").glob("*.npz"))


@pytest.mark.slow
def test_checkpoints_lie_where_the_job_says_and_resume_it(toy_job) -> None:
    toy_job.folder.prepare({"train": toy_job.data}, {"epochs": "2"})
    config = toy_job.folder.base / "input/config/checkpointconfig.json"
    config.write_text('{"LocalPath": "/opt/ml/checkpoints"}')
    assert toy_job.run().returncode == 0
    assert any((toy_job.folder.base / "checkpoints").iterdir())
    again = toy_job.run()
    assert again.returncode == 0, again.stderr
    manifest = json.loads((toy_job.folder.model / "manifest.json").read_text())
    assert manifest["history"]["resumed_from"] == 12


def test_without_the_training_packages_it_says_what_to_install(toy_job, tmp_path: Path) -> None:
    # A package that cannot be found, as on a desk: the finder before all others knows it and says no.
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk/sitecustomize.py").write_text("import sys\nsys.modules['tensorflow'] = None\n")
    toy_job.environment["PYTHONPATH"] = f"{tmp_path / 'desk'}:{toy_job.environment['PYTHONPATH']}"
    process = toy_job.run()
    assert process.returncode == 2
    line = "This needs packages that are not installed: tensorflow. Run: pip install 'trainbox[train]'"
    assert process.stderr.strip() == line
    assert toy_job.folder.failure == line
