"""A training job watched: through faults of the way, to whatever end it comes; jobs that need no program to run."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from amazon.books import Books
from amazon.terminal import terminal
from trainbox.platforms.job import JobFailed, TrainingJob
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.aws.failures import AwsRefused, LoggedOut
from trainbox.platforms.sagemaker.aws.leaving import Signals, Told
from trainbox.platforms.sagemaker.running import results, training, watching
from trainbox.platforms.sagemaker.running.kinds import TRAINING, Description
from trainbox.platforms.sagemaker.running.showing import Plain

Toy = Callable[..., TrainingJob]
Plans = Callable[..., Plan]

WATCH = """
import sys
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.running.showing import Plain
from trainbox.platforms.sagemaker.running.watching import Watch
say = lambda line: print(line, file=sys.stderr, flush=True)
shown = Plain(say)
shown.state = lambda text, seconds: say("looked")
watch = Watch(Account.open(), "toy-job", shown, say, 0.1)
with watch.signals.handled():
    print(watch.to_the_end())
"""


class Follower:
    """A job that starts and never gets further, and a watch of it."""

    def __init__(self, aws: Aws, job: str, seconds: float = 0.05) -> None:
        self.said: list[str] = []
        self.shown: list[str] = []
        self.watch = watching.Watch(aws.account(), job, Plain(self.shown.append), self.said.append, seconds)

    def to_the_end(self) -> Description | None:
        with self.watch.signals.handled():
            return self.watch.to_the_end()


@pytest.fixture
def create(aws: Aws, plan: Plans, toy_here: Toy) -> Callable[..., Follower]:
    """Create the toy's job and return what follows it; ``held`` says how long each status lasts."""

    def make(held: float = 30.0, **further: Any) -> Follower:
        from trainbox.platforms.sagemaker.asking import request

        aws.sagemaker.house.pause_seconds = held
        address = aws.put(toy_here().channels["train"], "toy")
        training.create(aws.account(), request.training_job(toy_here(), plan(**further), {"train": address}))
        return Follower(aws, "toy-job")

    return make


def after(seconds: float, action: Callable[[], Any]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_no_capacity_is_said_with_advice(aws: Aws, plan: Plans, toy_here: Toy, tmp_path: Path) -> None:
    aws.sagemaker.training.mishap(
        "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance "
        "type."
    )
    said: list[str] = []
    with pytest.raises(JobFailed) as failed:
        training.run(toy_here(), tmp_path / "out", plan=plan(), say=said.append)
    assert str(failed.value).startswith("CapacityError: Unable to provision requested ML compute capacity.")
    assert str(failed.value).endswith("nothing was billed.")
    assert failed.value.exit_status == 1
    assert "Failed: Training job failed" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_transitions_are_said_once_each(create: Callable[..., Follower]) -> None:
    follower = create(held=0.4)
    after(0.7, lambda: TRAINING.stop(follower.watch.account, "toy-job"))
    description = follower.to_the_end()
    assert description and description["TrainingJobStatus"] == "Stopped"
    said = [line.partition(":")[0] for line in follower.said]
    assert said[:1] == ["Starting"]
    assert said[-1] == "Stopped"
    assert len(said) == len(set(said))


def test_throttling_errors_and_lost_connections_are_survived(aws: Aws, create: Callable[..., Follower]) -> None:
    follower = create(held=0.5)
    aws.faults.fail("DescribeTrainingJob", "ThrottlingException")
    aws.faults.fail("DescribeTrainingJob", "InternalFailure", after=2)
    aws.faults.drop("DescribeTrainingJob", after=3)
    after(0.3, lambda: aws.sagemaker.training.stop_training_job({"TrainingJobName": "toy-job"}))
    description = follower.to_the_end()
    assert description and description["TrainingJobStatus"] == "Stopped"


@pytest.mark.slow
def test_an_aws_that_is_away_for_long_is_waited_for(aws: Aws, create: Callable[..., Follower]) -> None:
    follower = create(held=0.5)
    aws.faults.fail("DescribeTrainingJob", "InternalFailure", times=17)
    after(1, lambda: aws.sagemaker.training.stop_training_job({"TrainingJobName": "toy-job"}))
    description = follower.to_the_end()
    assert description and description["TrainingJobStatus"] == "Stopped"
    assert sum("The training job does not notice; asking again." in line for line in follower.said) == 1
    assert "AWS answers again." in follower.said


def test_credentials_that_expire_leave_the_job_and_say_how_to_go_on(aws: Aws, create: Callable[..., Follower]) -> None:
    follower = create()
    aws.faults.fail("DescribeTrainingJob", "ExpiredTokenException", after=2)
    with pytest.raises(LoggedOut) as out:
        follower.to_the_end()
    assert out.value.exit_status == 1
    assert "Log in again" in str(out.value)
    assert "Watch it: trainbox logs -f toy-job; stop it: trainbox stop toy-job" in str(out.value)
    assert aws.sagemaker.job("toy-job").status == "InProgress"


@pytest.mark.slow
def test_a_log_that_may_not_be_read_is_said_once(aws: Aws, create: Callable[..., Follower]) -> None:
    follower = create(held=0.4)
    aws.faults.fail("DescribeLogStreams", "AccessDeniedException", times=9)
    after(0.6, lambda: TRAINING.stop(follower.watch.account, "toy-job"))
    assert follower.to_the_end()
    assert sum("The job is watched without its log." in line for line in follower.said) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_away_from_a_terminal_a_signal_stops_the_job(
    aws: Aws, create: Callable[..., Follower], number: signal.Signals
) -> None:
    follower = create(held=1.0)
    after(0.3, lambda: os.kill(os.getpid(), number))
    description = follower.to_the_end()
    assert description and description["TrainingJobStatus"] == "Stopped"
    assert any(line.startswith("Stopping: the best model so far is being written.") for line in follower.said)
    assert len(aws.sagemaker.asked("StopTrainingJob")) == 1


def test_a_person_leaves_a_job_that_goes_on(aws: Aws, create: Callable[..., Follower]) -> None:
    create()
    with terminal(WATCH) as watched:
        watched.read_until("Starting")
        watched.interrupt()
        watched.read_until("s, d or w: ")
        watched.type(b"w\n")
        watched.read_until("looked")
        watched.interrupt()
        watched.read_until("s, d or w: ")
        watched.type(b"d\n")
        watched.read_until("trainbox fetch toy-job")
        assert watched.ended() == "None"
    assert "The training job 'toy-job' goes on, and is billed until it ends. Watch it: " in watched.shown
    assert not aws.sagemaker.asked("StopTrainingJob")
    assert aws.sagemaker.job("toy-job").status == "InProgress"


@pytest.mark.slow
def test_a_second_signal_leaves_a_job_that_is_being_stopped(aws: Aws, create: Callable[..., Follower]) -> None:
    follower = create(held=30.0)
    job = aws.sagemaker.job("toy-job")

    def press_twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        job.stop.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    after(0.3, press_twice)
    assert follower.to_the_end() is None
    assert job.stop.is_set()
    assert "Its model so far: trainbox fetch toy-job" in follower.said[-1]


def test_a_signal_while_the_job_is_created_is_not_forgotten(
    aws: Aws, plan: Plans, toy_here: Toy, tmp_path: Path
) -> None:
    aws.sagemaker.house.pause_seconds = 0.5

    def watch_for_it() -> None:
        while not aws.sagemaker.asked("CreateTrainingJob"):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch_for_it)
    thread.start()
    with pytest.raises(JobFailed, match="was stopped before there was a model to save"):
        training.run(toy_here(), tmp_path / "out", plan=plan(), detach=True)
    thread.join()
    assert aws.sagemaker.job("toy-job").status == "Stopped"


def test_a_second_signal_is_told_at_once_and_the_first_not_after_it() -> None:
    signals = Signals()
    with signals.handled(), pytest.raises(Told), signals.later():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert not signals.kept


def test_a_signal_while_the_last_lines_are_read_loses_none_and_stops_nothing(aws: Aws) -> None:
    books = Books(aws)
    books.make("done", "Completed")
    books.log("done", "epoch 1", "epoch 2")
    aws.faults.hold("GetLogEvents", lambda: os.kill(os.getpid(), signal.SIGINT))
    follower = Follower(aws, "done")
    assert follower.to_the_end()
    assert follower.shown == ["epoch 1", "epoch 2"]
    assert not [line for line in follower.said if line.startswith("Stopping")]


def test_ctrl_c_while_the_model_is_fetched_says_where_it_is_kept(
    aws: Aws, plan: Plans, toy_here: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*ignored: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "fetch", interrupted)
    aws.sagemaker.training.mishap("CapacityError: none left.")
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        training.run(toy_here(), tmp_path / "out", plan=plan(), say=said.append)
    assert said[-1].endswith("has ended, and what it made is kept. Bring it: trainbox fetch toy-job")


def test_detached_it_returns_once_the_job_is_made(aws: Aws, plan: Plans, toy_here: Toy, tmp_path: Path) -> None:
    aws.sagemaker.house.pause_seconds = 30
    said: list[str] = []
    assert training.run(toy_here(), tmp_path / "out", plan=plan(), detach=True, say=said.append) is None
    assert "trainbox fetch toy-job" in said[-1]
    assert aws.sagemaker.job("toy-job").status == "InProgress"


def test_a_name_that_is_taken_is_one_clear_line(aws: Aws, create: Callable[..., Follower], plan: Plans) -> None:
    create()
    from trainbox.platforms.sagemaker.asking import request

    wanted = request.training_job(TrainingJob("toy", {"train": Path()}, {}, "toy-job"), plan(), {"train": "s3://a/b"})
    with pytest.raises(AwsRefused, match=r"unique within an AWS account.*\(ResourceInUse\)\. Give another --name\.$"):
        training.create(aws.account(), wanted)
    assert len(aws.sagemaker.training.jobs) == 1


@pytest.mark.slow
def test_an_answer_that_is_lost_is_no_name_taken(aws: Aws, create: Callable[..., Follower]) -> None:
    aws.faults.lose("CreateTrainingJob")
    create()
    assert len(aws.sagemaker.asked("CreateTrainingJob")) == 2
    assert list(aws.sagemaker.training.jobs) == ["toy-job"]


def test_a_quota_of_nought_is_one_clear_line(aws: Aws, create: Callable[..., Follower]) -> None:
    aws.sagemaker.house.quotas["ml.m5.xlarge for training job usage"] = 0
    with pytest.raises(AwsRefused) as refused:
        create()
    assert re.search(r"is 0 Instances.*ResourceLimitExceeded.*servicequotas", str(refused.value))
    assert refused.value.exit_status == 2


def test_an_unknown_job_is_named(aws: Aws) -> None:
    with pytest.raises(AwsRefused, match=r"There is no training job 'nobody' in eu-west-1\. List them: trainbox jobs"):
        TRAINING.describe(aws.account(), "nobody")
