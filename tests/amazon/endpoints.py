"""Endpoints: created, updated while the old model answers, described and deleted; each variant is a real server."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from amazon.account import House
from amazon.models import Models
from amazon.protocol import page
from amazon.refusals import Refusal, invalid
from amazon.scaling import Scaling
from amazon.served import Served
from amazon.training import now, selected

UNWELL = (
    "The primary container for production variant {} did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)


@dataclass
class Endpoint:
    """One endpoint: ``configuration`` is what answers, ``pending`` what is being brought up."""

    name: str
    arn: str
    configuration: str
    status: str = "Creating"
    pending: str | None = None
    failure: str | None = None
    created: datetime = field(default_factory=now)
    changed: datetime = field(default_factory=now)
    variants: list[dict[str, Any]] = field(default_factory=list)
    capture: dict[str, Any] | None = None
    serving: dict[str, Served] = field(default_factory=dict)
    deployed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The models by variant, as they were when they were deployed: they may be deleted since."""

    def enter(self, status: str) -> None:
        """Go to another status."""
        self.status, self.changed = status, now()

    @property
    def is_serverless(self) -> bool:
        return "ServerlessConfig" in self.variants[0]


class Endpoints:
    """The operations on endpoints."""

    def __init__(self, house: House, models: Models, scaling: Scaling) -> None:
        self._house, self._models, self._scaling = house, models, scaling
        self.endpoints: dict[str, Endpoint] = {}
        scaling.exists = lambda name: name in self.endpoints

    def create_endpoint(self, asked: dict[str, Any]) -> dict[str, Any]:
        name, configuration = asked["EndpointName"], asked["EndpointConfigName"]
        with self._house.lock:
            if name in self.endpoints:
                raise invalid(f'Cannot create already existing endpoint "{self.endpoints[name].arn}".')
            self._refuse_quota(self._models.configurations.get(configuration).request["ProductionVariants"])
            made = Endpoint(name, self._house.arn("endpoint", name), configuration)
            self.endpoints[name] = made
        self._house.tag(made.arn, asked.get("Tags"))
        self._bring_up(made, configuration)
        return {"EndpointArn": made.arn}

    def update_endpoint(self, asked: dict[str, Any]) -> dict[str, Any]:
        configuration = asked["EndpointConfigName"]
        with self._house.lock:
            found = self._settled(asked["EndpointName"])
            if found.status == "Failed":
                raise invalid(f'Cannot update endpoint "{found.arn}" in status Failed.')
            wanted = self._models.configurations.get(configuration).request["ProductionVariants"]
            self._refuse_scaled(found, wanted)
            found.pending = configuration
            found.enter("Updating")
        kept = found.variants if asked.get("RetainAllVariantProperties") else []
        self._bring_up(found, configuration, kept)
        return {"EndpointArn": found.arn}

    def update_endpoint_weights_and_capacities(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._settled(asked["EndpointName"])
        for wanted in asked["DesiredWeightsAndCapacities"]:
            self.scale(found.name, wanted["DesiredInstanceCount"])
        return {"EndpointArn": found.arn}

    def scale(self, name: str, count: int) -> None:
        """Have an endpoint have so many machines, as its load would."""
        found = self.found(name)
        found.variants = [{**variant, "InitialInstanceCount": count} for variant in found.variants]

    def _bring_up(self, one: Endpoint, configuration: str, kept: Sequence[dict[str, Any]] = ()) -> None:
        """Read what is to be deployed now, for its documents may go, and deploy it in a thread.

        ``kept`` are variants whose numbers of machines stay.
        """
        asked = self._models.configurations.get(configuration).request
        asked = {**asked, "ProductionVariants": _counted(asked["ProductionVariants"], kept)}
        variants = asked["ProductionVariants"]
        try:
            models = {one["VariantName"]: self._models.models.get(one["ModelName"]).request for one in variants}
        except Refusal as refusal:
            why = refusal.message
            self._house.work(f"endpoint {one.name}", lambda: self._fail(one, why))
            return
        if self._house.bare:
            self._enter_service(one, configuration, asked, models, {})
            return
        self._house.work(f"endpoint {one.name}", lambda: self._deploy(one, configuration, asked, models))

    def _deploy(
        self, one: Endpoint, configuration: str, asked: dict[str, Any], models: dict[str, dict[str, Any]]
    ) -> None:
        self._house.pause()
        fresh: dict[str, Served] = {}
        for variant, model in models.items():
            fresh[variant] = Served(self._house, model, {})
            log = self._house.log(f"/aws/sagemaker/Endpoints/{one.name}", f"{variant}/i-{id(fresh[variant]):017x}")
            try:
                fresh[variant].start(log.put)
            except (Refusal, InterruptedError) as problem:
                for served in fresh.values():
                    served.close()
                log.close()
                why = problem.message if isinstance(problem, Refusal) and problem.code != "ping" else ""
                self._fail(one, why or UNWELL.format(variant))
                return
        self._enter_service(one, configuration, asked, models, fresh)

    def _enter_service(
        self,
        one: Endpoint,
        configuration: str,
        asked: dict[str, Any],
        models: dict[str, dict[str, Any]],
        fresh: dict[str, Served],
    ) -> None:
        old, one.serving, one.deployed = one.serving, fresh, models
        one.configuration, one.pending, one.failure = configuration, None, None
        one.variants, one.capture = asked["ProductionVariants"], asked.get("DataCaptureConfig")
        one.enter("InService")
        for served in old.values():
            served.close()

    def _fail(self, one: Endpoint, reason: str) -> None:
        """A new endpoint has failed; one that was updated answers as before, and says why it was not updated."""
        one.failure, one.pending = reason[:1024], None
        one.enter("InService" if one.serving else "Failed")

    def describe_endpoint(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self.found(asked["EndpointName"])
        return {
            "EndpointName": found.name,
            "EndpointArn": found.arn,
            "EndpointConfigName": found.configuration,
            "ProductionVariants": [_summary(found, variant) for variant in found.variants] or None,
            "DataCaptureConfig": _capture(found.capture),
            "EndpointStatus": found.status,
            "FailureReason": found.failure,
            "CreationTime": found.created,
            "LastModifiedTime": found.changed,
            "PendingDeploymentSummary": {"EndpointConfigName": found.pending} if found.pending else None,
        }

    def list_endpoints(self, asked: dict[str, Any]) -> dict[str, Any]:
        found, token = page(selected(list(self.endpoints.values()), asked), asked)
        listed = [
            {
                "EndpointName": one.name,
                "EndpointArn": one.arn,
                "CreationTime": one.created,
                "LastModifiedTime": one.changed,
                "EndpointStatus": one.status,
            }
            for one in found
        ]
        return {"Endpoints": listed, "NextToken": token}

    def delete_endpoint(self, asked: dict[str, Any]) -> None:
        with self._house.lock:
            found = self._settled(asked["EndpointName"])
            found.enter("Deleting")
        self._house.work(f"endpoint {found.name}", lambda: self._delete(found))

    def _delete(self, one: Endpoint) -> None:
        for served in one.serving.values():
            served.close()
        self._house.pause()
        del self.endpoints[one.name]
        self._house.tags.pop(one.arn, None)

    def found(self, name: str) -> Endpoint:
        """Return an endpoint; raise Refusal where there is none of that name."""
        if name not in self.endpoints:
            raise invalid(f'Could not find endpoint "{self._house.arn("endpoint", name)}".')
        return self.endpoints[name]

    def _settled(self, name: str) -> Endpoint:
        """Return an endpoint with which nothing is going on: another cannot be updated, nor deleted."""
        found = self.found(name)
        if found.status not in ("InService", "Failed"):
            raise invalid(f'Cannot update in-progress endpoint "{found.arn}".')
        return found

    def _refuse_quota(self, variants: list[dict[str, Any]]) -> None:
        for variant in variants:
            kind = variant.get("InstanceType")
            if kind:
                running = [one for other in self.endpoints.values() for one in other.variants]
                used = sum(one["InitialInstanceCount"] for one in running if one.get("InstanceType") == kind)
                self._house.refuse_beyond(f"{kind} for endpoint usage", used, variant["InitialInstanceCount"])

    def _refuse_scaled(self, one: Endpoint, wanted: list[dict[str, Any]]) -> None:
        kinds = {variant["VariantName"]: variant.get("InstanceType") for variant in wanted}
        for variant in one.variants:
            name = variant["VariantName"]
            changed = kinds.get(name) != variant.get("InstanceType")
            if changed and self._scaling.has(f"endpoint/{one.name}/variant/{name}"):
                raise invalid(
                    f'The variant(s) "[{name}]" must be deregistered as a scalable target with AWS Auto Scaling before '
                    "they can be removed or have their instance type updated."
                )


def _summary(one: Endpoint, variant: dict[str, Any]) -> dict[str, Any]:
    count, serverless = variant.get("InitialInstanceCount"), variant.get("ServerlessConfig")
    weight = variant.get("InitialVariantWeight", 1.0)
    image = one.deployed[variant["VariantName"]]["PrimaryContainer"]["Image"]
    return {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": one.changed}],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
        "CurrentServerlessConfig": serverless,
        "DesiredServerlessConfig": serverless,
    }


def _counted(variants: Sequence[dict[str, Any]], kept: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return variants with as many machines as those of the same name among ``kept``."""
    counts = {one["VariantName"]: one["InitialInstanceCount"] for one in kept if "InitialInstanceCount" in one}
    return [
        {**one, "InitialInstanceCount": counts[one["VariantName"]]} if one["VariantName"] in counts else one
        for one in variants
    ]


def _capture(config: dict[str, Any] | None) -> dict[str, Any] | None:
    if not config:
        return None
    on = config.get("EnableCapture", False)
    return {
        "EnableCapture": on,
        "CaptureStatus": "Started" if on else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
