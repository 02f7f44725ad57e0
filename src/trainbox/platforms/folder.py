"""The folder that a job is run in, laid out as SageMaker lays out /opt/ml."""

import json
from collections.abc import Mapping
from pathlib import Path

from trainbox.container.contract.paths import Paths
from trainbox.errors import ChannelError, UsageError
from trainbox.platforms import place
from trainbox.platforms.job import TrainingJob

HOST = "algo-1"
CHECKPOINTS = "/opt/ml/checkpoints"


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
    for name, source in job.on_this_machine.items():
        refuse_missing_source(name, source)


def refuse_missing_source(name: str, source: Path) -> None:
    """Raise ChannelError where a channel's source is no file or folder of this machine."""
    if source.is_dir() or source.is_file():
        return
    if source.exists():
        raise ChannelError(f"Channel '{name}': {source} is neither a file nor a folder.")
    raise ChannelError(f"Channel '{name}': {source} does not exist. Give a file or folder on this machine.")


def refuse_no_bundle(model: Path, image: str) -> None:
    """Raise UsageError where an image of someone else's ended well and left no model folder of ours."""
    if not (model / place.MANIFEST).is_file():
        raise UsageError(f"'{image}' ended well, but its model has no {place.MANIFEST}: it is no image of Trainbox's.")


def _write(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")
