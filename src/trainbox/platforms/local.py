"""The platform that is this machine: the container program as a process, in a folder laid out as /opt/ml."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from trainbox.container import packages
from trainbox.container.contract import failure
from trainbox.container.contract.paths import BASE_VARIABLE, Paths
from trainbox.container.interruption import END_WITH_STDIN, SECONDS_TO_LIVE
from trainbox.errors import ChannelError, UsageError
from trainbox.platforms.job import JobFailed, TrainingJob

Say = Callable[[str], None]
HOST = "algo-1"
MANIFEST = "manifest.json"


def run(
    job: TrainingJob,
    out: Path,
    *,
    overwrite: bool = False,
    checkpoints: Path | None = None,
    logs: Path | None = None,
    say: Say = lambda line: None,
) -> Path:
    """Train on this machine and return ``out``, the bundle; nothing stands there before it is whole and proved.

    With ``checkpoints`` a run that was cut off is resumed by the next one; ``logs`` receives what the job writes to
    output/data (for TensorBoard). Raises RefusedInput before anything is started, JobFailed where the job fails.
    """
    packages.require_training()
    refuse_taken(out, overwrite)
    refuse_unwritable(out)
    with tempfile.TemporaryDirectory(prefix="trainbox-job-", ignore_cleanup_errors=True) as folder:
        paths = Paths(Path(folder) / "ml")
        lay_out(job, paths, checkpoints, logs)
        status = _run_child(job, paths, Path(folder), say)
        if status != 0:
            said = failure.read(paths.failure)
            raise JobFailed(said or _died(status), status if status in {1, 2} else 1, bool(said))
        try:
            _move_into_place(paths.model, out)
        except OSError as problem:
            kept = Path(tempfile.mkdtemp(prefix="trainbox-model-")) / "model"
            shutil.move(paths.model, kept)
            said = f"{out} cannot be written: {problem.strerror}. The finished model is in {kept}."
            raise JobFailed(said, 1, False) from problem
    return out


def refuse_taken(out: Path, overwrite: bool) -> None:
    """Raise UsageError where ``out`` is something that must not be replaced."""
    if not (out.exists() or out.is_symlink()) or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise UsageError(f"{out} exists already. Give another folder with --out, or replace it with --overwrite.")
    if out.is_symlink() or not _is_bundle(out):
        raise UsageError(f"{out} is no model folder (it has no {MANIFEST} of one). Give another --out.")


def _is_bundle(folder: Path) -> bool:
    """Tell whether a folder's manifest is a bundle's: a tub has a manifest.json too."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and {"format", "files", "models"} <= set(manifest)


def refuse_unwritable(out: Path) -> None:
    """Raise UsageError where nothing can be put at ``out``, before hours are spent on what belongs there."""
    parent = out.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as problem:
        raise UsageError(f"{out} cannot be written: {problem.strerror}. Give another --out.") from problem


def lay_out(job: TrainingJob, paths: Paths, checkpoints: Path | None = None, logs: Path | None = None) -> None:
    """Write the tree that SageMaker would give the container; data is linked, never copied."""
    for folder in (paths.config, paths.data, paths.model, paths.output.parent, paths.base / "tmp"):
        folder.mkdir(parents=True)
    for name, source in job.channels.items():
        _link(name, source, paths.data / name)
    entry = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    _write(paths.channels, dict.fromkeys(job.channels, entry))
    _write(paths.hyperparameters, job.encoded)
    _write(paths.resources, {"current_host": HOST, "hosts": [HOST], "network_interface_name": "lo"})
    if checkpoints:
        checkpoints.mkdir(parents=True, exist_ok=True)
        paths.checkpoints.symlink_to(checkpoints.absolute())
        _write(paths.checkpointing, {"LocalPath": "/opt/ml/checkpoints"})
    if logs:
        logs.mkdir(parents=True, exist_ok=True)
        paths.output.symlink_to(logs.absolute())


def _link(name: str, source: Path, channel: Path) -> None:
    """Make a channel of a folder (a link to it) or of a file (a folder that holds a link to it)."""
    if source.is_dir():
        channel.symlink_to(source.absolute())
    elif source.is_file():
        channel.mkdir()
        (channel / source.name).symlink_to(source.absolute())
    elif source.exists():
        raise ChannelError(f"Channel '{name}': {source} is neither a file nor a folder.")
    else:
        raise ChannelError(f"Channel '{name}': {source} does not exist. Give a file or folder on this machine.")


def _write(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")


def _run_child(job: TrainingJob, paths: Paths, scratch: Path, say: Say) -> int:
    """Run the container program to its end; end it, and all it started, whatever ends this function."""
    environment = {
        **os.environ,
        BASE_VARIABLE: str(paths.base),
        "TRAINING_JOB_NAME": job.name,
        "TMPDIR": str(scratch),
        END_WITH_STDIN: "1",
    }
    with _stderr() as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "trainbox.container", "train"],
            env=environment,
            # Its end tells the child that we are gone, however we went.
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        with _forwarding(child, say) as told:
            return _wait(child, told)
    finally:
        _end_group(child)
        if child.stdin:
            child.stdin.close()


@contextlib.contextmanager
def _stderr() -> Iterator[int]:
    """Give the child our standard error for all it says: our standard output is for data."""
    try:
        yield sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        yield subprocess.DEVNULL


@contextlib.contextmanager
def _forwarding(child: "subprocess.Popen[bytes]", say: Say) -> Iterator[threading.Event]:
    """Pass SIGTERM and ctrl-C on to the child as SIGTERM; a second ctrl-C ends it at once. Yields: was it told?"""
    told = threading.Event()

    def pass_on(number: int, frame: FrameType | None) -> None:
        if told.is_set():
            if number == signal.SIGINT:
                _end_group(child)
            return
        told.set()
        say("Stopping: the best model so far is being written. Press ctrl-C again to stop without it.")
        child.send_signal(signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(child: "subprocess.Popen[bytes]", told: threading.Event) -> int:
    """Wait for the child, and no longer than SageMaker would once it was told to stop."""
    while not told.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=0.5)
    try:
        return child.wait(timeout=SECONDS_TO_LIVE)
    except subprocess.TimeoutExpired:
        _end_group(child)
        return child.wait()


def _end_group(child: "subprocess.Popen[bytes]") -> None:
    """Kill the child's whole session: after its end, what it may have left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _died(status: int) -> str:
    if status == -signal.SIGKILL:
        return "The training process was killed. If you did not stop it, the machine ran out of memory."
    if status < 0:
        return f"The training process was ended by signal {signal.Signals(-status).name}."
    return f"The training process ended with status {status} and did not say why."


def _move_into_place(model: Path, out: Path) -> None:
    """Copy the bundle beside ``out`` and rename it, so that a reader sees the old one, none, or the whole new one."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent, ignore_cleanup_errors=True) as beside:
        incoming, outgoing = Path(beside) / "new", Path(beside) / "old"
        shutil.copytree(model, incoming)
        if out.exists():
            out.rename(outgoing)
        incoming.rename(out)
