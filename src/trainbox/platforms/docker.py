"""The platform that is Docker on this machine: the image, given the folder that SageMaker would give it."""

import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trainbox.container.contract import failure
from trainbox.container.contract.paths import DEFAULT_BASE, Paths
from trainbox.container.interruption import END_WITH_STDIN
from trainbox.errors import UsageError
from trainbox.platforms import containers, folder, place, program
from trainbox.platforms.containers import PLATFORM, About, mount
from trainbox.platforms.job import JobFailed, TrainingJob

IMAGE = "trainbox:train"
GPU_IMAGE = "trainbox:train-gpu"
KILLED = 128 + signal.SIGKILL


def run(
    job: TrainingJob,
    out: Path,
    *,
    image: str | None = None,
    overwrite: bool = False,
    checkpoints: Path | None = None,
    logs: Path | None = None,
    say: program.Say = lambda line: None,
) -> Path:
    """Train in a container and return ``out``, the bundle; nothing stands there before it is whole and proved.

    ``image`` is Trainbox's own where not given, the one for GPUs where the engine has both. ``checkpoints`` and
    ``logs`` are as on the platform local. Raises RefusedInput before anything is started, JobFailed where it fails.
    """
    place.refuse(out, overwrite)
    engine = containers.about()
    image = image or default_image(engine)
    containers.require_image(image)
    with tempfile.TemporaryDirectory(prefix="trainbox-job-", ignore_cleanup_errors=True) as scratch:
        paths = Paths(Path(scratch) / "ml")
        mounts = lay_out(job, paths, checkpoints, logs)
        name = f"trainbox-{job.name}-{secrets.token_hex(4)}"
        options = ["--name", name, *_environment(job), *identity(engine, os.getuid(), os.getgid()), *mounts]
        command = ["docker", "run", "--rm", "--interactive", "--platform", PLATFORM, *_gpus(engine), *options]
        status = program.run([*command, image, "train"], os.environ, say, lambda child: _end(child, name))
        if status != 0:
            said = failure.read(paths.failure)
            raise JobFailed(said or _died(status, image), status if status in {1, 2} else 1, bool(said))
        folder.refuse_no_bundle(paths.model, image)
        place.put(paths.model, out)
    return out


def default_image(engine: About) -> str:
    """Return our image that suits the engine."""
    return GPU_IMAGE if engine.gpus and containers.image(GPU_IMAGE) else IMAGE


def lay_out(job: TrainingJob, paths: Paths, checkpoints: Path | None, logs: Path | None) -> list[str]:
    """Write the tree that SageMaker would give the container; return the options that mount it, data read-only."""
    folder.write_documents(job, paths, checkpoints is not None)
    mounts = mount(paths.base, str(DEFAULT_BASE))
    for name, source in job.on_this_machine.items():
        target = paths.data / name
        target.mkdir()
        if not source.is_dir():
            target /= source.name
            target.touch()
        mounts += mount(source.resolve(), _inside(target, paths), read_only=True)
    for target, kept in ((paths.checkpoints, checkpoints), (paths.output, logs)):
        if kept:
            target.mkdir()
            kept.mkdir(parents=True, exist_ok=True)
            mounts += mount(kept.resolve(), _inside(target, paths))
    return mounts


def identity(engine: About, user: int, group: int) -> Sequence[str]:
    """Return the options with which all that is written belongs to whoever asked for it."""
    options = ["--security-opt", "label=disable"] if engine.has("selinux") else []
    # Without root's rights of its own, an engine's root is its user already.
    if user == 0 or engine.has("rootless"):
        return options
    remapped = ["--userns", "host"] if engine.has("userns") else []
    return [*options, *remapped, "--user", f"{user}:{group}"]


def _inside(path: Path, paths: Paths) -> str:
    return str(DEFAULT_BASE / path.relative_to(paths.base))


def _gpus(engine: About) -> Sequence[str]:
    return ["--gpus", "all"] if engine.gpus else []


def _environment(job: TrainingJob) -> list[str]:
    variables = {"TRAINING_JOB_NAME": job.name, END_WITH_STDIN: "1"}
    if sys.stderr is not None and sys.stderr.isatty():
        # The container writes into a pipe that ends in our terminal: rich may draw its bar.
        variables |= {"TTY_COMPATIBLE": "1", "COLUMNS": str(shutil.get_terminal_size().columns)}
    return [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]


def _end(child: program.Child, name: str) -> None:
    """Remove the container, then what waits for it."""
    with contextlib.suppress(containers.DockerFailed, UsageError):
        containers.remove(name)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _died(status: int, image: str) -> str:
    if status in {KILLED, -signal.SIGKILL}:
        return "The training process was killed. If you did not stop it, the machine ran out of memory."
    if status in {125, 126, 127}:
        return f"Docker could not run the image '{image}' (status {status}): what it said stands above."
    return f"The training process ended with status {status} and did not say why."
