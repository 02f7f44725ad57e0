"""A transform job, and what comes between: ctrl-C and SIGTERM, lost answers, rights that are wanting, its own end."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from amazon.aws import Aws
from platforms.sagemaker.conftest import standing
from platforms.sagemaker.small_bundle import jpeg
from trainbox import cli

Captured = pytest.CaptureFixture[str]


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


def ending(aws: Aws, status: str) -> Callable[[], None]:
    """Return what has the job come to its end at once."""

    def end() -> None:
        [job] = aws.sagemaker.transforms.jobs.values()
        job.stop.set()
        assert job.over.wait(10)
        job.finish(status, "AlgorithmError: the real reason")

    return end


def test_a_batch_that_ends_just_as_it_is_stopped_says_what_was_answered(
    aws: Aws, batch: tuple[str, ...], told: Callable[[int], Callable[[], None]], capsys: Captured
) -> None:
    aws.faults.hold("DescribeTransformJob", told(signal.SIGINT))
    aws.faults.hold("StopTransformJob", ending(aws, "Completed"))
    assert cli.run([*batch]) == 130
    assert "0 of 1 objects were answered" in capsys.readouterr().err
    assert not standing(aws)


@pytest.mark.parametrize(("status", "code"), [("Completed", 0), ("Failed", 1)])
def test_a_model_that_cannot_be_removed_does_not_hide_what_a_batch_came_to(
    aws: Aws, batch: tuple[str, ...], status: str, code: int, capsys: Captured
) -> None:
    aws.faults.hold("DescribeTransformJob", ending(aws, status))
    aws.faults.fail("DeleteModel", "AccessDeniedException")
    assert cli.run([*batch]) == code
    said = capsys.readouterr().err
    assert "aws sagemaker delete-model --region" in said
    assert ("the real reason" in said.strip().splitlines()[-1]) == (status == "Failed")


def test_a_model_that_cannot_be_removed_does_not_hide_why_a_batch_was_refused(
    aws: Aws, batch: tuple[str, ...], capsys: Captured
) -> None:
    aws.faults.fail("CreateTransformJob", "AccessDeniedException")
    aws.faults.fail("DeleteModel", "AccessDeniedException")
    assert cli.run([*batch]) == 2
    said = capsys.readouterr().err
    assert "aws sagemaker delete-model --region" in said
    assert "Cannot create the transform job" in said.strip().splitlines()[-1]


def test_a_batch_that_was_never_asked_for_is_not_said_to_go_on(
    aws: Aws, batch: tuple[str, ...], capsys: Captured
) -> None:
    for operation in ("CreateModel", "DescribeTransformJob", "DeleteModel"):
        aws.faults.fail(operation, "ExpiredTokenException")
    assert cli.run([*batch]) == 1
    said = capsys.readouterr().err
    assert "goes on" not in said
    assert "Cannot create the model" in said.strip().splitlines()[-1]
