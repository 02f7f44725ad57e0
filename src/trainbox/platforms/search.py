"""What a search of hyperparameters goes over, as its user words it: NAME, NAME=LOW:HIGH[:log] or NAME=a,b,c."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from trainbox.container.contract import hyperparameters
from trainbox.errors import HyperparameterError, UsageError
from trainbox.platforms.job import TrainingJob
from trainbox.tasks import Task, measured
from trainbox.training.config import TrainingConfig
from trainbox.training.search import Choice, Span

Space = Mapping[str, Span | Choice]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_SPAN = re.compile(rf"({_NUMBER}):({_NUMBER})(:log)?")
MOST_CHOICES, MOST_TRIALS, MOST_PARALLEL, MOST_SEED = 30, 750, 100, 2**31 - 1
"""SageMaker's limits, so that a search which runs here runs there."""
DEFAULT_TRIALS = 20


def space(config: type[TrainingConfig], over: Sequence[str], fixed: Mapping[str, Any]) -> dict[str, Span | Choice]:
    """Return what to search: what ``over`` words, or all that the config itself names where it words nothing.

    Every end and every choice is tried on the config together with the ``fixed`` values, so that no trial is refused
    later. Raises UsageError or HyperparameterError.
    """
    worded = [word.partition("=")[::2] for word in over] or [
        (name, "") for name in config.searched if name not in fixed
    ]
    found: dict[str, Span | Choice] = {}
    for name, text in ((name.strip(), text.strip()) for name, text in worded):
        if name in found:
            raise UsageError(f"--over '{name}' is given twice. Give it once.")
        if name in fixed:
            raise UsageError(f"'{name}' is fixed with -p and searched with --over. Leave out one of them.")
        # The config refuses a name that it does not know, and says which is near.
        if name not in config.model_fields:
            config.parse({name: None})
        found[name] = _read(config, name, text) if text else _own(config, name)
        _refuse_out_of_bounds(config, name, found[name], fixed)
    if not found:
        raise UsageError(f"There is nothing to search. Give --over. {_known(config)}")
    return found


def combinations(space: Space) -> float:
    """Return how many different trials a space holds, infinite where a number may lie anywhere in it."""
    product = 1.0
    for one in space.values():
        product *= one.size
    return product


def _read(config: type[TrainingConfig], name: str, text: str) -> Span | Choice:
    match = _SPAN.fullmatch(text)
    if not match:
        return _choice(name, text)
    low, high, log = float(match[1]), float(match[2]), bool(match[3])
    if not low < high:
        raise UsageError(f"--over {name}={text}: the lower end comes first. Give {name}=LOW:HIGH.")
    if log and low <= 0:
        raise UsageError(f"--over {name}={text}: a logarithm wants ends above 0.")
    whole = _is_whole(config, name)
    if whole and not (low.is_integer() and high.is_integer()):
        raise UsageError(f"--over {name}={text}: '{name}' is a whole number. Give whole ends.")
    return Span(int(low), int(high), log, True) if whole else Span(low, high, log)


def _choice(name: str, text: str) -> Choice:
    try:
        values = json.loads(f"[{text}]")
    except ValueError:
        values = [hyperparameters.decode({name: word})[name] for word in text.split(",") if word.strip()]
    different = [value for place, value in enumerate(values) if value not in values[:place]]
    if not 2 <= len(different) <= MOST_CHOICES:
        raise UsageError(
            f"--over {name}={text}: give LOW:HIGH, or 2 to {MOST_CHOICES} different values with commas between them."
        )
    return Choice(tuple(different))


def _own(config: type[TrainingConfig], name: str) -> Span | Choice:
    """Return the range that the config gives a hyperparameter, or the choices that its type has."""
    if name in config.searched:
        return config.searched[name]
    words = _words(config.model_fields[name].annotation)
    if len(words) < 2:
        raise UsageError(f"'{name}' has no range of its own. Give --over {name}=LOW:HIGH. {_known(config)}")
    return Choice(words)


def _words(annotation: Any) -> tuple[Any, ...]:
    if annotation is bool:
        return (False, True)
    # A union's arguments are types; those of a Literal are words.
    parts = get_args(annotation)
    if any(isinstance(part, str) for part in parts):
        return parts
    return next((words for part in parts if len(words := _words(part)) > 1), ())


def _is_whole(config: type[TrainingConfig], name: str) -> bool:
    annotation = config.model_fields[name].annotation
    return annotation is int or int in get_args(annotation)


def _refuse_out_of_bounds(
    config: type[TrainingConfig], name: str, one: Span | Choice, fixed: Mapping[str, Any]
) -> None:
    for value in one.ends:
        try:
            config.parse({**fixed, name: value})
        except HyperparameterError as problem:
            raise HyperparameterError(f"--over {name}={one.say()}: {problem}") from problem


def _known(config: type[TrainingConfig]) -> str:
    return f"With a range of their own: {', '.join(config.searched) or 'none'}."


@dataclass(frozen=True)
class Search:
    """A search of hyperparameters, wherever it runs. Raises UsageError where a number is out of reach.

    ``objective`` is a score of the finished files, or the value of an epoch that the task watches; ``direction`` is
    "maximize" or "minimize". ``max_runtime_seconds`` is a trial's: it then ends with the best model it has.
    """

    task: str
    channels: Mapping[str, Path | str]
    fixed: Mapping[str, Any]
    space: Space
    objective: str
    direction: str
    trials: int = DEFAULT_TRIALS
    parallel: int = 1
    seed: int = 0
    max_runtime_seconds: int | None = None

    def __post_init__(self) -> None:
        for option, value, least, most in (
            ("--trials", self.trials, 1, MOST_TRIALS),
            ("--parallel", self.parallel, 1, MOST_PARALLEL),
            ("--seed", self.seed, 0, MOST_SEED),
        ):
            if not least <= value <= most:
                raise UsageError(f"{option} must be {least} to {most}. Received: {value}.")
        if self.max_runtime_seconds is not None and self.max_runtime_seconds < 1:
            raise UsageError(f"--max-runtime must be at least a second. Received: {self.max_runtime_seconds}.")

    def job(self, values: Mapping[str, Any], name: str) -> TrainingJob:
        """Return the training job of a trial with these values of what is searched."""
        return TrainingJob(self.task, self.channels, {**self.fixed, **values}, name)

    def description(self) -> dict[str, Any]:
        """Return what makes it this search and no other, ready for JSON: neither how long nor how much at once."""
        return {
            "task": self.task,
            "channels": {name: str(path) for name, path in self.channels.items()},
            "hyperparameters": dict(self.fixed),
            "over": {name: one.say() for name, one in self.space.items()},
            "objective": self.objective,
            "direction": self.direction,
            "seed": self.seed,
        }

    def refuse_another(self, kept: Mapping[str, Any], folder: Path) -> None:
        """Raise UsageError where ``kept``, the description of the search that ``folder`` holds, is another's."""
        for name, now in json.loads(json.dumps(self.description())).items():
            if (before := kept.get(name)) != now:
                line = f"its {name} was {json.dumps(before)}, now {json.dumps(now)}"
                raise UsageError(f"{folder} holds another search: {line}.")


def objective(task: Task, wanted: str | None) -> tuple[str, str]:
    """Return the objective and its direction, the task's first where none is wanted; raise UsageError."""
    known = {**task.measures, task.watched: "minimize" if task.watched.endswith("loss") else "maximize"}
    name = wanted or next(iter(task.measures))
    if name not in known:
        raise UsageError(f"Unknown objective '{name}'. Task {task.name} has: {', '.join(known)}.")
    return name, known[name]


def achieved(task: Task, name: str, manifest: Mapping[str, Any]) -> float | None:
    """Return the objective that a bundle's manifest says was reached; None where it says none."""
    if name in task.measures:
        return measured(task, manifest.get("metrics") or {}).get(name)
    values = [epoch[name] for epoch in manifest.get("history", {}).get("epochs", ()) if epoch.get(name) is not None]
    return None if not values else float(min(values) if name.endswith("loss") else max(values))
