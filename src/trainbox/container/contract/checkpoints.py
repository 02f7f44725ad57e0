"""Where checkpoints go, as checkpointconfig.json says."""

from pathlib import Path, PurePosixPath

from trainbox.container.contract import documents
from trainbox.container.contract.paths import DEFAULT_BASE, Paths
from trainbox.errors import UsageError


def read(paths: Paths, trial: str = "") -> Path | None:
    """Return the folder for checkpoints, or None where the job keeps none; raise UsageError where it is malformed.

    A path below /opt/ml is taken below the base folder. Without the file, an existing ``checkpoints`` folder is used.
    ``trial`` is the name of a training job of a tuning job: all of these are given the same folder, and no promise of
    SageMaker's keeps them apart, so each has one of its own in it.
    """
    folder = _described(paths)
    return folder / trial if folder else None


def _described(paths: Paths) -> Path | None:
    described = documents.read_object(paths.checkpointing, UsageError)
    if described is None:
        return paths.checkpoints if paths.checkpoints.is_dir() else None
    local = described.get("LocalPath") or str(DEFAULT_BASE / "checkpoints")
    if not isinstance(local, str) or not local.startswith("/") or ".." in PurePosixPath(local).parts:
        raise UsageError(
            f"{paths.checkpointing.name}: LocalPath must be an absolute path without '..'. Received: {local!r}."
        )
    path = Path(local)
    return paths.base / path.relative_to(DEFAULT_BASE) if path.is_relative_to(DEFAULT_BASE) else path
