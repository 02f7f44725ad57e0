"""A tuning job at the fake, over real HTTP: made, watched, interrupted and resumed, and its best model brought back."""

import json
import os
import signal
import time
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
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused, LoggedOut
from trainbox.platforms.sagemaker.aws.leaving import Signals
from trainbox.platforms.sagemaker.running import tuning
from trainbox.platforms.sagemaker.running.kinds import NoSuchJob
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
    keep(search(), tmp_path, aws)
    other = replace(search(), space=space(ToyConfig, ["off=-1:1"], {}))
    with pytest.raises(UsageError, match=r"holds another search: its over was .*-2.* now .*-1") as refused:
        tuning.resume(other, tmp_path, account=aws.account(), say=print)
    assert "\n" not in str(refused.value)


def test_where_no_answer_is_clear_the_search_is_kept_and_it_is_said(
    search: Callable[..., Search], plan: Plans, aws: Aws, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said: list[str] = []

    def begin() -> None:
        tuning.run(search(), out, plan=plan(), account=aws.account(), name="toy-1", detach=True, say=said.append)

    aws.sagemaker.fail("CreateHyperParameterTuningJob", "ExpiredTokenException")
    with pytest.raises(LoggedOut):
        begin()
    assert not (out / tuning.FILE).exists(), "nothing was made"
    aws.sagemaker.fail("CreateHyperParameterTuningJob", "Odd")
    with pytest.raises(AwsFailed, match=r"may have been created all the same\. It may still run and be billed\. Go on"):
        begin()
    with pytest.raises(NoSuchJob) as missing:
        tuning.resume(search(), out, account=aws.account(), say=print)
    assert str(missing.value).endswith("List them: trainbox jobs --tuning.")


def test_a_second_ctrl_c_while_it_is_created_says_that_it_may_run(
    search: Callable[..., Search], plan: Plans, aws: Aws, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said: list[str] = []

    def press_twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    aws.faults.hold("CreateHyperParameterTuningJob", press_twice)
    with pytest.raises(KeyboardInterrupt):
        tuning.run(search(), out, plan=plan(), account=aws.account(), name="toy-1", detach=True, say=said.append)
    assert "It may still run and be billed. Go on with --resume" in said[-1]
    assert (out / tuning.FILE).exists()


def test_what_throttling_refused_was_not_made_but_may_be_where_the_name_is_taken(
    search: Callable[..., Search], plan: Plans, aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(*ignored: Any) -> None:
        raise AwsFailed("Slower.", "ThrottlingException")

    def begin(out: Path) -> None:
        tuning.run(search(), out, plan=plan(), account=aws.account(), name="toy-1", detach=True, say=print)

    aws.sagemaker.fail("CreateHyperParameterTuningJob", "ResourceInUse")
    monkeypatch.setattr(type(tuning.TUNING), "was_asked_twice", throttled)
    with pytest.raises(AwsFailed, match="may have been created"):
        begin(tmp_path / "asked")
    assert (tmp_path / "asked" / tuning.FILE).exists()
    monkeypatch.setattr(tuning, "create", throttled)
    with pytest.raises(AwsFailed, match=r"^Slower\.$"):
        begin(tmp_path / "refused")
    assert not (tmp_path / "refused" / tuning.FILE).exists()


def test_an_aws_that_is_away_is_said_and_so_is_its_return(
    search: Callable[..., Search], aws: Aws, tmp_path: Path
) -> None:
    ended(aws, tmp_path / "out", search())
    aws.sagemaker.fail("DescribeHyperParameterTuningJob", "Odd", times=2)
    said: list[str] = []
    watch = tuning._Watch(aws.account(), search(), tmp_path / "out", "laps", said.append, 0.01)
    assert watch.to_the_end(Signals())
    assert said[0].endswith("The tuning job does not notice; asking again.")
    assert said[1] == "AWS answers again."
    assert said[2].startswith("Stopped: 0 of 5 trainings done") and len(said) == 3


def keep(search: Search, out: Path, aws: Aws) -> None:
    """Write into a search's folder that it is the tuning job "laps"."""
    kept = {"name": "laps", "region": aws.region, **search.description()}
    (out / tuning.FILE).write_text(json.dumps(kept))


def ended(aws: Aws, out: Path, search: Search) -> Books:
    """Write a search that ended while nobody watched: its tuning job, stopped, with one model; and its folder."""
    books = Books(aws)
    job = books.make("laps-1", "Stopped")
    books.put_model(job, write_small_bundle(out.parent / "made", task="drive"))
    books.tuning("laps", "Stopped", {"0.1": (job, 0.5)})
    out.mkdir()
    keep(search, out, aws)
    return books


def test_ctrl_c_while_the_best_is_fetched_stops_nothing_and_loses_nothing(
    search: Callable[..., Search], aws: Aws, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended(aws, out, search())
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
    ended(aws, out, search())
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
