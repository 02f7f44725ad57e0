"""An endpoint that grows and shrinks with what it is asked: target and policy of Application Auto Scaling."""

from typing import Any

from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import FORBIDDEN, AwsFailed, said_by_aws
from trainbox.platforms.sagemaker.hosting.request import TAG, VARIANT

SERVICE = "application-autoscaling"
POLICY = "trainbox"
REQUESTS_A_MINUTE = 600.0
"""What one machine is asked to answer before another one is added: ten pictures a second."""

SECONDS_BEFORE_FEWER, SECONDS_BEFORE_MORE = 300, 60

Bounds = tuple[int, int]


def target(endpoint: str, bounds: Bounds, task: str) -> dict[str, Any]:
    """Return the request of RegisterScalableTarget."""
    return {
        **_variant(endpoint),
        "MinCapacity": bounds[0],
        "MaxCapacity": bounds[1],
        "Tags": {TAG: task},
    }


def policy(endpoint: str) -> dict[str, Any]:
    """Return the request of PutScalingPolicy: as many machines as keep each below ten requests a second."""
    return {
        **_variant(endpoint),
        "PolicyName": POLICY,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": REQUESTS_A_MINUTE,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleInCooldown": SECONDS_BEFORE_FEWER,
            "ScaleOutCooldown": SECONDS_BEFORE_MORE,
        },
    }


def bounds(account: Account, endpoint: str) -> Bounds | None:
    """Return the least and most machines of an endpoint that scales, None of one that does not; raise AwsFailed.

    Who may not even ask is taken to have none: hosting that does not scale wants no such right.
    """
    variant = _variant(endpoint)
    asked = {name: variant[name] for name in ("ServiceNamespace", "ScalableDimension")}
    try:
        with said_by_aws(f"ask how endpoint '{endpoint}' scales"):
            answer = account.client(SERVICE).describe_scalable_targets(ResourceIds=[variant["ResourceId"]], **asked)
    except AwsFailed as problem:
        if problem.code in FORBIDDEN:
            return None
        raise
    found = answer["ScalableTargets"]
    return (found[0]["MinCapacity"], found[0]["MaxCapacity"]) if found else None


def noted(text: str) -> Bounds | None:
    """Return the bounds that a tag notes as MIN:MAX, None where it notes none."""
    least, _, most = text.partition(":")
    return (int(least), int(most)) if least.isdecimal() and most.isdecimal() else None


def set_bounds(account: Account, endpoint: str, wanted: Bounds | None, task: str) -> None:
    """Have the endpoint, which is in service, scale within these bounds, or not at all; raise AwsFailed."""
    if wanted is None:
        remove(account, endpoint)
        return
    client = account.client(SERVICE)
    with said_by_aws(f"have endpoint '{endpoint}' scale"):
        client.register_scalable_target(**target(endpoint, wanted, task))
        client.put_scaling_policy(**policy(endpoint))


def remove(account: Account, endpoint: str) -> bool:
    """Remove target and policies, and return whether there were any; raise AwsFailed."""
    if bounds(account, endpoint) is None:
        return False
    client, variant = account.client(SERVICE), _variant(endpoint)
    try:
        with said_by_aws(f"stop endpoint '{endpoint}' from scaling"):
            # Its policies, and the alarms that they made, go with it.
            client.deregister_scalable_target(**variant)
    except AwsFailed as problem:
        if problem.code != "ObjectNotFoundException":
            raise
    return True


def _variant(endpoint: str) -> dict[str, Any]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
