"""Why a job failed: SageMaker's reason in one line, and what to do about what is well known."""

import pytest

from trainbox.platforms.sagemaker.running import advice

BEGINNING = "Task 'drive' on channels train."


def failed(reason: str, *last: str) -> str:
    return str(advice.failed({"FailureReason": reason}, [BEGINNING, *last]))


@pytest.mark.parametrize(
    ("reason", "last", "says"),
    [
        ("AlgorithmError: , exit code: 127", 'exec: "train": executable file not found in $PATH', "no program 'train'"),
        (
            "ClientError: CannotStartContainerError. The container can be run with 'docker run <image> train'.",
            "",
            "trainbox image test",
        ),
        ("AlgorithmError: , exit code: 1", "exec /usr/bin/python: exec format error", "not for linux/amd64"),
        ("ClientError: Data download failed:AccessDenied (403): Access Denied", "", "role lacks a right"),
        ("CapacityError: Unable to provision requested ML compute capacity.", "", "another --instance-type or region"),
        ("ResourceLimitExceeded: The account-level service limit 'x' is 0 Instances", "", "servicequotas"),
        ("AlgorithmError: , exit code: 137", "", "Memory ran out"),
        (
            "ClientError: Cannot find repository: trainbox in registry ID: 123 Please check it",
            "",
            "trainbox image push",
        ),
        ("ClientError: unsupported manifest media type", "", "Docker media types"),
        (
            "ClientError: Data download failed:NoSuchKey (404): The specified key does not exist.",
            "",
            "not where the job",
        ),
        ("ClientError: Data download failed:PermanentRedirect (301): The bucket is in this region: x", "", "--region"),
        ('ClientError: No S3 objects found under S3 URL "s3://a/b"', "", "not where the job looks"),
        ("ClientError: Artifact upload failed: insufficient disk space", "", "--volume"),
        ("InternalServerError: We encountered an internal error. Please try again.", "", "AWS's own fault"),
    ],
)
def test_what_is_well_known_has_advice(reason: str, last: str, says: str) -> None:
    said = failed(reason, last)
    assert says in said
    assert "\n" not in said


def test_the_containers_own_line_is_told_from_what_is_around_it() -> None:
    problem = advice.failed({"FailureReason": "AlgorithmError: Hyperparameter 'a' is 3.\n, exit code: 2"}, [])
    assert (str(problem), problem.exit_status) == ("Hyperparameter 'a' is 3.", 2)
    problem = advice.failed({"FailureReason": "AlgorithmError: ZeroDivisionError: by zero, exit code: 1"}, [])
    assert (str(problem), problem.exit_status) == ("ZeroDivisionError: by zero.", 1)


def test_who_says_nothing_is_quoted_with_its_status() -> None:
    assert failed("AlgorithmError: , exit code: 3") == "The container ended with status 3 and did not say why."
    assert failed("") == "The training job failed, and SageMaker does not say why."


def test_what_refuses_its_input_is_not_advised_about_rights() -> None:
    said = failed("AlgorithmError: Channel 'train' is empty: it holds no file (404)., exit code: 2")
    assert said == "Channel 'train' is empty: it holds no file (404)."
