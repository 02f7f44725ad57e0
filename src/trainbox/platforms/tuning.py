"""A search of hyperparameters on this machine: its trials are training jobs as any other."""

import contextlib
import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trainbox import tasks
from trainbox.container import packages
from trainbox.container.contract.paths import refuse_unwritable
from trainbox.errors import TrainboxError, UsageError
from trainbox.platforms import place, signals, study
from trainbox.platforms.search import Search, achieved
from trainbox.platforms.study import Record, Study
from trainbox.platforms.trial import MODEL, SCRATCH, Trial

Say = Callable[[str], None]
BEST, TRIALS, TABLE = "best", "trials", "trials.json"
SECONDS_BETWEEN_LOOKS = 0.1


class TuningFailed(TrainboxError):
    """No trial brought a model."""


@dataclass(frozen=True)
class Found:
    """What a search found: the best trial's record and bundle, and all records by number."""

    best: Record
    bundle: Path
    records: Sequence[Record]
    stopped: bool


def run(
    search: Search, out: Path, *, on: str = "local", image: str | None = None, resume: bool = False, say: Say
) -> Found:
    """Search, and return what was found; the best trial's bundle is ``out``/best, all scores are ``out``/trials.json.

    Ctrl-C and SIGTERM end the search with the best so far; ``resume`` goes on with it. A trial that fails is counted.
    Raises UsageError before anything is started, TuningFailed where no trial brings a model.
    """
    if on == "local":
        packages.require_training()
    study.import_optuna()
    refuse(out, resume)
    out.mkdir(parents=True, exist_ok=True)
    session = _Session(search, out, Study.open(search, out, resume), on, image, say)
    with _told_to_stop(say) as told:
        session.tidy()
        session.go(told)
        return session.found(told.is_set())


def refuse(out: Path, resume: bool, kept: str = study.FILE) -> None:
    """Raise UsageError where no search can be kept at ``out``, or none is there to be resumed.

    ``kept`` is the file by which a platform knows its own searches.
    """
    there = (out / kept).is_file()
    if resume and not there:
        raise UsageError(f"{out} holds no search to resume. Leave out --resume, or give the --out of one.")
    if there and not resume:
        raise UsageError(f"{out} holds a search already. Go on with it with --resume, or give another --out.")
    if not resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already. Give a new folder with --out.")
    refuse_unwritable(out.absolute().parent, out, "Give another --out.")


def write_table(search: Search, out: Path, best: Record | None, records: Sequence[Record]) -> None:
    """Write ``out``/trials.json: what was searched, and what became of every trial."""
    said = {
        **search.description(),
        "best": best.number if best else None,
        "trials": [record.as_dict() for record in records],
    }
    new = out / f".{TABLE}"
    new.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    new.replace(out / TABLE)


def nothing_found(records: Sequence[Record], where: str) -> TuningFailed:
    """Return the error that says why no trial brought a model, by reason."""
    reasons = Counter(record.failed for record in records)
    said = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
    return TuningFailed(f"All {len(records)} trials failed: {said} {where}".rstrip())


@dataclass
class _Session:
    """One turn of a search, from its start or resumption to its end or interruption."""

    search: Search
    out: Path
    study: Study
    on: str
    image: str | None
    say: Say
    running: dict[int, tuple[Trial, dict[str, Any]]] = field(default_factory=dict)

    def go(self, told: threading.Event) -> None:
        """Run trials until all are done, or until told to stop; those under way are then dropped."""
        try:
            while not told.is_set():
                self._fill()
                if not self.running:
                    return
                self._look()
                told.wait(SECONDS_BETWEEN_LOOKS)
        finally:
            for number, (trial, _) in self.running.items():
                trial.end()
                self.study.drop(number)
            self.running.clear()
            self.tidy()

    def tidy(self) -> None:
        """Keep the best trial's bundle as ``best``, and of the others that are over the logs alone."""
        best, under_way = self.study.best(), set(map(_name, self.running))
        for folder in sorted((self.out / TRIALS).glob("*")):
            if folder.name in under_way:
                continue
            made = folder / MODEL
            if best and folder.name == _name(best.number) and (made / place.MANIFEST).is_file():
                place.put(made, self.out / BEST)
            for gone in (made, folder / SCRATCH):
                shutil.rmtree(gone, ignore_errors=True)
        write_table(self.search, self.out, best, self.study.records())

    def found(self, stopped: bool) -> Found:
        """Return the best; raise TuningFailed where no trial brought a model."""
        records, best = self.study.records(), self.study.best()
        if best:
            return Found(best, self.out / BEST, records, stopped and len(records) < self.study.wanted)
        if not records:
            raise TuningFailed(f"Stopped before any trial had ended. Go on with --resume --out {self.out}.")
        raise nothing_found(records, f"Their logs are in {self.out / TRIALS}.")

    def _fill(self) -> None:
        while len(self.running) < self.search.parallel and self.study.begun < self.study.wanted:
            number, values, same = self.study.ask()
            if same:
                # Training is a function of data and hyperparameters: the same again would say the same.
                self._tell(replace(same, number=number, seconds=0.0, repeated=same.number))
                continue
            folder = self.out / TRIALS / _name(number)
            shutil.rmtree(folder, ignore_errors=True)
            job = self.search.job(values, f"{self.search.task}-trial-{_name(number)}")
            self.say(f"Trial {number}: {said(values)} (log: {folder / 'log.txt'})")
            self.running[number] = Trial.start(job, self.on, self.image, folder), values

    def _look(self) -> None:
        limit = self.search.max_runtime_seconds
        for number, (trial, values) in list(self.running.items()):
            if trial.process.poll() is None:
                if limit and trial.seconds > limit:
                    trial.finish_early()
                continue
            del self.running[number]
            self._tell(self._judged(number, values, trial))

    def _judged(self, number: int, values: dict[str, Any], trial: Trial) -> Record:
        seconds, outcome = trial.seconds, trial.outcome()
        record = Record(number, values, seconds=round(seconds, 1), cut_off=trial.told, failed=outcome["failed"])
        if record.failed:
            return record
        manifest = json.loads((trial.folder / MODEL / place.MANIFEST).read_text(encoding="utf-8"))
        task = tasks.get(self.search.task)
        score = achieved(task, self.search.objective, manifest)
        if score is None:
            return replace(record, failed=f"Its model has no {self.search.objective}: the data does not tell it.")
        return replace(record, score=score, scores=tasks.measured(task, manifest.get("metrics") or {}))

    def _tell(self, record: Record) -> None:
        self.study.tell(record)
        self.tidy()
        best = self.study.best()
        if record.failed:
            self.say(f"Trial {record.number} failed: {record.failed}")
        elif best:
            again = f", as trial {record.repeated} did" if record.repeated is not None else ""
            self.say(
                f"Trial {record.number}: {self.search.objective} {record.score:.5g}{again}, {record.seconds:.0f} s; "
                f"best so far {best.score:.5g}, trial {best.number}."
            )


def said(values: Any) -> str:
    """Return hyperparameters as one writes them on a command line."""
    return " ".join(f"{name}={_word(value)}" for name, value in values.items())


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def _name(number: int) -> str:
    return f"{number:03d}"


@contextlib.contextmanager
def _told_to_stop(say: Say) -> Iterator[threading.Event]:
    """Yield an event that ctrl-C and SIGTERM set."""
    told = threading.Event()

    def stop(number: int) -> None:
        if not told.is_set():
            told.set()
            say("Stopping: trials under way are dropped, and the best so far is kept.")

    with signals.heard(stop):
        yield told
