"""One conformance suite for all tasks: what any task must do, whatever it learns."""

import hashlib
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from opt_ml import TRAINING_SECONDS, Trained, TrainingFolder, quick, tree_digest
from trainbox.errors import ChannelError, HyperparameterError
from trainbox.tasks import get, recognise

# --- its hyperparameters -------------------------------------------------------------------------


def test_every_hyperparameter_explains_itself(task_name: str) -> None:
    for name, field in get(task_name).config.model_fields.items():
        assert field.description, f"{name} has no description"
        assert not field.is_required(), f"{name} has no default"


def test_unknown_hyperparameter_gets_a_suggestion(task_name: str) -> None:
    with pytest.raises(HyperparameterError, match=r"Unknown hyperparameter 'epoch'\. Did you mean 'epochs'\?"):
        get(task_name).config.parse({"epoch": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", "many"),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", -0.1),
        ("batch_size", 0),
        ("seed", -1),
        ("precision", "float8"),
    ],
)
def test_wrong_hyperparameter_is_refused_by_name(task_name: str, name: str, value: object) -> None:
    with pytest.raises(HyperparameterError) as refusal:
        get(task_name).config.parse({name: value})
    assert f"'{name}'" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_config_survives_json(task_name: str) -> None:
    config = get(task_name).config.parse({"epochs": 3})
    assert type(config).model_validate_json(config.model_dump_json()) == config


# --- its data ------------------------------------------------------------------------------------


def test_its_demo_is_recognised(task_name: str, demo_data: Callable[[str], Path]) -> None:
    assert recognise({"train": demo_data(task_name)}).name == task_name


def test_nothing_is_recognised_in_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to learn from")
    with pytest.raises(ChannelError, match="task cannot be told"):
        recognise({"train": tmp_path})


def test_demo_is_the_same_for_the_same_seed(task_name: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        get(task_name).write_demo(tmp_path / name, seed=3, size=60)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()} for n in "ab")
    assert first == second


def test_check_counts_its_demo(task_name: str, demo_data: Callable[[str], Path]) -> None:
    report = get(task_name).check([demo_data(task_name)])
    assert report.usable > 0
    assert report.problems.skipped > 0, "the demo has the blemishes of real data"
    assert all(tally.examples for tally in report.problems.skips.values())
    json.dumps(report.data)
    json.dumps(report.problems.as_dict())


# --- its bundle ----------------------------------------------------------------------------------


@pytest.fixture
def finished(task_name: str, trained: Callable[[str], Trained]) -> Trained:
    return trained(task_name)


def test_input_is_untouched(finished: Trained) -> None:
    assert tree_digest(finished.data) == finished.digest_before


def test_manifest_records_all_hyperparameters(finished: Trained) -> None:
    recorded = finished.manifest["hyperparameters"]
    assert set(recorded) == set(get(finished.task).config.model_fields)
    assert recorded["epochs"] == 2
    received = json.loads((finished.folder.model / "hyperparameters.json").read_text())
    assert received == quick(finished.task)


def test_every_file_is_listed_and_hashed(finished: Trained) -> None:
    listed = finished.manifest["files"]
    found = {
        str(path.relative_to(finished.folder.model)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in finished.folder.model.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert {name: entry["sha256"] for name, entry in listed.items()} == found


def test_every_model_file_is_proved(finished: Trained) -> None:
    models = finished.manifest["models"]
    assert {"model.keras", "model.tflite", "saved_model"} <= set(models)
    for model in models.values():
        proof = model["proof"]
        assert proof["runtime"]
        assert 0 <= proof["largest_difference"] <= (proof["tolerance"] or np.inf)


def test_manifest_tells_what_was_skipped(finished: Trained) -> None:
    assert finished.manifest["problems"]["skipped"]
    assert finished.manifest["data"]["fingerprint"]
    assert finished.manifest["versions"]["trainbox"]


def test_report_asks_nothing_of_the_network(finished: Trained) -> None:
    page = (finished.folder.model / "report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    for asks in ('src="http', "src='http", 'href="http', "url(http", "<script src", "@import"):
        assert asks not in page


def test_log_has_lines_that_metric_regexes_read(finished: Trained) -> None:
    assert "val_loss=" in finished.process.stdout
    assert "\r" not in finished.process.stdout


def test_evaluate_scores_every_model_file(finished: Trained) -> None:
    from trainbox.export.bundle import Bundle

    bundle = Bundle.open(finished.folder.model)
    said: list[str] = []
    scores = get(finished.task).evaluate(bundle, [finished.data], said.append)
    assert any(line.startswith("Skipped: ") for line in said), "the demo data have scars"
    assert {"model.keras", "model.tflite"} <= set(scores)
    for values in scores.values():
        assert values


def test_network_is_rebuilt_from_manifest_and_arrays(finished: Trained) -> None:
    from trainbox.export.arrays import assign, load_arrays
    from trainbox.export.bundle import Bundle

    network = get(finished.task).network(Bundle.open(finished.folder.model).manifest)
    before = [np.array(weight) for weight in network.get_weights()]
    assign(network, load_arrays(finished.folder.model / "model.keras"))
    assert any((old != new).any() for old, new in zip(before, network.get_weights(), strict=True))


# --- its process ---------------------------------------------------------------------------------


def test_empty_channel_is_refused(
    task_name: str, tmp_path: Path, training_folder: Callable[..., TrainingFolder]
) -> None:
    (tmp_path / "empty").mkdir()
    folder = training_folder({"train": tmp_path / "empty"}, {"task": task_name})
    process = folder.run("train")
    assert process.returncode != 0
    first = folder.failure.splitlines()[0]
    assert "train" in first
    assert first in process.stderr
    assert not list(folder.model.glob("*")) if folder.model.exists() else True


def test_it_trains_in_bfloat16_on_any_machine(
    task_name: str, demo_data: Callable[[str], Path], training_folder: Callable[..., TrainingFolder]
) -> None:
    """What "auto" takes depends on the machine, so that the trainings of other tests may never meet it."""
    asked = {**quick(task_name), "epochs": "1", "precision": "bfloat16"}
    folder = training_folder({"train": demo_data(task_name)}, asked)
    process = folder.run("train")
    assert process.returncode == 0, process.stderr
    assert "Arithmetic is bfloat16" in process.stdout
    assert json.loads((folder.model / "manifest.json").read_text())["models"]


@pytest.mark.slow
def test_same_seed_gives_the_same_model(finished: Trained, training_folder: Callable[..., TrainingFolder]) -> None:
    from trainbox.export.arrays import load_arrays

    again = training_folder({"train": finished.data}, quick(finished.task))
    assert again.run("train").returncode == 0
    first, second = (load_arrays(folder.model / "model.keras") for folder in (finished.folder, again))
    assert first.keys() == second.keys()
    for name, arrays in first.items():
        for one, other in zip(arrays, second[name], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_told_to_stop_it_leaves_a_proved_bundle(
    task_name: str, demo_data: Callable[[str], Path], training_folder: Callable[..., TrainingFolder]
) -> None:
    endless = {**quick(task_name), "epochs": "5000", "patience": "5000"}
    folder = training_folder({"train": demo_data(task_name)}, endless)
    process = folder.start("train")
    try:
        assert process.stdout
        seen = next(line for line in process.stdout if "val_loss=" in line)
        assert seen
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=TRAINING_SECONDS)
        assert time.monotonic() - asked < 120
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert json.loads((folder.model / "manifest.json").read_text())["models"]
