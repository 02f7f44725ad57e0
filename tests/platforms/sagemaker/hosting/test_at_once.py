"""What comes between: another command of the same moment, a lost answer, ctrl-C and SIGTERM while AWS is asked."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amazon.aws import Aws
from platforms.sagemaker.conftest import standing
from platforms.sagemaker.small_bundle import jpeg, write_small_bundle
from trainbox import cli

Captured = pytest.CaptureFixture[str]

PILOT = ("deploy", "./pilot", "pilot")


@pytest.fixture
def pilot(aws: Aws, desk: Path) -> Path:
    """A model, and a SageMaker whose endpoints are in service at once."""
    aws.sagemaker.house.bare = True
    return write_small_bundle(desk / "pilot")


@pytest.fixture
def told() -> Iterator[Callable[[int], Callable[[], None]]]:
    """Return what makes a sender of a signal to this process, which outlives one that nobody waits for."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    yield lambda number: lambda: os.kill(os.getpid(), number)
    signal.signal(signal.SIGTERM, before)


def other(*arguments: str) -> Callable[[], None]:
    """Return what runs another command to its end."""

    def run() -> None:
        assert cli.run([*arguments, "--no-wait"]) == 0

    return run


def test_who_is_slower_leaves_an_endpoint_that_is_not_his(aws: Aws, pilot: Path, capsys: Captured) -> None:
    aws.faults.hold("CreateEndpoint", other(*PILOT, "--memory", "1024"))
    assert cli.run([*PILOT, "--memory", "2048"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert "Endpoint 'pilot' was made by another command meanwhile" in said[-1]
    [configuration] = aws.sagemaker.models.configurations.documents.values()
    assert configuration.request["ProductionVariants"][0]["ServerlessConfig"]["MemorySizeInMB"] == 1024
    assert aws.sagemaker.endpoint("pilot").configuration == configuration.name
    assert len(standing(aws)) == 3, "its model, too, though the slower one made it"


def test_who_is_slower_and_wants_the_same_leaves_it_where_his_trial_fails(
    aws: Aws, pilot: Path, capsys: Captured
) -> None:
    aws.faults.hold("CreateEndpoint", other(*PILOT))
    assert cli.run([*PILOT]) == 1
    said = capsys.readouterr().err
    assert "which another command made, stays" in said
    assert "The trial of endpoint 'pilot' failed" in said.strip().splitlines()[-1]
    assert len(standing(aws)) == 3


def test_who_is_told_to_stop_leaves_an_endpoint_that_is_not_his(
    aws: Aws, pilot: Path, told: Callable[[int], Callable[[], None]], capsys: Captured
) -> None:
    def both() -> None:
        other(*PILOT)()
        told(signal.SIGINT)()

    aws.faults.hold("CreateEndpoint", both)
    assert cli.run([*PILOT]) == 130
    assert len(standing(aws)) == 3


def test_whose_trial_fails_has_his_own_new_endpoint_removed(aws: Aws, pilot: Path, capsys: Captured) -> None:
    assert cli.run([*PILOT]) == 1
    assert "nothing is left that costs money" in capsys.readouterr().err
    assert not standing(aws)


def test_whose_update_comes_second_takes_nothing_of_the_first(aws: Aws, pilot: Path, capsys: Captured) -> None:
    other(*PILOT, "--memory", "1024")()

    def first() -> None:
        aws.sagemaker.house.bare, aws.sagemaker.house.pause_seconds = False, 30
        other(*PILOT, "--memory", "2048")()

    aws.faults.hold("UpdateEndpoint", first)
    assert cli.run([*PILOT, "--memory", "3072"]) == 2
    assert "in-progress" in capsys.readouterr().err
    endpoint = aws.sagemaker.endpoint("pilot")
    assert {endpoint.configuration, endpoint.pending} == set(aws.sagemaker.models.configurations.documents)


def test_who_waits_for_an_endpoint_that_another_one_updates_leaves_it(aws: Aws, pilot: Path, capsys: Captured) -> None:
    update = other(*PILOT, "--memory", "3072")
    aws.faults.hold("CreateEndpoint", lambda: aws.faults.hold("DescribeEndpoint", update))
    assert cli.run([*PILOT, "--memory", "1024"]) == 1
    assert "Endpoint 'pilot' was updated by another command meanwhile" in capsys.readouterr().err
    assert aws.sagemaker.endpoint("pilot").status == "InService"


@pytest.mark.parametrize("operation", ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"])
def test_a_lost_answer_is_no_failure(aws: Aws, pilot: Path, operation: str, capsys: Captured) -> None:
    aws.faults.lose(operation)
    assert cli.run([*PILOT, "--no-wait", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "created"
    assert len(aws.asked(operation)) == 2
    assert len(standing(aws)) == 3


def test_an_endpoint_whose_answer_was_lost_is_removed_where_it_fails(aws: Aws, pilot: Path, capsys: Captured) -> None:
    aws.faults.lose("CreateEndpoint")
    assert cli.run([*PILOT]) == 1
    assert not standing(aws)


def test_a_lost_answer_to_an_update_is_no_failure(aws: Aws, pilot: Path, capsys: Captured) -> None:
    other(*PILOT)()
    capsys.readouterr()
    aws.sagemaker.house.bare, aws.sagemaker.house.pause_seconds = False, 30
    aws.faults.lose("UpdateEndpoint")
    assert cli.run([*PILOT, "--memory", "1024", "--no-wait", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["outcome"], result["status"]) == ("updated", "Updating")
    assert len(aws.asked("UpdateEndpoint")) == 2
    assert aws.sagemaker.endpoint("pilot").pending == result["configuration"]


def test_an_endpoint_that_could_not_go_back_is_refused(aws: Aws, pilot: Path, capsys: Captured) -> None:
    other(*PILOT)()
    stood = standing(aws)
    aws.sagemaker.endpoint("pilot").status = "UpdateRollbackFailed"
    for memory in ("1024", "2048"):
        assert cli.run([*PILOT, "--memory", memory]) == 2
        assert "it answers with a mix of two models" in capsys.readouterr().err.strip().splitlines()[-1]
    assert standing(aws) == stood


@pytest.mark.parametrize(
    ("operation", "number"),
    [
        ("PutObject", signal.SIGTERM),
        ("CreateModel", signal.SIGINT),
        ("CreateEndpointConfig", signal.SIGTERM),
        ("CreateEndpoint", signal.SIGTERM),
        ("CreateEndpoint", signal.SIGINT),
    ],
)
def test_told_to_stop_it_leaves_nothing(
    aws: Aws,
    pilot: Path,
    told: Callable[[int], Callable[[], None]],
    operation: str,
    number: int,
    capsys: Captured,
) -> None:
    aws.faults.hold(operation, told(number))
    # Once more, while what was made is removed.
    aws.faults.hold("ListEndpointConfigs", told(number))
    assert cli.run([*PILOT]) == 130
    said = capsys.readouterr().err
    assert said.strip().splitlines()[-1] == "Interrupted."
    assert "Traceback" not in said
    assert not standing(aws)


def test_told_to_stop_waiting_it_says_what_goes_on(
    aws: Aws, pilot: Path, told: Callable[[int], Callable[[], None]], capsys: Captured
) -> None:
    aws.sagemaker.house.bare, aws.sagemaker.house.pause_seconds = False, 30
    aws.faults.hold("CreateEndpoint", lambda: aws.faults.hold("DescribeEndpoint", told(signal.SIGTERM)))
    assert cli.run([*PILOT]) == 130
    assert "Endpoint 'pilot' goes on by itself" in capsys.readouterr().err
    assert aws.sagemaker.endpoint("pilot").status == "Creating"


@pytest.fixture
def batch(aws: Aws, pilot: Path) -> tuple[str, ...]:
    """The command that asks about a prefix, with a job that lasts until it is stopped."""
    aws.sagemaker.house.pause_seconds = 30
    aws.client("s3").put_object(Bucket=aws.bucket, Key="in/a.jpg", Body=jpeg())
    there = ("--batch", f"s3://{aws.bucket}/in/", "--out", f"s3://{aws.bucket}/out/")
    return ("predict", "./pilot", *there)


@pytest.mark.parametrize(
    ("operation", "number"),
    [
        ("CreateModel", signal.SIGTERM),
        ("CreateTransformJob", signal.SIGTERM),
        ("DescribeTransformJob", signal.SIGTERM),
        ("DescribeTransformJob", signal.SIGINT),
    ],
)
def test_a_batch_told_to_stop_leaves_nothing_that_costs(
    aws: Aws,
    batch: tuple[str, ...],
    told: Callable[[int], Callable[[], None]],
    operation: str,
    number: int,
    capsys: Captured,
) -> None:
    aws.faults.hold(operation, told(number))
    assert cli.run([*batch]) == 130
    said = capsys.readouterr().err
    assert said.strip().splitlines()[-1] == "Interrupted."
    assert [job.status for job in aws.sagemaker.transforms.jobs.values()] == ["Stopped"] * (
        operation in ("CreateTransformJob", "DescribeTransformJob")
    )
    assert ("0 of 1 objects were answered" in said) == bool(aws.sagemaker.transforms.jobs)
    assert not standing(aws)


def test_a_batch_told_twice_says_what_goes_on(
    aws: Aws, batch: tuple[str, ...], told: Callable[[int], Callable[[], None]], capsys: Captured
) -> None:
    aws.faults.hold("DescribeTransformJob", told(signal.SIGINT))
    aws.faults.hold("StopTransformJob", told(signal.SIGINT))
    assert cli.run([*batch]) == 130
    assert "is paid until its end" in capsys.readouterr().err


@pytest.mark.parametrize("operation", ["CreateModel", "CreateTransformJob"])
def test_a_lost_answer_is_no_failure_of_a_batch(
    aws: Aws, batch: tuple[str, ...], told: Callable[[int], Callable[[], None]], operation: str, capsys: Captured
) -> None:
    aws.faults.lose(operation)
    aws.faults.hold("DescribeTransformJob", told(signal.SIGTERM))
    assert cli.run([*batch]) == 130
    assert len(aws.asked(operation)) == 2
    assert [job.status for job in aws.sagemaker.transforms.jobs.values()] == ["Stopped"]
    assert not standing(aws)
