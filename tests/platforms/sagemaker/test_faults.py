"""What goes wrong at AWS, seen from the command line: one clear line, the right end, nothing sent twice or left behind.

Each runs the real ``trainbox`` in a process of its own, against sockets; the toy task really trains behind them.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from amazon.aws import Aws
from amazon.desk import Command, Desk
from amazon.training import Job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ON = ("--on", "sagemaker", "--instance-type", "ml.m5.xlarge", "--max-runtime", "20m")
LINGERING = ("-p", "linger=batch", "-p", "epochs=20")


@pytest.fixture
def desk(aws: Aws, toy: Callable[..., object], tmp_path: Path) -> Desk:
    """A working folder of somebody with an AWS account, and the toy task installed."""
    return Desk(aws, tmp_path / "desk")


@pytest.fixture
def train(tmp_path: Path) -> tuple[str, ...]:
    """The command that trains the toy as the job toy-1; further arguments come after it."""
    return ("train", "toy", str(tmp_path / "data"), *ON, "--name", "toy-1", "--out", "model", "-p", "epochs=2")


def trained(desk: Desk) -> bool:
    """Tell whether a model stands, whole."""
    return (desk.folder / "model/manifest.json").is_file()


def lingering(desk: Desk, train: tuple[str, ...], *further: str) -> tuple[str, ...]:
    return (*[word for word in train if word not in ("-p", "epochs=2")], *LINGERING, *further)


def has_a_model(aws: Aws, name: str = "toy-1", seconds: float = 300) -> Job:
    """Wait until a job has something to save."""
    deadline = time.monotonic() + seconds
    while name not in aws.sagemaker.training.jobs or not is_training(aws, name):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return aws.sagemaker.job(name)


def is_training(aws: Aws, name: str) -> bool:
    job = aws.sagemaker.job(name)
    if job.over.is_set():
        raise AssertionError(f"{job.secondary}: {job.failure}")
    return job.secondary == "Training" and any("epoch=1" in line for line in aws.log_lines(name))


def refused(command: Command, *words: str) -> None:
    """The last line says it, and it is the only one that tells of an error."""
    for word in words:
        assert word in command.last, command.err


def test_throttling_errors_and_cut_lines_are_survived(desk: Desk, train: tuple[str, ...]) -> None:
    faults = desk.aws.faults
    # The first asks whether the name is free, the second is the watch's.
    faults.fail("DescribeTrainingJob", "ThrottlingException", 3, "Rate exceeded", after=2)
    faults.fail("CreateTrainingJob", "ThrottlingException", 2, "Rate exceeded")
    faults.fail("PutObject", "InternalError", 2)
    faults.fail("GetLogEvents", "ThrottlingException", 2)
    faults.drop("DescribeTrainingJob", 2, after=3)
    faults.drop("HeadObject", 1)
    faults.drop("GetObject", 1)
    desk.run(*train)
    assert trained(desk)
    assert len(desk.aws.sagemaker.asked("CreateTrainingJob")) == 1
    assert not [fault for fault in faults.left if fault.operation != "HeadObject"]
    operations = [asked.operation for asked in desk.aws.traffic]
    assert operations[: operations.index("CreateTrainingJob")].count("DescribeTrainingJob") <= 2, "they struck a watch"


def test_credentials_that_expire_leave_a_job_that_is_fetched_later(desk: Desk, train: tuple[str, ...]) -> None:
    desk.aws.faults.fail("DescribeTrainingJob", "ExpiredTokenException", 99, "The security token is expired", after=2)
    ended = desk.run(*train, status=1)
    refused(ended, "The security token is expired", "Log in again", "trainbox fetch toy-1")
    assert not trained(desk)
    desk.aws.faults.clear()
    assert desk.aws.sagemaker.wait("toy-1").status == "Completed"
    desk.run("fetch", "toy-1", "--out", "model")
    assert trained(desk)


def test_a_job_that_fails_says_why(desk: Desk, train: tuple[str, ...]) -> None:
    ended = desk.run(*train, "-p", "fail_in=recipe", status=1)
    refused(ended, "the toy failed")
    assert "Task 'toy'" in ended.err
    assert not (desk.folder / "model").exists()
    assert desk.aws.sagemaker.costing == []


def test_what_is_known_of_a_failure_comes_with_advice(desk: Desk, train: tuple[str, ...]) -> None:
    reason = "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different type."
    desk.aws.sagemaker.training.mishap(reason)
    refused(desk.run(*train, status=1), "Unable to provision", "--instance-type")


def test_a_job_stopped_from_elsewhere_brings_its_model(desk: Desk, train: tuple[str, ...], tmp_path: Path) -> None:
    with desk.running(*lingering(desk, train)) as command:
        has_a_model(desk.aws)
        Desk(desk.aws, tmp_path / "elsewhere").run("stop", "toy-1")
        assert command.ended() == 0, command.err
    assert trained(desk)
    assert desk.aws.sagemaker.job("toy-1").status == "Stopped"


def test_ctrl_c_stops_the_job_and_brings_its_model(desk: Desk, train: tuple[str, ...]) -> None:
    with desk.running(*lingering(desk, train)) as command:
        has_a_model(desk.aws)
        command.interrupt()
        assert command.ended() == 0, command.err
    assert trained(desk)
    assert desk.aws.sagemaker.costing == []


def test_a_second_ctrl_c_leaves_the_job_to_itself(desk: Desk, train: tuple[str, ...]) -> None:
    with desk.running(*lingering(desk, train)) as command:
        has_a_model(desk.aws)
        command.interrupt()
        command.wait_for("Once more leaves")
        command.interrupt()
        command.ended()
        assert "trainbox fetch toy-1" in command.err
    assert desk.aws.sagemaker.wait("toy-1").status == "Stopped"


def test_a_spot_job_that_is_interrupted_goes_on_from_its_checkpoint(desk: Desk, train: tuple[str, ...]) -> None:
    further = ("--spot", "-p", "checkpoint_seconds=0", "-p", "linger=batch", "-p", "epochs=4")
    with desk.running(*[word for word in train if word not in ("-p", "epochs=2")], *further) as command:
        has_a_model(desk.aws)
        deadline = time.monotonic() + 300
        while not any(key.endswith(".json") for key in desk.aws.keys("trainbox/checkpoints/toy-1")):
            assert time.monotonic() < deadline, desk.aws.keys()
            time.sleep(0.1)
        desk.aws.sagemaker.interrupt("toy-1")
        assert command.ended() == 0, command.err
    assert trained(desk)
    assert desk.aws.sagemaker.job("toy-1").interruptions == 1
    assert "Interrupted" in command.err
    assert "goes on from a checkpoint" in command.err
    assert "saved" in command.err


def test_an_upload_that_was_cut_off_is_gone_on_with(
    desk: Desk, train: tuple[str, ...], demo_data: Callable[[str], Path]
) -> None:
    data = demo_data("drive")
    command = ("train", "drive", str(data), *ON, "--name", "drive-1", "--out", "model", "-p", "epochs=1")
    desk.aws.faults.fail("PutObject", "AccessDenied", 99, "no more", after=3)
    cut = desk.run(*command, status=2)
    refused(cut, "no more", "AccessDenied")
    assert not desk.aws.sagemaker.asked("CreateTrainingJob")
    there = set(desk.aws.keys())
    assert there
    desk.aws.faults.clear()
    before = len(desk.aws.traffic)
    desk.aws.sagemaker.training.mishap("CapacityError: Unable to provision requested ML compute capacity.")
    desk.run(*command, status=1)
    again = {asked.about.partition("/")[2] for asked in desk.aws.traffic[before:] if asked.operation == "PutObject"}
    assert again
    assert not again & there


def test_a_name_that_is_taken_is_refused_before_anything_is_sent(desk: Desk, train: tuple[str, ...]) -> None:
    desk.aws.sagemaker.training.mishap("CapacityError: Unable to provision requested ML compute capacity.")
    desk.run(*train, status=1)
    before = len(desk.aws.traffic)
    refused(desk.run(*train, status=2), "toy-1", "--name")
    assert not [asked for asked in desk.aws.traffic[before:] if asked.operation in ("PutObject", "CreateTrainingJob")]


def test_a_quota_of_0_is_refused_before_anything_is_sent(desk: Desk, train: tuple[str, ...]) -> None:
    desk.aws.sagemaker.house.quotas["ml.m5.xlarge for training job usage"] = 0
    refused(desk.run(*train, status=2), "ml.m5.xlarge", "quota")
    assert not desk.aws.asked("PutObject", "CreateTrainingJob")


def test_a_bucket_in_another_region_is_refused_before_anything_is_sent(desk: Desk, train: tuple[str, ...]) -> None:
    where = {"LocationConstraint": "eu-central-1"}
    desk.aws.client("s3", "eu-central-1").create_bucket(Bucket="far-away", CreateBucketConfiguration=where)
    refused(desk.run(*train, "--bucket", "far-away", status=2), "far-away", "eu-central-1")
    assert not desk.aws.asked("PutObject", "CreateTrainingJob")


def test_nothing_secret_is_said_written_or_seen(desk: Desk, train: tuple[str, ...], tmp_path: Path) -> None:
    aws, [secret] = desk.aws, desk.aws.secrets
    desk.run(*train, "--dry-run")
    with desk.running(*lingering(desk, train)) as command:
        has_a_model(aws)
        assert secret not in command_lines()
        command.interrupt()
        assert command.ended() == 0, command.err
        assert secret not in command.out + command.err
    assert secret not in "".join(aws.log_lines("toy-1"))
    assert secret not in str(aws.sagemaker.received)
    stored = [aws.client("s3").get_object(Bucket=aws.bucket, Key=key)["Body"].read() for key in aws.keys("")]
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [content for content in stored + written if secret.encode() in content]


def command_lines() -> str:
    """Return what anybody on this machine sees of what runs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return "\n".join(found)
