"""What comes between: another command of the same moment, a lost answer, ctrl-C and SIGTERM while AWS is asked."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from amazon.aws import Aws
from platforms.sagemaker.conftest import standing
from trainbox import cli

Captured = pytest.CaptureFixture[str]

PILOT = ("deploy", "./pilot", "pilot")


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
    assert "goes on by itself" in capsys.readouterr().err
    assert aws.sagemaker.endpoint("pilot").status == "Creating"


def test_what_cannot_be_withdrawn_is_said_beside_the_reason(aws: Aws, pilot: Path, capsys: Captured) -> None:
    aws.faults.fail("CreateEndpoint", "AccessDeniedException")
    aws.faults.fail("DeleteModel", "InternalFailure", times=20, status=400)
    assert cli.run([*PILOT]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "Cannot create the endpoint 'pilot'" in last and "Cannot delete the model" in last
    assert "may stand and be billed: trainbox undeploy pilot removes it." in last
    assert len(standing(aws)) == 1


def test_what_cannot_be_withdrawn_leaves_an_interrupt_one(
    aws: Aws, pilot: Path, told: Callable[[int], Callable[[], None]], capsys: Captured
) -> None:
    aws.faults.hold("CreateModel", told(signal.SIGTERM))
    aws.faults.fail("DeleteModel", "AccessDeniedException")
    assert cli.run([*PILOT]) == 130
    said = capsys.readouterr().err
    assert "may stand and be billed: trainbox undeploy pilot removes it." in said
    assert said.strip().splitlines()[-1] == "Interrupted."


def test_who_is_done_leaves_what_another_one_is_just_updating_to(aws: Aws, pilot: Path, capsys: Captured) -> None:
    def update() -> None:
        aws.sagemaker.house.bare, aws.sagemaker.house.pause_seconds = False, 30
        other(*PILOT, "--memory", "3072")()

    aws.faults.fail("InvokeEndpoint", "AccessDeniedException")
    aws.faults.hold("InvokeEndpoint", update)
    assert cli.run([*PILOT]) == 0
    endpoint = aws.sagemaker.endpoint("pilot")
    assert endpoint.pending
    assert {endpoint.configuration, endpoint.pending} == set(aws.sagemaker.models.configurations.documents)


def test_an_endpoint_that_is_being_removed_is_not_taken_for_deployed(aws: Aws, pilot: Path, capsys: Captured) -> None:
    other(*PILOT)()
    aws.sagemaker.endpoint("pilot").status = "Deleting"
    assert cli.run([*PILOT, "--no-wait"]) == 2
    assert "is Deleting. Wait until that is over" in capsys.readouterr().err


def test_an_endpoint_that_someone_else_removes_meanwhile_is_removed(aws: Aws, pilot: Path, capsys: Captured) -> None:
    aws.sagemaker.house.bare, aws.sagemaker.house.pause_seconds = False, 30
    other(*PILOT)()
    remove = aws.sagemaker.endpoints.endpoints.clear
    aws.faults.hold("DeleteEndpoint", lambda: aws.faults.hold("DescribeEndpoint", remove))
    assert cli.run(["undeploy", "pilot"]) == 0, capsys.readouterr().err
    assert not standing(aws)
