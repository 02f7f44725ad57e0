"""A tuning job at the fake, over real HTTP: made, watched, interrupted and resumed, and its best model brought back."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from amazon.books import Books
from platforms.sagemaker.small_bundle import write_small_bundle
from toy_task import ToyConfig
from trainbox.errors import UsageError
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.asking import tuning_request
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.aws.failures import AwsRefused
from trainbox.platforms.sagemaker.running import tuning
from trainbox.platforms.search import Search, space
from trainbox.platforms.tuning import TuningFailed

Toy = Callable[..., TrainingJob]
Plans = Callable[..., Plan]


@pytest.fixture
def search(toy_here: Toy) -> Callable[..., Search]:
    """Return a maker of searches on the toy's data."""

    def make(fixed: dict[str, Any] | None = None, **changes: Any) -> Search:
        values = {"epochs": 1, **(fixed or {})}
        ranges = space(ToyConfig, ["off=-2:2", "batch_size=4,8"], values)
        return Search("toy", toy_here().channels, values, ranges, "mae", "minimize", **{"trials": 2, **changes})

    return make


def test_a_name_that_is_taken_and_a_quota_are_said_and_nothing_is_kept(
    search: Callable[..., Search], plan: Plans, aws: Aws, tmp_path: Path
) -> None:
    for code, says in (("ResourceInUse", "Try again"), ("ResourceLimitExceeded", "quota")):
        aws.sagemaker.fail("CreateHyperParameterTuningJob", code, message="The account-level service limit: no.")
        with pytest.raises(AwsRefused, match=says) as refused:
            tuning.run(
                search(), tmp_path / code, plan=plan(), account=aws.account(), name="toy-1", detach=True, say=print
            )
        assert "\n" not in str(refused.value)
        assert not (tmp_path / code / tuning.FILE).exists()


def test_another_search_is_not_resumed_and_none_is_not_either(
    search: Callable[..., Search], aws: Aws, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="holds no search to resume"):
        tuning.resume(search(), tmp_path, account=aws.account(), say=print)


def ended(aws: Aws, out: Path) -> Books:
    """Write a search that ended while nobody watched: its tuning job, stopped, with one model; and its folder."""
    books = Books(aws)
    job = books.make("laps-1", "Stopped")
    books.put_model(job, write_small_bundle(out.parent / "made", task="drive"))
    books.tuning("laps", "Stopped", {"0.1": (job, 0.5)})
    out.mkdir()
    (out / tuning.FILE).write_text(json.dumps({"name": "laps", "region": aws.region}))
    return books


def test_ctrl_c_while_the_best_is_fetched_stops_nothing_and_loses_nothing(
    search: Callable[..., Search], aws: Aws, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended(aws, out)
    said: list[str] = []
    aws.faults.hold("HeadObject", lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        tuning.resume(search(), out, account=aws.account(), say=said.append)
    assert not aws.sagemaker.asked("StopHyperParameterTuningJob")
    assert said[-1] == f"The tuning job has ended, and what it made is kept. Bring it with --resume --out {out}."
    assert not (out / tuning.tuning.BEST).exists()
    found = tuning.resume(search(), out, account=aws.account(), say=said.append)
    assert found and found.stopped and found.best.score == 0.5
    assert (found.bundle / "model.tflite").is_file()


def test_a_signal_that_comes_with_the_end_stops_nothing(
    search: Callable[..., Search], aws: Aws, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended(aws, out)
    aws.faults.hold("DescribeHyperParameterTuningJob", lambda: os.kill(os.getpid(), signal.SIGINT))
    assert tuning.resume(search(), out, account=aws.account(), say=print)
    assert not aws.sagemaker.asked("StopHyperParameterTuningJob")


def test_an_answer_that_is_lost_is_no_name_taken(
    search: Callable[..., Search], plan: Plans, aws: Aws, tmp_path: Path
) -> None:
    aws.sagemaker.house.pause_seconds = 30
    aws.faults.lose("CreateHyperParameterTuningJob")
    out = tmp_path / "out"
    tuning.run(search(), out, plan=plan(), account=aws.account(), name="toy-1", detach=True, say=print)
    assert len(aws.sagemaker.asked("CreateHyperParameterTuningJob")) == 2
    assert list(aws.sagemaker.tunings.jobs) == ["toy-1"]
    with pytest.raises(AwsRefused, match="Try again: the name says the second"):
        tuning.create(aws.account(), tuning_request.tuning_job(search(), plan(), {"train": "s3://a/b"}, "toy-1"))


@pytest.mark.slow
def test_a_trial_never_resumes_from_anothers_checkpoints(
    search: Callable[..., Search], plan: Plans, aws: Aws, tmp_path: Path
) -> None:
    # Of two values this seed draws the same twice.
    same = replace(search({"checkpoint_seconds": 0}, seed=2), space=space(ToyConfig, ["batch_size=4,8"], {}))
    tuning.run(
        same, tmp_path / "out", plan=plan(spot=True), account=aws.account(), name="toy-3", detach=False, say=print
    )
    children = list(aws.sagemaker.training.jobs.values())
    assert len({job.request["HyperParameters"]["batch_size"] for job in children}) == 1
    assert len(children) == 2
    for job in children:
        assert not [line for line in job.lines if "checkpoint" in line], job.lines
        assert any(f"/{job.name}/checkpoint-" in key for key in aws.keys("trainbox/checkpoints/toy-3/"))


@pytest.mark.slow
def test_the_best_training_jobs_bundle_comes_back(
    search: Callable[..., Search], plan: Plans, aws: Aws, tmp_path: Path
) -> None:
    said: list[str] = []
    wanted, out = search(), tmp_path / "out"
    started = tuning.run(wanted, out, plan=plan(), account=aws.account(), name="toy-1", detach=True, say=said.append)
    assert started is None and (out / tuning.FILE).is_file()
    # From another process, later, with AWS away for a moment.
    aws.sagemaker.fail("DescribeHyperParameterTuningJob", "ThrottlingException", times=2)
    found = tuning.resume(wanted, out, account=aws.account(), say=said.append)
    assert found and len(found.records) == 2
    assert found.best.score == min(record.score or 99 for record in found.records)
    kept = json.loads((out / "trials.json").read_text())
    assert kept["best"] == found.best.number and kept["objective"] == "mae"
    manifest = json.loads((found.bundle / "manifest.json").read_text())
    assert manifest["metrics"]["files"]["model.tflite"]["mae"] == pytest.approx(found.best.score, rel=1e-4)
    for name, value in found.best.hyperparameters.items():
        assert manifest["hyperparameters"][name] == pytest.approx(value)
    assert manifest["hyperparameters"]["epochs"] == 1
    assert any("2 of 2 trainings done" in line for line in said)


@pytest.mark.slow
def test_where_all_fail_each_reason_is_counted(
    search: Callable[..., Search], plan: Plans, aws: Aws, tmp_path: Path
) -> None:
    with pytest.raises(TuningFailed, match=r"All 2 trials failed: 2 x .*the toy failed"):
        tuning.run(
            search({"fail_in": "reading"}),
            tmp_path / "out",
            plan=plan(),
            account=aws.account(),
            name="toy-2",
            detach=False,
            say=print,
        )
