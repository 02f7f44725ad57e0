"""Endpoints that stand at SageMaker: which are ours, what belongs to them, and how they are taken down."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, said_by_aws
from trainbox.platforms.sagemaker.aws.waiting import settled
from trainbox.platforms.sagemaker.hosting import scaling
from trainbox.platforms.sagemaker.hosting.request import MADE_BY, OF_ENDPOINT, TAG, VARIANT, stem

Say = Callable[[str], None]

MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
IN_SERVICE, GONE = "InService", "Gone"


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as AWS describes it. ``instances``: how many machines it is to have, None without any of its own."""

    name: str
    arn: str
    status: str
    configuration: str
    pending: str
    reason: str
    serverless: bool
    instances: int | None
    tags: Mapping[str, str] = field(repr=False)

    @property
    def heading_for(self) -> str:
        """The name of the configuration that it has or will have."""
        return self.pending or self.configuration

    @property
    def ours(self) -> bool:
        """Whether Trainbox made it."""
        return TAG in self.tags


def find(account: Account, name: str) -> Endpoint | None:
    """Return the endpoint of that name, None where there is none; raise AwsFailed."""
    try:
        answer = described(account, name)
    except AwsFailed as problem:
        if is_missing(problem):
            return None
        raise
    variants = answer.get("ProductionVariants") or [{}]
    return Endpoint(
        name,
        answer["EndpointArn"],
        answer["EndpointStatus"],
        answer.get("EndpointConfigName", ""),
        answer.get("PendingDeploymentSummary", {}).get("EndpointConfigName", ""),
        answer.get("FailureReason", ""),
        "CurrentServerlessConfig" in variants[0],
        next((one.get("DesiredInstanceCount") for one in variants if one.get("VariantName") == VARIANT), None),
        tags_of(account, answer["EndpointArn"]),
    )


def described(account: Account, name: str) -> Mapping[str, Any]:
    """Return what AWS says of an endpoint; raise AwsFailed."""
    with said_by_aws(f"find the endpoint '{name}'"):
        return account.sagemaker.describe_endpoint(EndpointName=name)


def tags_of(account: Account, arn: str) -> dict[str, str]:
    """Return the tags of something of SageMaker's; none where it is gone. Raises AwsFailed."""
    tags: dict[str, str] = {}
    try:
        with said_by_aws(f"read the tags of {arn}"):
            for page in account.sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn):
                tags |= {tag["Key"]: tag["Value"] for tag in page["Tags"]}
    except AwsFailed as problem:
        if not is_missing(problem):
            raise
    return tags


def is_missing(problem: AwsFailed) -> bool:
    """Tell whether AWS says that there is no such thing, in any of the words it has for that."""
    missing = ("could not find", "not found", "does not exist")
    return problem.code in ("ResourceNotFound", "ResourceNotFoundException") or (
        problem.code == "ValidationException" and any(words in str(problem).lower() for words in missing)
    )


def wait(account: Account, name: str, say: Say) -> Mapping[str, Any]:
    """Wait until the endpoint is not under way any more; return what AWS says of it then. Raises AwsFailed."""
    return settled(f"Endpoint '{name}'", lambda: described(account, name), "EndpointStatus", MOVING, say)


@dataclass
class Removed:
    """What was taken down, and what stays because it is the user's."""

    endpoint: str
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def undeploy(account: Account, name: str, say: Say, force: bool = False) -> Removed:
    """Remove an endpoint and all that was made for it; what is gone already is passed over.

    Raises UsageError where it is not of Trainbox's making, unless ``force`` says to remove it nevertheless: its
    configuration and its models, which others may use, then stay. Raises AwsFailed.
    """
    done, found = Removed(name), find(account, name)
    if found and not found.ours and not force:
        raise UsageError(
            f"Endpoint '{name}' was not made by Trainbox: it has no tag '{TAG}'. Remove it nevertheless with --force."
        )
    if scaling.remove(account, name):
        done.removed.append(f"scaling of '{name}'")
    if found:
        _delete_endpoint(account, found, say)
        done.removed.append(f"endpoint '{name}'")
    sweep(account, name, done)
    if found:
        _note_kept(account, found, done)
    return done


def sweep(account: Account, name: str, done: Removed, keep: Collection[str] = (), mark: str = "") -> None:
    """Remove the configurations and models made for an endpoint, but the configurations to ``keep`` and their models.

    With a ``mark``, only those that the command made whose mark it is. Raises AwsFailed.
    """
    sagemaker, keep = account.sagemaker, {*keep} - {""}
    kept_models = {model for one in keep if one for model in _models_of(configuration(account, one))}
    for one in sorted({*_belonging(account, name, "list_endpoint_configs", "EndpointConfig", mark)} - keep):
        _note_captures(configuration(account, one), done)
        if _deleted(f"endpoint configuration '{one}'", sagemaker.delete_endpoint_config, EndpointConfigName=one):
            done.removed.append(f"endpoint configuration '{one}'")
    for one in sorted({*_belonging(account, name, "list_models", "Model", mark)} - kept_models):
        if _deleted(f"model '{one}'", sagemaker.delete_model, ModelName=one):
            done.removed.append(f"model '{one}'")


def configuration(account: Account, name: str) -> Mapping[str, Any]:
    """Return what AWS says of an endpoint configuration, nothing where there is none; raise AwsFailed."""
    try:
        with said_by_aws(f"read the endpoint configuration '{name}'"):
            return account.sagemaker.describe_endpoint_config(EndpointConfigName=name)
    except AwsFailed as problem:
        if is_missing(problem):
            return {}
        raise


def _models_of(configuration: Mapping[str, Any]) -> set[str]:
    return {one["ModelName"] for one in configuration.get("ProductionVariants", ()) if one.get("ModelName")}


def _note_kept(account: Account, found: Endpoint, done: Removed) -> None:
    """Note what the endpoint had and was not made for it: it had been pointed there, and others may use it."""
    for one in sorted({found.configuration, found.pending} - {""}):
        about = configuration(account, one)
        if about:
            _note_captures(about, done)
            there = [f"endpoint configuration '{one}'", *(f"model '{model}'" for model in sorted(_models_of(about)))]
            done.kept += [what for what in there if what not in done.removed]


def _note_captures(configuration: Mapping[str, Any], done: Removed) -> None:
    place = configuration.get("DataCaptureConfig", {}).get("DestinationS3Uri")
    if place and place not in done.kept:
        done.kept.append(place)


def _belonging(account: Account, name: str, operation: str, kind: str, mark: str) -> Iterator[str]:
    """Yield the names of the configurations or models that were made for an endpoint, told by their tags."""
    found: list[tuple[str, str]] = []
    with said_by_aws(f"look for what belongs to the endpoint '{name}'"):
        for page in account.sagemaker.get_paginator(operation).paginate(NameContains=stem(name)):
            found += [(one[f"{kind}Name"], one[f"{kind}Arn"]) for one in page[f"{kind}s"]]
    for one, arn in found:
        if one.startswith(f"{stem(name)}-"):
            tags = tags_of(account, arn)
            if tags.get(OF_ENDPOINT) == name and mark in ("", tags.get(MADE_BY)):
                yield one


def _delete_endpoint(account: Account, found: Endpoint, say: Say) -> None:
    """Delete an endpoint and wait until it is gone: until then its configuration must stand."""
    name = found.name

    def over() -> Mapping[str, Any]:
        return settled(f"Endpoint '{name}'", lambda: _or_gone(account, name), "EndpointStatus", MOVING, say)

    try:
        if found.status != "Deleting":
            _deleted(f"endpoint '{name}'", account.sagemaker.delete_endpoint, EndpointName=name)
    except AwsFailed as problem:
        if problem.code != "ValidationException" or found.status not in MOVING:
            raise
        say(f"Endpoint '{name}' is {found.status}: it can be removed when that is over.")
        over()
        _deleted(f"endpoint '{name}'", account.sagemaker.delete_endpoint, EndpointName=name)
    last = over()
    if last["EndpointStatus"] != GONE:
        reason = last.get("FailureReason", "no reason given")
        raise AwsFailed(f"Endpoint '{name}' cannot be removed: {last['EndpointStatus']}, {reason}. Try again.")


def _or_gone(account: Account, name: str) -> Mapping[str, Any]:
    try:
        return described(account, name)
    except AwsFailed as problem:
        if is_missing(problem):
            return {"EndpointStatus": GONE}
        raise


def _deleted(what: str, delete: Callable[..., object], **named: str) -> bool:
    """Delete something, and return whether it was there; raise AwsFailed."""
    try:
        with said_by_aws(f"delete the {what}"):
            delete(**named)
    except AwsFailed as problem:
        if is_missing(problem):
            return False
        raise
    return True
