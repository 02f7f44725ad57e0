"""The platform that is this machine: the container program as a process, in a folder laid out as /opt/ml."""

import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path

from trainbox.container import packages
from trainbox.container.contract import failure
from trainbox.container.contract.paths import BASE_VARIABLE, Paths
from trainbox.container.interruption import END_WITH_STDIN
from trainbox.platforms import folder, place, program
from trainbox.platforms.job import JobFailed, TrainingJob


def run(
    job: TrainingJob,
    out: Path,
    *,
    overwrite: bool = False,
    checkpoints: Path | None = None,
    logs: Path | None = None,
    say: program.Say = lambda line: None,
) -> Path:
    """Train on this machine and return ``out``, the bundle; nothing stands there before it is whole and proved.

    With ``checkpoints`` a run that was cut off is resumed by the next one; ``logs`` receives what the job writes to
    output/data (for TensorBoard). Raises RefusedInput before anything is started, JobFailed where the job fails.
    """
    packages.require_training()
    place.refuse(out, overwrite)
    with tempfile.TemporaryDirectory(prefix="trainbox-job-", ignore_cleanup_errors=True) as scratch:
        paths = Paths(Path(scratch) / "ml")
        lay_out(job, paths, checkpoints, logs)
        status = program.run(
            [sys.executable, "-m", "trainbox.container", "train"], _environment(job, paths, scratch), say, _end_group
        )
        if status != 0:
            said = failure.read(paths.failure)
            raise JobFailed(said or _died(status), status if status in {1, 2} else 1, bool(said))
        place.put(paths.model, out)
    return out


def lay_out(job: TrainingJob, paths: Paths, checkpoints: Path | None = None, logs: Path | None = None) -> None:
    """Write the tree that SageMaker would give the container; data is linked, never copied."""
    folder.write_documents(job, paths, checkpoints is not None)
    (paths.base / "tmp").mkdir()
    for name, source in job.on_this_machine.items():
        _link(source, paths.data / name)
    for link, target in ((paths.checkpoints, checkpoints), (paths.output, logs)):
        if target:
            target.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target.absolute())


def _link(source: Path, channel: Path) -> None:
    """Make a channel of a folder (a link to it) or of a file (a folder that holds a link to it)."""
    if source.is_dir():
        channel.symlink_to(source.absolute())
    else:
        channel.mkdir()
        (channel / source.name).symlink_to(source.absolute())


def _environment(job: TrainingJob, paths: Paths, scratch: str) -> dict[str, str]:
    return {
        **os.environ,
        BASE_VARIABLE: str(paths.base),
        "TRAINING_JOB_NAME": job.name,
        "TMPDIR": scratch,
        END_WITH_STDIN: "1",
    }


def _end_group(child: program.Child) -> None:
    """Kill the child's whole session: after its end, what it may have left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _died(status: int) -> str:
    if status == -signal.SIGKILL:
        return "The training process was killed. If you did not stop it, the machine ran out of memory."
    if status < 0:
        return f"The training process was ended by signal {signal.Signals(-status).name}."
    return f"The training process ended with status {status} and did not say why."
