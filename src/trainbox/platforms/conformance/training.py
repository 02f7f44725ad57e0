"""What an image does when it is to train: with ``train`` and without, with data and without, to its end and stopped."""

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainbox.platforms.conformance.findings import Finding, Limits
from trainbox.platforms.conformance.running import Running, container
from trainbox.platforms.conformance.trials import Trial

ML = "/opt/ml"
BEGUN = re.compile(r"\bepoch\W{0,3}\d", re.IGNORECASE)
LONGEST_SHOWN = 160


@dataclass(frozen=True)
class Outcome:
    """How a training ended. ``status`` is None where it had to be ended, ``why`` what stands for its last words."""

    status: int | None
    seconds: float
    why: str
    files: Mapping[str, int]
    links: int
    failure: str
    input_kept: bool

    @property
    def ended(self) -> str:
        """Status and time in words, with the last words of what failed."""
        if self.status is None:
            return f"did not end within {self.seconds:.0f} s"
        text = f"status {self.status} after {self.seconds:.0f} s"
        return text if self.status == 0 else f"{text}: {self.why}"

    @property
    def left(self) -> str:
        """What is in the model folder, in words."""
        total = f"{len(self.files)} files, {sum(self.files.values()) / 1e6:.1f} MB"
        return f"{total}, {self.links} links, which SageMaker does not keep" if self.links else total


def findings(name: str, outcome: Outcome) -> Iterator[Finding]:
    """Yield what there is to say of a training with the argument ``train``."""
    about = f"train {name}:"
    yield Finding(f"{about} ends with status 0", outcome.status == 0, outcome.ended)
    yield Finding(f"{about} leaves a model", bool(outcome.files) and not outcome.links, outcome.left)
    silent = outcome.status == 0 and not outcome.failure
    said = "none" if not outcome.failure else shortened(outcome.failure)
    yield Finding(f"{about} leaves no output/failure", silent, said)
    kept = "as it was" if outcome.input_kept else "changed"
    yield Finding(f"{about} leaves its input alone", outcome.input_kept, kept)


def findings_of_a_start(image: str, trial: Trial, limits: Limits, keep: Path) -> Iterator[Finding]:
    """Yield what happens without an argument, without data, and at SIGTERM."""
    plain = trained(image, trial, (), limits.to_train, keep)
    yield Finding("train: starts without an argument", plain.status == 0 and bool(plain.files), plain.ended)
    failed = trained(image, trial, ("train",), limits.to_train, keep, empty=True)
    yield Finding("train: fails where a channel is empty", failed.status not in (0, None), failed.ended)
    said = shortened(failed.failure) if failed.failure else "there is none"
    yield Finding("train: says why in output/failure", failed.status != 0 and bool(failed.failure), said)
    yield stopped(image, trial, limits)


def trained(
    image: str, trial: Trial, arguments: tuple[str, ...], seconds: float, keep: Path, empty: bool = False
) -> Outcome:
    """Train to the end and return how that was, the model in ``keep/model``; ``empty``: on a channel without files."""
    with _prepared(image, trial, arguments, empty) as made:
        before = made.digest(f"{ML}/input/data")
        problem = made.start()
        status = made.wait(0 if problem else seconds)
        took = made.seconds
        kept = made.digest(f"{ML}/input/data") == before
        keep.mkdir(parents=True, exist_ok=True)
        made.get(f"{ML}/model/.", keep / "model")
        failure = keep / "failure"
        text = failure.read_text(errors="replace").strip() if made.get(f"{ML}/output/failure", failure) else ""
        everything = [path for path in (keep / "model").rglob("*") if not path.is_dir() or path.is_symlink()]
        files = {str(path): path.stat().st_size for path in everything if not path.is_symlink()}
        return Outcome(status, took, problem or made.last_words(), files, len(everything) - len(files), text, kept)


def stopped(image: str, trial: Trial, limits: Limits) -> Finding:
    """Tell the image to stop while it trains, and see it end in time."""
    point = f"train: SIGTERM ends it within {limits.to_stop_training:g} s"
    with _prepared(image, trial.unending(), ("train",), False) as made:
        problem = made.start()
        if problem or not _begun(made, limits.to_begin):
            return Finding(point, False, f"not tried: it ended before it could be told: {problem or made.last_words()}")
        status, seconds = made.terminate(limits.to_stop_training)
        if status is None:
            return Finding(point, False, f"still running {seconds:.0f} s later")
        with tempfile.TemporaryDirectory(prefix="trainbox-image-") as place:
            model = Path(place) / "model"
            left = any(model.rglob("*")) if made.get(f"{ML}/model/.", model) else False
        return Finding(point, True, f"status {status} after {seconds:.1f} s, {'with a' if left else 'no'} model")


def shortened(text: str) -> str:
    """Return the first line, cut to what fits a table."""
    line = text.splitlines()[0]
    return line if len(line) <= LONGEST_SHOWN else line[:LONGEST_SHOWN] + "…"


def _begun(made: Running, seconds: float) -> bool:
    """Wait until the log names an epoch, or for as long as it may take to; tell whether it still runs."""
    while made.seconds < seconds and made.status is None and not BEGUN.search(made.log()):
        time.sleep(0.5)
    return made.status is None


@contextlib.contextmanager
def _prepared(image: str, trial: Trial, arguments: tuple[str, ...], empty: bool) -> Iterator[Running]:
    """Hold a container with the trial's tree in it, its channels without a file where they are to be ``empty``."""
    with tempfile.TemporaryDirectory(prefix="trainbox-image-") as place:
        tree = trial.lay_out(Path(place) / "ml")
        if empty:
            for channel in (tree / "input/data").iterdir():
                channel.unlink() if channel.is_symlink() else shutil.rmtree(channel)
                channel.mkdir()
        with container(image, *arguments, files={ML: tree}) as made:
            yield made
