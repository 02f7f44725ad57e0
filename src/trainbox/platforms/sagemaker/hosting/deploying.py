"""A model becomes an endpoint, or takes the place of the one that an endpoint has; what fails leaves nothing behind."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from trainbox.data.files import UnreadableFile
from trainbox.errors import TrainboxError, UsageError
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import FORBIDDEN, AwsFailed, LoggedOut, said_by_aws
from trainbox.platforms.sagemaker.hosting import endpoints, scaling
from trainbox.platforms.sagemaker.hosting.endpoints import IN_SERVICE, MOVING, Endpoint, Removed
from trainbox.platforms.sagemaker.hosting.failures import ENDPOINT_LOGS, HostingFailed, failed, last_lines
from trainbox.platforms.sagemaker.hosting.invoking import OverSageMaker
from trainbox.platforms.sagemaker.hosting.request import Hosting, Instances
from trainbox.serving.remote import RemotePredictor

Say = Callable[[str], None]


@dataclass(frozen=True)
class Deployed:
    """What came of it. ``outcome``: created, updated or unchanged; ``answer``: to the picture it was tried with.

    ``status`` is the endpoint's; where nobody waited for it, it may still fail.
    """

    endpoint: str
    outcome: str
    status: str
    answer: Mapping[str, Any] = field(default_factory=dict)
    said: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class _Deployment:
    """One deployment under way. ``before`` is the endpoint as it stood, ``scaled`` the bounds it scaled within."""

    account: Account
    hosting: Hosting
    before: Endpoint | None
    scaled: scaling.Bounds | None
    outcome: str
    say: Say

    @property
    def name(self) -> str:
        return self.hosting.name

    @property
    def wanted(self) -> str:
        return str(self.hosting.configuration["EndpointConfigName"])

    @property
    def old(self) -> str:
        """The configuration that the endpoint had."""
        return self.before.configuration if self.before else ""


def deploy(account: Account, hosting: Hosting, picture: bytes, say: Say, wait: bool = True) -> Deployed:
    """Have the endpoint be as ``hosting`` says, and try it with ``picture``.

    Raises UsageError where the endpoint is someone else's or busy, HostingFailed where it does not come into service or
    does not answer: a new one is then removed, an old one as it was. Raises AwsFailed where AWS cannot be asked.
    """
    before = _before(account, hosting, say)
    scaled = scaling.bounds(account, hosting.name) if before and not before.serverless else None
    one = _Deployment(account, hosting, before, scaled, _outcome(before, hosting), say)
    if before and before.heading_for == one.wanted:
        say(f"Endpoint '{one.name}' has this model and configuration already.")
    else:
        _begin(one)
    if not wait:
        found = endpoints.find(account, one.name)
        return Deployed(one.name, one.outcome, found.status if found else "")
    with _told(one.name, say):
        return _finish(one, picture)


def _before(account: Account, hosting: Hosting, say: Say) -> Endpoint | None:
    """Return the endpoint that stands, having removed one that failed; raise UsageError for one not to be touched."""
    found = endpoints.find(account, hosting.name)
    if found is None:
        return None
    if not found.ours:
        raise UsageError(f"Endpoint '{hosting.name}' exists, and not of Trainbox's making. Give another NAME.")
    if found.status == "UpdateRollbackFailed":
        raise UsageError(
            f"Endpoint '{hosting.name}' is {found.status}: it answers with a mix of two models. "
            f"Remove it, then deploy again: trainbox undeploy {hosting.name}."
        )
    if found.status in ("Failed", "OutOfService"):
        say(f"Endpoint '{hosting.name}' is {found.status}: it is removed and made anew.")
        endpoints.undeploy(account, hosting.name, say)
        return None
    if found.status in MOVING and found.heading_for != hosting.configuration["EndpointConfigName"]:
        raise UsageError(f"Endpoint '{hosting.name}' is {found.status}. Wait until that is over, then try again.")
    return found


def _outcome(before: Endpoint | None, hosting: Hosting) -> str:
    """Say what is done, or was begun by an earlier command that did not wait for the end."""
    if before is None or before.status == "Creating":
        return "created"
    wanted = hosting.configuration["EndpointConfigName"]
    return "unchanged" if before.heading_for == wanted and before.status not in MOVING else "updated"


def _begin(one: _Deployment) -> None:
    """Make model, configuration and endpoint; where one is refused, remove those before it and raise."""
    try:
        _make_all(one)
    except LoggedOut:
        one.say(f"What was made until then stands: trainbox undeploy {one.name} removes it.")
        raise
    except (AwsFailed, KeyboardInterrupt):
        # An endpoint whose creation was answered with an error, or not at all, may stand all the same.
        if one.before is None:
            endpoints.undeploy(one.account, one.name, one.say)
        else:
            _as_before(one)
        raise


def _make_all(one: _Deployment) -> None:
    sagemaker, hosting = one.account.sagemaker, one.hosting
    _make(f"model '{hosting.model['ModelName']}'", sagemaker.create_model, hosting.model)
    _make(f"endpoint configuration '{one.wanted}'", sagemaker.create_endpoint_config, hosting.configuration)
    if one.before is None:
        one.say(f"Making the endpoint '{one.name}'.")
        _make(f"endpoint '{one.name}'", sagemaker.create_endpoint, hosting.endpoint)
        return
    one.say(f"Updating the endpoint '{one.name}'; until that is done the old model answers.")
    if one.scaled:
        # What scales cannot change its machines.
        scaling.remove(one.account, one.name)
    with said_by_aws(f"tag the endpoint '{one.name}'"):
        # The tags first: once the endpoint moves, what it moves to must not be taken back for want of a tag.
        sagemaker.add_tags(ResourceArn=one.before.arn, Tags=hosting.all_tags)
    try:
        with said_by_aws(f"update the endpoint '{one.name}'"):
            sagemaker.update_endpoint(**hosting.update)
    except AwsFailed:
        # Where an answer was lost, botocore asks again, and is refused because the endpoint moves already.
        now = endpoints.find(one.account, one.name)
        if now is None or now.heading_for != one.wanted:
            raise


def _make(what: str, create: Callable[..., object], request: Mapping[str, Any]) -> None:
    """Create something; that it is there is well, for its name says what it is."""
    try:
        with said_by_aws(f"create the {what}"):
            create(**request)
    except AwsFailed as problem:
        if "already exist" not in str(problem).lower():
            raise


@contextmanager
def _told(name: str, say: Say) -> Iterator[None]:
    """Say, where nobody waits any longer, what goes on without us."""
    try:
        yield
    except (KeyboardInterrupt, AwsFailed):
        say(
            f"Endpoint '{name}' goes on by itself. The same command waits for it again; "
            f"trainbox undeploy {name} removes it."
        )
        raise


def _finish(one: _Deployment, picture: bytes) -> Deployed:
    last = endpoints.wait(one.account, one.name, one.say)
    if last["EndpointStatus"] != IN_SERVICE or last["EndpointConfigName"] != one.wanted:
        _give_up(one)
        raise failed(f"Endpoint '{one.name}'", last.get("FailureReason", ""))
    began = time.monotonic()
    try:
        answer, said = _tried(one, picture)
    except LoggedOut:
        raise
    except (TrainboxError, UnreadableFile) as problem:
        _give_up(one)
        reason = problem.reason if isinstance(problem, UnreadableFile) else str(problem)
        raise failed(f"The trial of endpoint '{one.name}'", reason) from problem
    seconds = time.monotonic() - began
    _settle(one)
    return Deployed(one.name, one.outcome, IN_SERVICE, answer, said, seconds)


def _tried(one: _Deployment, picture: bytes) -> tuple[Mapping[str, Any], str]:
    """Return the answer to a picture, and the same in words."""
    try:
        with RemotePredictor(OverSageMaker(one.account, one.name)) as predictor:
            answer = predictor.predict(picture)
            return answer, predictor.say(answer)
    except AwsFailed as problem:
        if problem.code not in FORBIDDEN:
            raise
        one.say(f"The endpoint was not tried. {problem}")
        return {}, ""


def _settle(one: _Deployment) -> None:
    """Have the endpoint scale as it should, and remove what earlier deployments left."""
    if isinstance(one.hosting.on, Instances):
        wanted = one.hosting.on.autoscale
        # Given again where it scales already: bounds may stand without the policy that uses them.
        if wanted or scaling.bounds(one.account, one.name):
            scaling.set_bounds(one.account, one.name, wanted, one.hosting.task)
    endpoints.sweep(one.account, one.name, Removed(one.name), keep=one.wanted)


def _give_up(one: _Deployment) -> None:
    """Say what the container logged; remove what is new, and have an endpoint that was there be as it was."""
    for line in last_lines(one.account, f"{ENDPOINT_LOGS}{one.name}"):
        one.say(f"  {line}")
    if one.outcome == "created":
        one.say(f"Removing the endpoint '{one.name}' and what was made for it: nothing is left that costs money.")
        endpoints.undeploy(one.account, one.name, one.say)
    elif one.outcome == "updated":
        _take_back(one)
        _as_before(one)


def _take_back(one: _Deployment) -> None:
    """Have the endpoint go back to what it had, where SageMaker did not see to that; raise HostingFailed."""
    found = endpoints.find(one.account, one.name)
    status = found.status if found else "gone"
    if found and status == IN_SERVICE and found.configuration != one.old:
        one.say(f"Going back to the model that endpoint '{one.name}' had.")
        with said_by_aws(f"take the endpoint '{one.name}' back"):
            one.account.sagemaker.update_endpoint(EndpointName=one.name, EndpointConfigName=one.old)
        status = endpoints.wait(one.account, one.name, one.say)["EndpointStatus"]
    if status != IN_SERVICE:
        raise HostingFailed(
            f"Endpoint '{one.name}' is {status}: it cannot be relied on that the old model answers. "
            f"Deploy again, or remove it: trainbox undeploy {one.name}."
        )
    one.say(f"Endpoint '{one.name}' has the model that it had before.")


def _as_before(one: _Deployment) -> None:
    """Have the endpoint scale as it did, and remove what was made in vain."""
    if one.scaled:
        scaling.set_bounds(one.account, one.name, one.scaled, one.hosting.task)
    endpoints.sweep(one.account, one.name, Removed(one.name), keep=one.old)
