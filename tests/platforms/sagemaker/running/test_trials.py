"""Which of a tuning job's training jobs has the best model, where SageMaker says it and where it does not."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from amazon.aws import Aws
from amazon.books import Books
from trainbox.platforms.sagemaker.aws.failures import AwsFailed
from trainbox.platforms.sagemaker.running import trials
from trainbox.platforms.sagemaker.running.kinds import TUNING
from trainbox.platforms.tuning import TuningFailed

Model = Callable[..., None]


@pytest.fixture
def books(aws: Aws) -> Books:
    return Books(aws)


@pytest.fixture
def model(books: Books, tmp_path: Path) -> Model:
    """Store a model of a training job that scored so and had such losses; None where there was no time to score."""

    def put(job: str, score: float | None, *losses: float) -> None:
        folder = tmp_path / job
        folder.mkdir()
        (folder / "model.tflite").write_bytes(b"a model")
        entry = {"bytes": 7, "sha256": hashlib.sha256(b"a model").hexdigest()}
        scores = {"scored_file": "model.tflite", "files": {"model.tflite": {"angle_mae": score}}}
        manifest = {
            "format": 1,
            "task": "drive",
            "files": {"model.tflite": entry},
            "models": {"model.tflite": {}},
            "metrics": scores if score is not None else {},
            "history": {"epochs": [{"val_loss": loss} for loss in losses]},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        books.put_model(books.aws.sagemaker.job(job), folder)

    return put


def read(books: Books, said: list[str] | None = None) -> trials.Trials:
    account = books.aws.account()
    return trials.read(account, TUNING.describe(account, "laps"), (said if said is not None else []).append)


def test_sagemakers_best_is_taken_where_there_is_one(books: Books, model: Model) -> None:
    jobs = [books.make(f"laps-{number}", status) for number, status in enumerate(("Completed", "Stopped"), 1)]
    model("laps-2", 0.1)
    books.tuning("laps", "Stopped", {"0.1": (jobs[0], 0.5), "0.2": (jobs[1], None)})
    found = read(books)
    assert found.job == "laps-1"
    assert found.best and (found.best.score, found.best.hyperparameters) == (0.5, {"learning_rate": 0.1})
    assert found.records[1].failed == "It ended as Stopped and logged no angle_mae."
    assert not books.aws.asked("GetObject")


def test_where_all_were_stopped_their_models_tell(books: Books, model: Model) -> None:
    jobs = [books.make(f"laps-{number}", "Stopped") for number in range(1, 6)]
    model("laps-1", None, 0.3)
    model("laps-2", None, 0.4, 0.2)
    model("laps-3", 0.7)
    model("laps-4", None)
    logged = {"0.1": None, "0.2": None, "0.3": None, "0.4": 0.9, "0.5": 0.1}
    books.tuning("laps", "Stopped", {rate: (job, logged[rate]) for rate, job in zip(logged, jobs, strict=True)})
    said: list[str] = []
    found = read(books, said)
    assert said == ["No training was completed. Of those that were stopped, training job 'laps-3' has the best model."]
    assert found.best and (found.best.number, found.best.score, found.best.cut_off) == (3, 0.7, True)
    assert [record.score for record in found.records] == [None, None, 0.7, 0.9, None]
    assert [record.failed is None for record in found.records] == [True, True, True, True, False]
    assert found.records[4].failed == "It was stopped before there was a model to save.", "a score is no model"


def test_models_that_nobody_scored_are_judged_by_their_epochs(books: Books, model: Model) -> None:
    jobs = [books.make(f"laps-{number}", "Stopped") for number in (1, 2)]
    model("laps-1", None, 0.3)
    model("laps-2", None, 0.4, 0.2)
    books.tuning("laps", "Stopped", {"0.1": (jobs[0], None), "0.2": (jobs[1], None)})
    assert read(books).job == "laps-2"


def test_where_there_is_no_model_each_reason_is_counted(books: Books) -> None:
    jobs = [books.make("laps-1", "Stopped"), books.make("laps-2", "Failed", reason="AlgorithmError: no, exit code: 1")]
    books.tuning("laps", "Stopped", {"0.1": (jobs[0], None), "0.2": (jobs[1], None)})
    with pytest.raises(TuningFailed, match=r"All 2 trials failed: 1 x It was stopped before .* 1 x AlgorithmError"):
        read(books).best_job(books.aws.account())


def test_a_model_that_cannot_be_read_now_is_not_passed_over(books: Books, model: Model) -> None:
    job = books.make("laps-1", "Stopped")
    model("laps-1", 0.5)
    books.tuning("laps", "Stopped", {"0.1": (job, None)})
    books.aws.faults.fail("GetObject", "AccessDenied")
    with pytest.raises(AwsFailed, match="AccessDenied"):
        read(books)
