"""What a search has tried and what to try next: Optuna's study in a file, so that an interrupted search goes on."""

import itertools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox.errors import UsageError
from trainbox.platforms.search import Search, combinations
from trainbox.training.search import Choice, Span

if TYPE_CHECKING:
    import optuna

FILE = "study.journal"
NAME = "search"
RANDOM_TRIALS = 8
"""Trials before those that learn from the ones before them."""


@dataclass(frozen=True)
class Record:
    """What became of a trial. ``score`` is the objective, None where it ``failed``: the reason, in one line.

    ``seconds`` is how long it took; ``cut_off`` says that it reached the limit of its time; ``scores`` are all the
    task's measures; ``repeated`` is the number of an earlier trial with the same values, whose outcome it shares.
    """

    number: int
    hyperparameters: Mapping[str, Any]
    score: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    cut_off: bool = False
    failed: str | None = None
    repeated: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return asdict(self)


class Study:
    """Proposes trials and remembers what became of them.

    The proposals follow from the seed and from what became of the trials before: a search that was interrupted and
    resumed tries what it would have tried without.
    """

    def __init__(self, search: Search, study: "optuna.Study") -> None:
        self._search, self._study = search, study
        self._asked: dict[int, optuna.Trial] = {}

    @classmethod
    def open(cls, search: Search, folder: Path, resume: bool) -> "Study":
        """Open the study that ``folder`` holds, or begin one there; raise UsageError where it is another search's."""
        import_optuna()
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = JournalStorage(JournalFileBackend(str(folder / FILE)))
        found = optuna.create_study(storage=storage, study_name=NAME, direction=search.direction, load_if_exists=resume)
        before = found.user_attrs.get(NAME)
        if before is None:
            found.set_user_attr(NAME, search.description())
        else:
            search.refuse_another(before, folder)
        study = cls(search, found)
        study._take_up()
        return study

    @property
    def begun(self) -> int:
        """How many trials count: all that ended, and all that run."""
        return len(self._counted())

    @property
    def wanted(self) -> int:
        """How many trials there are to be: no more than there are combinations."""
        return int(min(self._search.trials, combinations(self._search.space)))

    def ask(self) -> tuple[int, dict[str, Any], Record | None]:
        """Return a trial's number, its values, and what became of an earlier one with the same values."""
        import optuna

        # A sampler of its own for each, so that it matters nothing how often the search was interrupted.
        seed = random.Random(f"{self._search.seed}/{self.begun}").getrandbits(32)  # noqa: S311
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
        trial = self._study.ask({name: _distribution(one) for name, one in self._search.space.items()})
        # People count from one.
        number = trial.number + 1
        self._asked[number] = trial
        values = self._values(trial.params)
        same = [one for one in self.records() if one.score is not None and one.hyperparameters == values]
        return number, values, same[0] if same else None

    def tell(self, record: Record) -> None:
        """Keep what became of a trial."""
        import optuna

        trial = self._asked.pop(record.number)
        trial.set_user_attr("record", record.as_dict())
        if record.score is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, record.score)

    def drop(self, number: int) -> None:
        """Forget a trial that was not let to its end: its values are tried again when the search is resumed."""
        import optuna

        self._study.tell(self._asked.pop(number), state=optuna.trial.TrialState.FAIL)

    def records(self) -> list[Record]:
        """Return what became of the trials that ended, by number."""
        return [Record(**trial.user_attrs["record"]) for trial in self._trials() if "record" in trial.user_attrs]

    def best(self) -> Record | None:
        """Return the best trial's record, the first of equals; None where none has a score."""
        scored = [record for record in self.records() if record.score is not None]
        sign = 1 if self._search.direction == "minimize" else -1
        return min(scored, key=lambda record: (sign * (record.score or 0.0), record.number), default=None)

    def _take_up(self) -> None:
        """Put in line what an interruption left untried, and every combination where all can be tried."""
        import optuna

        for trial in self._trials():
            if trial.state == optuna.trial.TrialState.RUNNING:
                # Nobody runs it any more: it was ours.
                self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        every = self._trials()
        for trial in every:
            again = [later for later in every if later.number > trial.number and _params(later) == _params(trial)]
            if _is_dropped(trial) and trial.params and not again:
                self._study.enqueue_trial(dict(trial.params))
        if combinations(self._search.space) <= self._search.trials:
            for params in self._grid():
                self._study.enqueue_trial(params, skip_if_exists=True)

    def _grid(self) -> list[dict[str, Any]]:
        space = self._search.space
        every = [dict(zip(space, values, strict=True)) for values in itertools.product(*map(_all, space.values()))]
        random.Random(self._search.seed).shuffle(every)  # noqa: S311
        return every

    def _trials(self) -> "Sequence[optuna.trial.FrozenTrial]":
        return self._study.get_trials(deepcopy=False)

    def _counted(self) -> "Sequence[optuna.trial.FrozenTrial]":
        import optuna

        waiting = optuna.trial.TrialState.WAITING
        return [trial for trial in self._trials() if trial.state != waiting and not _is_dropped(trial)]

    def _values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        choices = {name for name, one in self._search.space.items() if isinstance(one, Choice)}
        return {name: json.loads(value) if name in choices else value for name, value in params.items()}


def import_optuna() -> None:
    """Raise UsageError where Optuna is not installed."""
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise UsageError("Searching on this machine needs Optuna. Install it: pip install 'trainbox[tune]'.")


def _distribution(one: Span | Choice) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(one, Choice):
        # Optuna keeps choices as words or numbers; ours may be lists.
        return CategoricalDistribution(_all(one))
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)


def _all(one: Span | Choice) -> Sequence[Any]:
    if isinstance(one, Choice):
        return [json.dumps(value) for value in one.values]
    return range(int(one.low), int(one.high) + 1)


def _params(trial: Any) -> Any:
    return trial.params or trial.system_attrs.get("fixed_params")


def _is_dropped(trial: Any) -> bool:
    return trial.state.name == "FAIL" and "record" not in trial.user_attrs
