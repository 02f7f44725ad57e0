"""SageMaker's contract as a check of any image: what holds, point by point, and what was seen.

Everything happens in containers of the image on this machine; nothing is told to anybody else.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from trainbox.errors import UsageError
from trainbox.platforms import containers
from trainbox.platforms.conformance import making, serving, training
from trainbox.platforms.conformance.findings import Finding, Limits
from trainbox.platforms.conformance.trials import Trial, demonstrations

PARTS = ("train", "serve")


def check(
    image: str,
    *,
    trials: Sequence[Trial] = (),
    model: Path | None = None,
    picture: Path | None = None,
    only: str | None = None,
    limits: Limits | None = None,
    say: Callable[[Finding], None] = lambda finding: None,
) -> list[Finding]:
    """Check ``image`` and return what was found, each also said at once.

    ``trials`` are what it is trained on, a demonstration of every task where there are none. ``model`` is what it
    serves, with ``picture`` as the question: what the trials left where not given. Raises UsageError where there is no
    such image, or nothing to serve.
    """
    about = containers.require_image(image)
    if only not in (None, *PARTS):
        raise UsageError(f"--only is {' or '.join(PARTS)}. Received: {only!r}.")
    if only == "serve" and not (model and picture):
        raise UsageError(
            "To check serving alone, give what is served: --model DIR, and --picture FILE to ask it about."
        )
    with tempfile.TemporaryDirectory(prefix="trainbox-image-") as scratch:
        findings = []
        for finding in _found(image, about, trials, model, picture, only, limits or Limits(), Path(scratch)):
            say(finding)
            findings.append(finding)
    return findings


def _found(
    image: str,
    about: dict,
    trials: Sequence[Trial],
    model: Path | None,
    picture: Path | None,
    only: str | None,
    limits: Limits,
    scratch: Path,
) -> Iterator[Finding]:
    yield from making.findings(image, about)
    served = [(model.name, model, picture)] if model and picture else []
    if only != "serve":
        seconds = {}
        for trial in trials or demonstrations(scratch / "data"):
            outcome = training.trained(image, trial, ("train",), limits.to_train, scratch / trial.name)
            seconds[trial] = outcome.seconds
            yield from training.findings(trial.name, outcome)
            if outcome.files and trial.picture and not model:
                served.append((trial.name, scratch / trial.name / "model", trial.picture))
        yield from training.findings_of_a_start(image, min(seconds, key=seconds.__getitem__), limits, scratch / "start")
    if only == "train":
        return
    if not served:
        yield Finding("serve: answers /ping with 200", False, "not tried: there is no model to serve")
    for name, folder, question in served:
        yield from serving.findings(image, name, folder, question, limits)
    if served and making.takes_another_port(about):
        yield serving.port_finding(image, served[0][1], limits)
