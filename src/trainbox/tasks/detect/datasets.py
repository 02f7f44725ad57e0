"""From channels to examples: read, split, decode. Everything left out is counted."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainbox.data.cache import build_cache
from trainbox.data.images import RESIZED
from trainbox.data.problems import Problems
from trainbox.errors import ChannelError, DataError
from trainbox.tasks import Datasets
from trainbox.tasks.detect.balance import shown_more_often
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.dataset import DetectionData, read_dataset
from trainbox.tasks.detect.examples import DetectExamples
from trainbox.tasks.detect.formats.pipeline_config import PipelineConfig
from trainbox.tasks.detect.formats.splits import TEST, TRAIN, VALIDATION
from trainbox.tasks.detect.reading import Source
from trainbox.tasks.detect.split import split_images
from trainbox.tasks.detect.statistics import count_dataset

CHECKPOINT = "checkpoint"
"""The channel of the pre-trained network."""
USUAL_SIZE = 300
LARGER = 1.5
"""How much larger than the network sees them training pictures are kept, so that a part of one is still sharp."""
_SPLITS = {"validation": VALIDATION, "val": VALIDATION, "eval": VALIDATION, "test": TEST}
_NEED_MORE_PIXELS = {"crop", "mosaic"}


@dataclass(frozen=True)
class DetectDatasets(Datasets):
    """Datasets of a detector.

    ``size`` (height, width) in pixels is what the network sees. ``pipeline`` is the pipeline.config, ``checkpoint`` the
    folder of the pre-trained network, each None where there is none.
    """

    size: tuple[int, int] = (USUAL_SIZE, USUAL_SIZE)
    pipeline: PipelineConfig | None = None
    checkpoint: Path | None = None

    @property
    def start(self) -> Path | None:
        """The file or prefix that training starts from, None where there is no pre-trained network.

        Raises DataError where the channel holds none, or several and nothing says which.
        """
        from trainbox.tasks.detect.networks.pretrained import SUPPORTED, find_checkpoint

        if self.checkpoint is None:
            return None
        training = self.pipeline.content.train_config if self.pipeline else None
        found = find_checkpoint(self.checkpoint, training.fine_tune_checkpoint if training else "")
        if found is None:
            raise DataError(f"Channel '{CHECKPOINT}' holds no checkpoint. Give {SUPPORTED}.")
        return found


def sources_of(channels: Mapping[str, Path]) -> list[Source]:
    """Return what to read: every channel but the checkpoint's; raise ChannelError where there is none to train on.

    A channel's name says its split, as ``validation``. The channel ``testing`` of the jobs of old held everything: it
    leaves the split to its data where it is alone.
    """
    data = {name: path for name, path in sorted(channels.items()) if name != CHECKPOINT}
    if not any(name not in _SPLITS for name in data):
        raise ChannelError(f"Channel 'train' is missing. Received: {', '.join(sorted(channels)) or 'none'}.")
    trained = any(name.startswith("train") for name in data)
    held_back = any(name in _SPLITS or (trained and name == "testing") for name in data)
    sources = []
    for name, path in data.items():
        if name in _SPLITS:
            sources.append(Source(path, _SPLITS[name]))
        elif trained and name == "testing":
            sources.append(Source(path, TEST))
        else:
            sources.append(Source(path, TRAIN if held_back else ""))
    return sources


def read_datasets(config: DetectConfig, channels: Mapping[str, Path], scratch: Path) -> DetectDatasets:
    """Read everything the channels hold into examples; raise ChannelError or DataError."""
    problems = Problems()
    records = scratch / "records"
    records.mkdir()
    data = read_dataset(sources_of(channels), problems, records, config.data_format)
    size = network_size(config, data.pipeline)
    splits, origin = split_images(data.images, config.validation_fraction, config.seed, problems)
    kept = LARGER if _NEED_MORE_PIXELS & set(config.augment) else 1.0
    larger = (round(size[0] * kept), round(size[1] * kept))
    train = _decoded(data, splits == TRAIN, larger, size, scratch / "train", problems)
    sharpest = max(size, quantized_size(config, size))
    validation = _decoded(data, splits == VALIDATION, sharpest, size, scratch / "validation", problems)
    if not len(train) or not len(validation):
        raise DataError(
            f"Nothing is left on one side: {len(train)} pictures to train on, {len(validation)} to validate on. "
            "Give more pictures."
        )
    train = train.shown(shown_more_often(train.images, config.seed) if config.balance else None, config.augment)
    checkpoint = channels.get(CHECKPOINT)
    facts = {
        **_facts(data, splits, origin),
        "pipeline_config": data.pipeline.where if data.pipeline else None,
        "pipeline_config_unused": list(data.pipeline.unused) if data.pipeline else [],
        "size": list(size),
    }
    fingerprint = _fingerprint(data, splits, checkpoint)
    return DetectDatasets(train, validation, data.labels, problems, fingerprint, facts, size, data.pipeline, checkpoint)


def read_examples(
    config: DetectConfig,
    labels: Sequence[str],
    size: tuple[int, int],
    paths: Sequence[Path],
    scratch: Path,
    problems: Problems,
) -> DetectExamples:
    """Read the pictures below ``paths`` for scoring: the test split where the data has one, else all of them.

    ``size`` (height, width) is what the network sees. Raises DataError where classes are there that ``labels`` does not
    have, or no picture is left.
    """
    data = read_dataset(list(paths), problems, scratch, config.data_format)
    numbers = {name: number for number, name in enumerate(labels)}
    unknown = [name for name in data.labels if name not in numbers]
    if unknown:
        raise DataError(
            f"The data has classes that the model does not know: {', '.join(unknown)}. It knows: {', '.join(labels)}."
        )
    renumbered = data.renumbered(np.array([numbers[name] for name in data.labels], np.int64), tuple(labels))
    tested = np.array([image.split == TEST for image in data.images])
    chosen = tested if tested.any() else np.ones(len(tested), bool)
    sharpest = max(size, quantized_size(config, size))
    examples = _decoded(renumbered, chosen, sharpest, size, scratch / "scored", problems)
    if not len(examples):
        raise DataError(f"No picture is left to score. Received: {', '.join(map(str, paths))}.")
    return examples


def network_size(config: DetectConfig, pipeline: PipelineConfig | None) -> tuple[int, int]:
    """Return the (height, width) of what the network sees; raise DataError where pipeline.config asks for another."""
    if pipeline is not None:
        resizer = pipeline.ssd().image_resizer.fixed_shape_resizer
        if resizer is not None:
            return resizer.height, resizer.width
    side = config.image_size or USUAL_SIZE
    return side, side


def quantized_size(config: DetectConfig, size: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) of what the quantized file sees: the network's ``size`` but for a square asked for."""
    side = config.image_size
    return size if not config.quantize or side is None or side == max(size) else (side, side)


def _decoded(
    data: DetectionData, chosen: np.ndarray, kept: tuple[int, int], size: tuple[int, int], folder: Path, said: Problems
) -> DetectExamples:
    images = [image for image, wanted in zip(data.images, chosen, strict=True) if wanted]
    cache = build_cache([image.image for image in images], kept, folder, said, expected=(RESIZED,))
    rows = np.flatnonzero(cache.usable)
    return DetectExamples(cache, rows, tuple(images[row] for row in rows), size, data.labels)


def _facts(data: DetectionData, splits: np.ndarray, origin: str) -> dict[str, Any]:
    """Return what the manifest and the report say about the data."""
    return {
        "formats": list(data.formats),
        "split": origin,
        "splits": {name: int((splits == name).sum()) for name in (TRAIN, VALIDATION, TEST)},
        "statistics": count_dataset(data).as_dict(),
    }


def _fingerprint(data: DetectionData, splits: np.ndarray, checkpoint: Path | None) -> str:
    """Return a digest of all that is learnt from: pictures, boxes, split and the pre-trained network's files."""
    whole = hashlib.blake2b(data.fingerprint().encode() + "".join(splits).encode(), digest_size=16)
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file()) if checkpoint else []
    for path in files:
        with path.open("rb") as file:
            whole.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
