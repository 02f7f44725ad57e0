"""The folder that a job is run in, laid out as SageMaker lays out /opt/ml, and how its model gets to its place."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from trainbox.container.contract.paths import Paths
from trainbox.errors import ChannelError, UsageError
from trainbox.platforms.job import TrainingJob

HOST = "algo-1"
MANIFEST = "manifest.json"
CHECKPOINTS = "/opt/ml/checkpoints"


def refuse_taken(out: Path, overwrite: bool) -> None:
    """Raise UsageError where ``out`` is something that must not be replaced."""
    if not (out.exists() or out.is_symlink()) or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise UsageError(f"{out} exists already. Give another folder with --out, or replace it with --overwrite.")
    if out.is_symlink() or not (out / MANIFEST).is_file():
        raise UsageError(f"{out} is no model folder (it has no {MANIFEST}), so it is not replaced. Give another --out.")


def write_documents(job: TrainingJob, paths: Paths, checkpoints: bool) -> None:
    """Make the folders, and write what SageMaker would tell the container; raise ChannelError where data is missing."""
    refuse_missing(job)
    for folder in (paths.config, paths.data, paths.model, paths.output.parent):
        folder.mkdir(parents=True)
    entry = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    _write(paths.channels, dict.fromkeys(job.channels, entry))
    _write(paths.hyperparameters, job.encoded)
    _write(paths.resources, {"current_host": HOST, "hosts": [HOST], "network_interface_name": "lo"})
    if checkpoints:
        _write(paths.checkpointing, {"LocalPath": CHECKPOINTS})


def refuse_missing(job: TrainingJob) -> None:
    """Raise ChannelError where a channel is no file or folder of this machine."""
    for name, source in job.channels.items():
        if source.is_dir() or source.is_file():
            continue
        if source.exists():
            raise ChannelError(f"Channel '{name}': {source} is neither a file nor a folder.")
        raise ChannelError(f"Channel '{name}': {source} does not exist. Give a file or folder on this machine.")


def refuse_no_bundle(model: Path, image: str) -> None:
    """Raise UsageError where an image of someone else's ended well and left no model folder of ours."""
    if not (model / MANIFEST).is_file():
        raise UsageError(f"'{image}' ended well, but its model has no {MANIFEST}: it is no image of Trainbox's.")


def move_into_place(model: Path, out: Path) -> None:
    """Copy the bundle beside ``out`` and rename it, so that a reader sees the old one, none, or the whole new one."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent, ignore_cleanup_errors=True) as beside:
        incoming, outgoing = Path(beside) / "new", Path(beside) / "old"
        shutil.copytree(model, incoming)
        if out.exists():
            out.rename(outgoing)
        incoming.rename(out)


def _write(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")
