"""What becomes of a deployment that failed: what is new is removed, what was there is as it was, others' stays."""

from typing import Any

from trainbox.platforms.sagemaker.aws.failures import AwsFailed, said_by_aws
from trainbox.platforms.sagemaker.hosting import endpoints, scaling
from trainbox.platforms.sagemaker.hosting.deployment import Deployment
from trainbox.platforms.sagemaker.hosting.endpoints import IN_SERVICE, Endpoint, Removed
from trainbox.platforms.sagemaker.hosting.failures import ENDPOINT_LOGS, HostingFailed, last_lines
from trainbox.platforms.sagemaker.hosting.request import MADE_BY, SCALED, VARIANT


def withdraw(one: Deployment, reason: BaseException) -> None:
    """Remove what this command made until ``reason`` ended it; raise AwsFailed, with both, where AWS does not do that.

    An interrupt stays one: what stands is then only said.
    """
    stands = f"What was made may stand and be billed: trainbox undeploy {one.name} removes it."
    try:
        _remove_made(one)
    except AwsFailed as problem:
        if isinstance(reason, AwsFailed):
            raise AwsFailed(f"{reason} {problem} {stands}", problem.code) from problem
        one.say(f"{problem} {stands}")


def _remove_made(one: Deployment) -> None:
    """Remove what has the mark of this command, and nothing that another one made.

    An endpoint whose creation was answered with an error, or not at all, may stand all the same. Raises AwsFailed.
    """
    found = endpoints.find(one.account, one.name)
    if one.before is None and found and found.tags.get(MADE_BY) == one.mark:
        endpoints.undeploy(one.account, one.name, one.say)
        return
    needed = {found.configuration, found.pending} if found else set()
    endpoints.sweep(one.account, one.name, Removed(one.name), needed, one.mark)
    if one.before and found and found.heading_for in (one.wanted, one.old):
        scale_as_before(one)


def give_up(one: Deployment) -> None:
    """Say what the container logged; remove what is new, and have an endpoint that was there be as it was.

    Raises HostingFailed where the endpoint cannot be relied on, or is another command's by now; AwsFailed.
    """
    found = endpoints.find(one.account, one.name)
    if found and found.heading_for not in (one.wanted, one.old):
        raise HostingFailed(f"Endpoint '{one.name}' was updated by another command meanwhile, and stays as it is.")
    for line in last_lines(one.account, f"{ENDPOINT_LOGS}{one.name}"):
        one.say(f"  {line}")
    if one.outcome == "created":
        _remove_new(one, found)
    elif one.outcome == "updated":
        _take_back(one, found)
        endpoints.sweep(one.account, one.name, Removed(one.name), {one.old})
        scale_as_before(one)


def scale_as_before(one: Deployment) -> None:
    """Have the endpoint scale within the bounds that it had, where they were taken away; raise AwsFailed."""
    if one.scaled and scaling.bounds(one.account, one.name) is None:
        scaling.set_bounds(one.account, one.name, one.scaled, one.hosting.task)
    forget_note(one)


def forget_note(one: Deployment) -> None:
    """Remove the tag that noted bounds to be set again, where there may be one; raise AwsFailed."""
    if one.before and (one.scaled or SCALED in one.before.tags):
        with said_by_aws(f"remove the tag '{SCALED}' of the endpoint '{one.name}'"):
            one.account.sagemaker.delete_tags(ResourceArn=one.before.arn, TagKeys=[SCALED])


def _remove_new(one: Deployment, found: Endpoint | None) -> None:
    """Remove a new endpoint; one that is in service and that another command made is not ours to remove."""
    if found and found.status != "Failed" and found.tags.get(MADE_BY) != one.mark:
        one.say(f"Endpoint '{one.name}', which another command made, stays: trainbox undeploy {one.name} removes it.")
        return
    one.say(f"Removing the endpoint '{one.name}' and what was made for it: nothing is left that costs money.")
    endpoints.undeploy(one.account, one.name, one.say)


def _take_back(one: Deployment, found: Endpoint | None) -> None:
    """Have the endpoint go back to what it had, where SageMaker did not see to that; raise HostingFailed."""
    status = found.status if found else "gone"
    if found and status == IN_SERVICE and found.configuration != one.old:
        one.say(f"Going back to the model that endpoint '{one.name}' had.")
        status = _back(one, found)
    if status != IN_SERVICE:
        raise HostingFailed(
            f"Endpoint '{one.name}' is {status}: it cannot be relied on that the old model answers. "
            f"Deploy again, or remove it: trainbox undeploy {one.name}."
        )
    one.say(f"Endpoint '{one.name}' has the model that it had before.")


def _back(one: Deployment, found: Endpoint) -> str:
    """Give the endpoint its old configuration and as many machines as it had; return the status that it comes to."""
    sagemaker, had = one.account.sagemaker, one.before.instances if one.before else None
    kept: dict[str, Any] = {"RetainAllVariantProperties": True} if found.instances and had else {}
    with said_by_aws(f"take the endpoint '{one.name}' back"):
        sagemaker.update_endpoint(EndpointName=one.name, EndpointConfigName=one.old, **kept)
    status = str(endpoints.wait(one.account, one.name, one.say)["EndpointStatus"])
    now = endpoints.find(one.account, one.name)
    # What scales by itself may have come to another number meanwhile.
    if status == IN_SERVICE and had and now and now.instances != had and "RetainAllVariantProperties" not in one.update:
        with said_by_aws(f"give the endpoint '{one.name}' its {had} machines back"):
            counts = [{"VariantName": VARIANT, "DesiredInstanceCount": had}]
            sagemaker.update_endpoint_weights_and_capacities(EndpointName=one.name, DesiredWeightsAndCapacities=counts)
        status = str(endpoints.wait(one.account, one.name, one.say)["EndpointStatus"])
    return status
