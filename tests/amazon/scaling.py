"""Application Auto Scaling, for variants of endpoints: targets and policies are kept, nothing is scaled."""

import uuid
from collections.abc import Callable
from typing import Any

from amazon.account import NUMBER, House
from amazon.refusals import Refusal
from amazon.training import now

ROLE = (
    f"arn:aws:iam::{NUMBER}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)


class Scaling:
    """The operations on scalable targets and scaling policies."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.targets: dict[tuple[str, str], dict[str, Any]] = {}
        self.policies: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.exists: Callable[[str], bool] = lambda name: False

    def has(self, resource: str) -> bool:
        """Tell whether a variant is a scalable target."""
        return any(target == resource for target, _ in self.targets)

    def register_scalable_target(self, asked: dict[str, Any]) -> dict[str, Any]:
        parts = asked["ResourceId"].split("/")
        if len(parts) != 4 or not self.exists(parts[1]):
            raise Refusal("ValidationException", f"Could not find endpoint of {asked['ResourceId']}.")
        key = (asked["ResourceId"], asked["ScalableDimension"])
        if key not in self.targets and not {"MinCapacity", "MaxCapacity"} <= set(asked):
            raise Refusal("ValidationException", "MinCapacity and MaxCapacity are required for a new scalable target.")
        kept = {name: value for name, value in asked.items() if name != "Tags"}
        self.targets[key] = {"CreationTime": now(), "RoleARN": ROLE, **self.targets.get(key, {}), **kept}
        return {"ScalableTargetARN": f"arn:aws:application-autoscaling:{self._house.region}:{NUMBER}:scalable-target/1"}

    def describe_scalable_targets(self, asked: dict[str, Any]) -> dict[str, Any]:
        wanted = asked.get("ResourceIds")
        found = [one for one in self.targets.values() if not wanted or one["ResourceId"] in wanted]
        return {"ScalableTargets": found}

    def deregister_scalable_target(self, asked: dict[str, Any]) -> None:
        key = self._target(asked)
        del self.targets[key]
        self.policies = {name: one for name, one in self.policies.items() if name[:2] != key}

    def put_scaling_policy(self, asked: dict[str, Any]) -> dict[str, Any]:
        resource, dimension = self._target(asked)
        arn = (
            f"arn:aws:autoscaling:{self._house.region}:{NUMBER}:scalingPolicy:{uuid.uuid4()}:resource/sagemaker/"
            f"{resource}:policyName/{asked['PolicyName']}"
        )
        kept = {"PolicyType": "StepScaling", **asked, "PolicyARN": arn, "CreationTime": now()}
        self.policies[resource, dimension, asked["PolicyName"]] = kept
        return {"PolicyARN": arn, "Alarms": []}

    def describe_scaling_policies(self, asked: dict[str, Any]) -> dict[str, Any]:
        wanted = asked.get("ResourceId")
        return {"ScalingPolicies": [one for one in self.policies.values() if wanted in (None, one["ResourceId"])]}

    def delete_scaling_policy(self, asked: dict[str, Any]) -> None:
        key = (asked["ResourceId"], asked["ScalableDimension"], asked["PolicyName"])
        if self.policies.pop(key, None) is None:
            raise Refusal("ObjectNotFoundException", f"No scaling policy found for {key}.")

    def _target(self, asked: dict[str, Any]) -> tuple[str, str]:
        key = (asked["ResourceId"], asked["ScalableDimension"])
        if key not in self.targets:
            raise Refusal("ObjectNotFoundException", f"No scalable target found for {key}.")
        return key
