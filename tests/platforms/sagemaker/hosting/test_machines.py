"""An endpoint on machines that is updated: it keeps as many as it has come to, and scales as it did."""

import json
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from platforms.sagemaker.small_bundle import write_small_bundle
from trainbox import cli
from trainbox.platforms.sagemaker.hosting import scaling

Captured = pytest.CaptureFixture[str]

LARGE, XLARGE = ("--instance-type", "ml.m5.large"), ("--instance-type", "ml.m5.xlarge")


@pytest.fixture
def scaled(aws: Aws, desk: Path, capsys: Captured) -> str:
    """An endpoint that scales from 2 to 5 machines, by a policy of the user's own, and has come to 4; its model."""
    aws.sagemaker.house.bare = True
    write_small_bundle(desk / "other", b"other")
    assert deploy(aws, capsys, str(write_small_bundle(desk / "pilot")), *LARGE, "--no-wait")["outcome"] == "created"
    client = aws.client(scaling.SERVICE)
    client.register_scalable_target(**scaling.target("pilot", (2, 5), "drive"))
    client.put_scaling_policy(**{**scaling.policy("pilot"), "PolicyName": "of-the-user"})
    aws.sagemaker.endpoints.scale("pilot", 4)
    return str(desk / "other")


def deploy(aws: Aws, capsys: Captured, model: str, *arguments: str, status: int = 0, tried: bool = False) -> Any:
    """Deploy a model as pilot. Nothing answers behind it, so a trial fails, unless we may not try it."""
    if not tried:
        aws.faults.fail("InvokeEndpoint", "AccessDeniedException")
    received = cli.run(["deploy", model, "pilot", *arguments, "--json"])
    aws.faults.clear()
    said = capsys.readouterr()
    assert received == status, said.err
    return json.loads(said.out) if status == 0 else said.err


def machines(aws: Aws) -> int:
    """Return how many machines the endpoint has."""
    return aws.client("sagemaker").describe_endpoint(EndpointName="pilot")["ProductionVariants"][0][
        "DesiredInstanceCount"
    ]


def bounds(aws: Aws) -> tuple[int, int] | None:
    targets = list(aws.sagemaker.scaling.targets.values())
    return (targets[0]["MinCapacity"], targets[0]["MaxCapacity"]) if targets else None


def policies(aws: Aws) -> list[str]:
    return [name for _, _, name in aws.sagemaker.scaling.policies]


@pytest.mark.parametrize("further", [(), ("--no-wait",)])
def test_another_model_keeps_machines_and_scaling(
    aws: Aws, scaled: str, further: tuple[str, ...], capsys: Captured
) -> None:
    result = deploy(aws, capsys, scaled, *LARGE, *further)
    assert (result["outcome"], result["instances"]) == ("updated", 4)
    assert "costs 4 ml.m5.large" in result["idle_cost"]
    assert (machines(aws), bounds(aws), policies(aws)) == (4, (2, 5), ["of-the-user"])
    assert not aws.asked("DeregisterScalableTarget")


def test_other_bounds_keep_the_machines(aws: Aws, scaled: str, capsys: Captured) -> None:
    deploy(aws, capsys, scaled, *LARGE, "--instances", "2", "--autoscale", "2:6")
    assert (machines(aws), bounds(aws)) == (4, (2, 6))


def test_a_number_of_machines_is_what_there_is_then(aws: Aws, scaled: str, capsys: Captured) -> None:
    for model in (scaled, scaled.replace("other", "pilot")):
        aws.sagemaker.endpoints.scale("pilot", 4)
        assert deploy(aws, capsys, model, *LARGE, "--instances", "1")["instances"] == 1
        assert (machines(aws), bounds(aws)) == (1, None)


@pytest.mark.parametrize("further", [(), ("--no-wait",)])
def test_other_machines_scale_again_once_they_are_in_service(
    aws: Aws, scaled: str, further: tuple[str, ...], capsys: Captured
) -> None:
    deploy(aws, capsys, scaled, *XLARGE, *further)
    if further:
        assert bounds(aws) is None, "what scales cannot change its machines"
        deploy(aws, capsys, scaled, *XLARGE)
    assert (machines(aws), bounds(aws)) == (4, (2, 5))
    assert len(aws.asked("UpdateEndpoint")) == 1
    [tags] = [tags for arn, tags in aws.sagemaker.house.tags.items() if arn.endswith(":endpoint/pilot")]
    assert "trainbox:scaling" not in tags


@pytest.mark.parametrize("arguments", [LARGE, XLARGE, (*LARGE, "--instances", "1"), ()])
def test_where_the_new_model_fails_machines_and_scaling_are_as_they_were(
    aws: Aws, scaled: str, arguments: tuple[str, ...], capsys: Captured
) -> None:
    before = aws.sagemaker.endpoint("pilot").configuration
    said = deploy(aws, capsys, scaled, *arguments, status=1, tried=True)
    assert "has the model that it had before" in said
    assert aws.sagemaker.endpoint("pilot").configuration == before
    assert (machines(aws), bounds(aws)) == (4, (2, 5))
    assert list(aws.sagemaker.models.configurations.documents) == [before]


def test_a_number_of_machines_ends_scaling_though_nobody_waits(aws: Aws, scaled: str, capsys: Captured) -> None:
    deploy(aws, capsys, scaled, *LARGE, "--instances", "1", "--no-wait")
    assert (machines(aws), bounds(aws)) == (1, None)


@pytest.mark.parametrize("arguments", [LARGE, (*LARGE, "--instances", "1", "--no-wait"), ()])
def test_an_old_note_of_bounds_is_removed(aws: Aws, scaled: str, arguments: tuple[str, ...], capsys: Captured) -> None:
    [tags] = [tags for arn, tags in aws.sagemaker.house.tags.items() if arn.endswith(":endpoint/pilot")]
    tags["trainbox:scaling"] = "3:7"
    deploy(aws, capsys, scaled, *arguments)
    [tags] = [tags for arn, tags in aws.sagemaker.house.tags.items() if arn.endswith(":endpoint/pilot")]
    assert "trainbox:scaling" not in tags
