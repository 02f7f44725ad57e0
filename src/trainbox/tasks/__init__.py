"""What a task supplies. Everything else is shared, and names no task.

A task is a folder beside this file and one line under ``[project.entry-points."trainbox.tasks"]``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from trainbox.data.problems import Problems
from trainbox.errors import ChannelError, UsageError

if TYPE_CHECKING:
    import keras
    import numpy as np

    from trainbox.export.bundle import Bundle, Deployable
    from trainbox.training.config import TrainingConfig
    from trainbox.training.fit import History
    from trainbox.training.recipe import Recipe


@dataclass(frozen=True)
class Afterwards:
    """What a task may do behind the training proper, for one of its files.

    ``train``: train by a recipe and hyperparameters, with checkpoints under a name. ``look``: do nothing. Both raise
    ``training.run.Interrupted`` once the job is told to stop.
    """

    train: Callable[["Recipe", "TrainingConfig", str], "History"]
    look: Callable[[], None]


@dataclass(frozen=True)
class CheckReport:
    """What ``trainbox check`` found. ``sections`` are titled tables; ``data`` is the same for ``--json``."""

    usable: int
    problems: Problems
    sections: Sequence["Section"] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A titled block of a report for the terminal: name and value rows, or a histogram."""

    title: str
    rows: Sequence[tuple[str, str]] = ()
    histogram: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class Datasets:
    """What a task read from its channels: its own examples, with what was left out and why.

    ``train`` and ``validation`` are the task's own kind of ``Examples``. ``labels`` are class names in order (empty
    where a task has none). ``facts`` go into the manifest: counts, split, statistics that the report shows.
    """

    train: Any
    validation: Any
    labels: tuple[str, ...]
    problems: Problems
    fingerprint: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Predictor(Protocol):
    """A finished model that answers pictures, one after the other."""

    def predict(self, content: bytes) -> Mapping[str, Any]:
        """Return the answer to an image file's bytes, ready for JSON; raise UnreadableImage."""

    def say(self, answer: Mapping[str, Any]) -> str:
        """Return an answer in words, on one line."""

    def draw(self, content: bytes, answer: Mapping[str, Any]) -> "np.ndarray":
        """Return the picture with the answer drawn on it: uint8 RGB, shape (height, width, 3)."""


@dataclass(frozen=True)
class Wording:
    """One way to put an answer where it is served: ``schema`` is the JSON schema of the answer to one picture."""

    summary: str
    schema: Mapping[str, Any]
    example: Mapping[str, Any]


class Served(Protocol):
    """A model file in one interpreter that answers strangers: for one caller at a time.

    ``in_order`` says that an answer depends on the pictures before it in the same request.
    """

    in_order: bool

    def forget(self) -> None:
        """Begin anew: a request knows nothing of the one before it."""

    def see(self, content: bytes) -> Any:
        """Return an image file's bytes as the network is fed them; raise UnreadableImage."""

    def answer(self, seen: Any, threshold: float | None) -> Any:
        """Return what the network says of what ``see`` returned."""

    def word(self, answer: Any, wording: str) -> Mapping[str, Any]:
        """Return an answer, ready for JSON, in one of the service's wordings."""


@dataclass(frozen=True)
class Service:
    """How a task's models are served. Made without numpy: the process that talks to clients never loads it.

    ``wordings`` by the parameter of Accept that asks for them ("annotation"), the plain one under "" first.
    ``takes_threshold``: answers have scores. ``script``: JavaScript of the page, with a function
    ``draw(canvas, answer)`` that shows an answer in the wording ``page_wording`` and one ``say(answer)`` that puts it
    in words. ``open``: open one of the bundle's ``.tflite`` files in an interpreter; it raises ModelFileError.
    ``say``: an answer in the page's wording as one line. ``draw``: the picture (an image file's bytes) with such an
    answer drawn on it, uint8 RGB, given the labels in order.
    """

    wordings: Mapping[str, Wording]
    page_wording: str
    takes_threshold: bool
    script: Path
    open: Callable[["Bundle", str], Served]
    say: Callable[[Mapping[str, Any]], str]
    draw: Callable[[bytes, Mapping[str, Any], Sequence[str]], "np.ndarray"]


@dataclass(frozen=True)
class Workload:
    """What a training asks of a machine, as a range from few to many: honestly rough, for a price before it is paid.

    ``images`` are those seen until training ends; ``images_per_second`` are trained by one virtual processor;
    ``seconds_around`` pass before the first step and behind the last one. All from measurements that the task names.
    """

    images: tuple[float, float]
    images_per_second: tuple[float, float]
    seconds_around: tuple[float, float]


class Task(Protocol):
    """One kind of model that Trainbox trains.

    ``instance_type`` is the SageMaker instance type that suits its training. ``watched`` is the value of an epoch
    that says which weights are best: the lower where its name ends in "loss", else the higher. ``logged`` are the
    values of an epoch's line in the log beside those that every training has. ``measures`` are the scores of the
    finished files that one model is chosen over another by, the most telling first: "maximize" or "minimize".
    """

    name: str
    summary: str
    instance_type: str
    watched: str
    logged: tuple[str, ...]
    measures: Mapping[str, str]

    @property
    def config(self) -> "type[TrainingConfig]":
        """The hyperparameters."""

    def recognises(self, channels: Mapping[str, Path]) -> bool:
        """Tell, quickly and without TensorFlow, whether the channels hold this task's kind of data."""

    def write_demo(self, folder: Path, seed: int, size: int | None) -> str:
        """Write a synthetic data set below ``folder``; return one line saying what it holds."""

    def check(self, paths: Sequence[Path], *, data_format: str | None = None, sheet: Path | None = None) -> CheckReport:
        """Read the data as training would; raise DataError where it is refused as a whole.

        ``data_format`` names what to read where the data has several formats; ``sheet`` is a PNG file for a contact
        sheet of the data. Raise UsageError for either where the task has no such thing.
        """

    def read_by_check(self, channels: Sequence[str]) -> Sequence[str]:
        """Return those of a job's channels that ``check`` reads: data, not models to start from."""

    def workload(self, config: Any, examples: int) -> Workload:
        """Estimate what training on so many usable examples, validation among them, will ask of a machine."""

    def convert(self, paths: Sequence[Path], folder: Path, problems: Problems, data_format: str | None) -> str:
        """Write the data as TFRecords into the new or empty ``folder``; return one line saying what it wrote.

        Raise DataError for data that cannot be read, UsageError where the task has no TFRecords.
        """

    def datasets(self, config: Any, channels: Mapping[str, Path], scratch: Path) -> Datasets:
        """Read, filter, split and cache the channels' data; raise ChannelError or DataError."""

    def completed(self, config: Any, datasets: Datasets, say: Callable[[str], None]) -> Any:
        """Return the hyperparameters with those that were left open filled in; say what is not as one would think."""

    def recipe(self, config: Any, datasets: Datasets) -> "Recipe":
        """Build the model and say how to train it."""

    def network(self, manifest: Mapping[str, Any]) -> "keras.Model":
        """Build the untrained network that a bundle's manifest describes: arrays are then read into it."""

    def deployed(self, config: Any, network: "keras.Model") -> "keras.Model":
        """Return the trained network as devices load it (scaling or decoding folded in); what the files are made of."""

    def deployables(self, config: Any, datasets: Datasets, network: "keras.Model") -> Sequence["Deployable"]:
        """Say which files to write from the ``deployed`` network, each with its runtime and validation inputs."""

    def adapted(
        self,
        config: Any,
        datasets: Datasets,
        recipe: "Recipe",
        files: Sequence["Deployable"],
        afterwards: Afterwards,
        say: Callable[[str], None],
    ) -> "tuple[Sequence[Deployable], Mapping[str, Any]]":
        """Return the files to write after all, and what was done to them, for the manifest: nothing as a rule.

        ``files`` are the ``deployables``. A task may look at what becomes of one, and train on for it. Told to stop, it
        returns the best it has.
        """

    def further_files(self, datasets: Datasets) -> Mapping[str, str]:
        """Return what else belongs into the bundle, by file name: lists of labels."""

    def evaluate(self, bundle: "Bundle", paths: Sequence[Path], say: Callable[[str], None]) -> Mapping[str, Any]:
        """Score each exported file of a bundle on a data set; return ``{file name: {score name: value}}``.

        What was left out of the data, and what to beware of in the scores, is said in sentences.
        """

    def scores(self, config: Any, datasets: Datasets, files: Mapping[str, Path]) -> Mapping[str, Any]:
        """Score the exported files on the validation examples, as ``metrics`` of the manifest."""

    def summary_lines(self, metrics: Mapping[str, Any]) -> Sequence[str]:
        """Say the scores in a few plain sentences, warnings included."""

    def predictor(self, bundle: "Bundle", threshold: float | None = None) -> Predictor:
        """Open a bundle's model to be asked.

        ``threshold`` is the least score of what it answers, the task's own where None; raise UsageError where the
        task's answers have no scores.
        """

    def service(self) -> Service:
        """Say how the task's models are served."""

    def report(self, bundle_folder: Path, manifest: Mapping[str, Any], datasets: Datasets, history: "History") -> str:
        """Return the bundle's report as one self-contained HTML page."""


def measured(task: Task, metrics: Mapping[str, Any]) -> Mapping[str, float]:
    """Return a task's ``measures`` of a manifest's ``metrics``; those that are not defined are left out."""
    scores = metrics.get("files", {}).get(metrics.get("scored_file"), {})
    return {name: float(scores[name]) for name in task.measures if scores.get(name) is not None}


@cache
def places() -> Mapping[str, str]:
    """Return where each installed task is, as "module:attribute", by its name, sorted."""
    # Loaded when asked for: a process that is told the place of its task does without.
    from importlib.metadata import entry_points

    return {point.name: point.value for point in sorted(entry_points(group="trainbox.tasks"))}


def available() -> tuple[str, ...]:
    """Return the names of the installed tasks, sorted."""
    return tuple(places())


def get(name: str) -> Task:
    """Return the task of that name; raise UsageError naming those there are."""
    if name not in places():
        raise UsageError(f"Unknown task '{name}'. Available: {', '.join(available())}.")
    return at(places()[name])


def at(place: str) -> Task:
    """Return the task at a place that ``places`` names."""
    return cast(Task, _attribute(place))


def later(place: str) -> Callable[..., Any]:
    """Return what calls the function or class at ``place``, "module:name", whose module is loaded at the first call.

    So a task can say what it has to offer in a process that must stay light.
    """
    return lambda *arguments: _attribute(place)(*arguments)


def _attribute(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def recognise(channels: Mapping[str, Path]) -> Task:
    """Return the one task whose kind of data the channels hold; raise ChannelError where none or several fit."""
    fitting = [task for task in map(get, available()) if task.recognises(channels)]
    if len(fitting) == 1:
        return fitting[0]
    found = "several tasks fit: " + ", ".join(task.name for task in fitting) if fitting else "no task fits"
    raise ChannelError(
        f"The task cannot be told from the channels ({found}). Received: {', '.join(sorted(channels)) or 'none'}. "
        f"Set the hyperparameter 'task' to one of: {', '.join(available())}."
    )
