"""A model becomes an endpoint, or takes the place of the one that an endpoint has; what fails leaves nothing behind."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from trainbox.data.files import UnreadableFile
from trainbox.errors import TrainboxError, UsageError
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import FORBIDDEN, AwsFailed, AwsRefused, LoggedOut, said_by_aws
from trainbox.platforms.sagemaker.aws.leaving import Signals
from trainbox.platforms.sagemaker.hosting import endpoints, scaling, undoing
from trainbox.platforms.sagemaker.hosting.deployment import Deployment, Say
from trainbox.platforms.sagemaker.hosting.endpoints import IN_SERVICE, MOVING, Endpoint, Removed
from trainbox.platforms.sagemaker.hosting.failures import failed
from trainbox.platforms.sagemaker.hosting.invoking import OverSageMaker
from trainbox.platforms.sagemaker.hosting.request import SCALED, Hosting, as_tags
from trainbox.serving.remote import RemotePredictor


@dataclass(frozen=True)
class Deployed:
    """What came of it. ``outcome``: created, updated or unchanged; ``answer``: to the picture it was tried with.

    ``status`` is the endpoint's; where nobody waited for it, it may still fail. ``instances``: the machines that it
    has or is to have, 0 without any of its own.
    """

    endpoint: str
    outcome: str
    status: str
    answer: Mapping[str, Any] = field(default_factory=dict)
    said: str = ""
    seconds: float = 0.0
    instances: int = 0


def deploy(
    account: Account, hosting: Hosting, picture: bytes, say: Say, wait: bool = True, signals: Signals | None = None
) -> Deployed:
    """Have the endpoint be as ``hosting`` says, and try it with ``picture``.

    ``signals`` keeps ctrl-C and SIGTERM while AWS is asked to make something. Raises UsageError where the endpoint is
    someone else's or busy, HostingFailed where it does not come into service or does not answer: a new one is then
    removed, an old one as it was. Raises AwsFailed where AWS cannot be asked.
    """
    signals = signals or Signals()
    before = _before(account, hosting, say)
    one = Deployment(account, hosting, before, _scaled(account, before), _outcome(before, hosting), say)
    if before and before.heading_for == one.wanted:
        say(f"Endpoint '{one.name}' has this model and configuration already.")
    else:
        _begin(one, signals)
    with _told(one.name, say):
        signals.deliver()
        if wait:
            return _finish(one, picture, signals)
        found = endpoints.find(account, one.name)
        return Deployed(one.name, one.outcome, found.status if found else "", instances=_instances(one, found))


def _scaled(account: Account, before: Endpoint | None) -> scaling.Bounds | None:
    """Return the bounds within which an endpoint scales, or did until an update took them away; raise AwsFailed."""
    if before is None or before.serverless:
        return None
    return scaling.bounds(account, before.name) or scaling.noted(before.tags.get(SCALED, ""))


def _instances(one: Deployment, found: Endpoint | None) -> int:
    if not one.machines:
        return 0
    return one.machines.initial if one.machines.fixed or not (found and found.instances) else found.instances


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
    going = found.status == "Deleting" or found.heading_for != hosting.configuration["EndpointConfigName"]
    if found.status in MOVING and going:
        raise UsageError(f"Endpoint '{hosting.name}' is {found.status}. Wait until that is over, then try again.")
    return found


def _outcome(before: Endpoint | None, hosting: Hosting) -> str:
    """Say what is done, or was begun by an earlier command that did not wait for the end."""
    if before is None or before.status == "Creating":
        return "created"
    wanted = hosting.configuration["EndpointConfigName"]
    return "unchanged" if before.heading_for == wanted and before.status not in MOVING else "updated"


def _begin(one: Deployment, signals: Signals) -> None:
    """Make model, configuration and endpoint; where one is refused or we are told to stop, remove those before it."""
    try:
        _make_all(one, signals)
    except LoggedOut:
        one.say(f"What was made until then stands: trainbox undeploy {one.name} removes it.")
        raise
    except (AwsFailed, KeyboardInterrupt) as problem:
        if isinstance(problem, KeyboardInterrupt):
            one.say(f"Removing what was made. What is left if this is cut off, trainbox undeploy {one.name} removes.")
        with signals.later():
            undoing.withdraw(one, problem)
        raise


def _make_all(one: Deployment, signals: Signals) -> None:
    sagemaker, hosting = one.account.sagemaker, one.hosting
    _make(f"model '{hosting.model['ModelName']}'", sagemaker.create_model, one.marked(hosting.model), signals)
    configuration = one.marked(hosting.configuration)
    _make(f"endpoint configuration '{one.wanted}'", sagemaker.create_endpoint_config, configuration, signals)
    if one.before:
        _update(one, one.before, signals)
        return
    one.say(f"Making the endpoint '{one.name}'.")
    if not _make(f"endpoint '{one.name}'", sagemaker.create_endpoint, one.marked(hosting.endpoint), signals):
        _refuse_other(one)


def _make(what: str, create: Callable[..., object], request: Mapping[str, Any], signals: Signals) -> bool:
    """Create something, and return False where there is one of that name: of all but endpoints it says what it is."""
    made = True
    try:
        with signals.later(), said_by_aws(f"create the {what}"):
            create(**request)
    except AwsFailed as problem:
        if "already exist" not in str(problem).lower():
            raise
        made = False
    signals.deliver()
    return made


def _refuse_other(one: Deployment) -> None:
    """Raise AwsRefused where the name was taken meanwhile, and not by this: who was first keeps it.

    It may be this: where an answer was lost, botocore asks again by itself.
    """
    found = endpoints.find(one.account, one.name)
    if found is None or not found.ours or found.heading_for != one.wanted:
        raise AwsRefused(
            f"Endpoint '{one.name}' was made by another command meanwhile, with another model or size, and stays. "
            "Deploy again once it is in service, or give another NAME."
        )


def _update(one: Deployment, before: Endpoint, signals: Signals) -> None:
    one.say(f"Updating the endpoint '{one.name}'; until that is done the old model answers.")
    unscaled = one.scaled is not None and (one.bounds is None or one.changes_machines())
    note = as_tags(one.note_scaling() if unscaled else {})
    with said_by_aws(f"tag the endpoint '{one.name}'"):
        # The tags first: once the endpoint moves, what it moves to must not be taken back for want of a tag.
        one.account.sagemaker.add_tags(ResourceArn=before.arn, Tags=[*one.hosting.all_tags, *note])
    if unscaled and one.bounds:
        one.say("It has other machines, and scales again when they are in service and a command has waited for that.")
    if unscaled:
        scaling.remove(one.account, one.name)
    if not one.bounds:
        undoing.forget_note(one)
    try:
        with signals.later(), said_by_aws(f"update the endpoint '{one.name}'"):
            one.account.sagemaker.update_endpoint(**one.update)
    except AwsFailed:
        # Where an answer was lost, botocore asks again, and is refused because the endpoint moves already.
        now = endpoints.find(one.account, one.name)
        if now is None or now.heading_for != one.wanted:
            raise


@contextmanager
def _told(name: str, say: Say) -> Iterator[None]:
    """Say, where nobody waits any longer, what goes on without us."""
    try:
        yield
    except (KeyboardInterrupt, AwsFailed):
        say(
            f"Endpoint '{name}' is left as it is now, and what is under way there goes on by itself. "
            f"The same command sees to the rest; trainbox undeploy {name} removes it."
        )
        raise


def _finish(one: Deployment, picture: bytes, signals: Signals) -> Deployed:
    last = endpoints.wait(one.account, one.name, one.say)
    if last["EndpointStatus"] != IN_SERVICE or last["EndpointConfigName"] != one.wanted:
        with signals.later():
            undoing.give_up(one)
        raise failed(f"Endpoint '{one.name}'", last.get("FailureReason", ""))
    began = time.monotonic()
    try:
        answer, said = _tried(one, picture)
    except LoggedOut:
        raise
    except (TrainboxError, UnreadableFile) as problem:
        with signals.later():
            undoing.give_up(one)
        reason = problem.reason if isinstance(problem, UnreadableFile) else str(problem)
        raise failed(f"The trial of endpoint '{one.name}'", reason) from problem
    seconds = time.monotonic() - began
    found = endpoints.find(one.account, one.name)
    _settle(one, found)
    return Deployed(one.name, one.outcome, IN_SERVICE, answer, said, seconds, _instances(one, found))


def _tried(one: Deployment, picture: bytes) -> tuple[Mapping[str, Any], str]:
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


def _settle(one: Deployment, found: Endpoint | None) -> None:
    """Have the endpoint scale as it should, and remove what earlier deployments left.

    Where another command is updating it by now, scaling is that one's affair, and what it makes stays.
    """
    moved = found is None or found.heading_for != one.wanted
    # Given again where it scales already: bounds may stand without the policy that uses them.
    if one.machines and not moved and (one.machines.autoscale or scaling.bounds(one.account, one.name) != one.bounds):
        scaling.set_bounds(one.account, one.name, one.bounds, one.hosting.task)
    if not moved:
        undoing.forget_note(one)
    needed = {found.configuration, found.pending} if found else set()
    endpoints.sweep(one.account, one.name, Removed(one.name), {one.wanted, *needed})
