"""``pipeline.config``: what network to build, how it was trained, and which files are its data."""

from dataclasses import dataclass, fields
from fnmatch import fnmatch
from pathlib import PurePosixPath

from trainbox.errors import DataError
from trainbox.tasks.detect.formats.pipeline_schema import InputReader, Pipeline
from trainbox.tasks.detect.formats.ssd_schema import Ssd
from trainbox.tasks.detect.formats.text_proto import parse_message

FEATURE_EXTRACTORS = {
    "ssd_mobilenet_v1": "mobilenet_v1",
    "ssd_mobilenet_v1_keras": "mobilenet_v1",
    "ssd_mobilenet_v2": "mobilenet_v2",
    "ssd_mobilenet_v2_keras": "mobilenet_v2",
}
SUPPORTED = (
    "SSD with feature extractor ssd_mobilenet_v1 or ssd_mobilenet_v2 (any depth_multiplier; use_depthwise for "
    "SSDLite), fixed_shape_resizer, convolutional_box_predictor and ssd_anchor_generator"
)
# Each part must be of one of these kinds.
_CHOICES = {
    "image_resizer": ("fixed_shape_resizer",),
    "box_predictor": ("convolutional_box_predictor",),
    "anchor_generator": ("ssd_anchor_generator",),
    "box_coder": ("faster_rcnn_box_coder",),
    "matcher": ("argmax_matcher",),
    "loss.classification_loss": ("weighted_sigmoid", "weighted_sigmoid_focal"),
    "loss.localization_loss": ("weighted_smooth_l1",),
}


@dataclass(frozen=True)
class PipelineConfig:
    """A parsed file: ``content`` by the names of the file, and the fields that nothing here reads.

    ``unused`` are dotted names, each once ("train_config.startup_delay_steps").
    """

    where: str
    content: Pipeline
    unused: tuple[str, ...]

    def ssd(self) -> Ssd:
        """Return the network's description; raise DataError, naming what is asked for, where it is not built here."""
        ssd = self.content.model.ssd
        if ssd is None:
            raise self._refused("network", self._named("model") or "none")
        extractor = ssd.feature_extractor.type
        if extractor not in FEATURE_EXTRACTORS:
            raise self._refused("network", extractor or "none")
        for part, kinds in _CHOICES.items():
            if not any(_has(ssd, f"{part}.{kind}") for kind in kinds):
                raise self._refused(part, self._named(f"model.ssd.{part}") or "none")
        if ssd.num_classes < 1:
            raise DataError(f"'{self.where}' sets no number of classes. Received: num_classes: {ssd.num_classes}.")
        return ssd

    @property
    def augmentations(self) -> tuple[str, ...]:
        """The names of the known augmentations that the file asks for, in its order."""
        options = self.content.train_config.data_augmentation_options if self.content.train_config else ()
        return tuple(field.name for option in options for field in fields(option) if getattr(option, field.name))

    def split_of(self, name: str) -> str:
        """Return "train" or "validation" where an input reader names this file, else ""."""
        if _reads(self.content.train_input_reader, name):
            return "train"
        return "validation" if any(_reads(reader, name) for reader in self.content.eval_input_reader) else ""

    @property
    def label_map_names(self) -> tuple[str, ...]:
        """The file names of the label maps that the input readers name, without folders."""
        readers = (self.content.train_input_reader, *self.content.eval_input_reader)
        paths = [reader.label_map_path for reader in readers if reader and reader.label_map_path]
        return tuple(dict.fromkeys(_file_name(path) for path in paths))

    def _named(self, part: str) -> str:
        """Return the kind that the file asks for where the schema has no such kind: the first one unread below it."""
        depth = part.count(".") + 1
        below = (name.split(".") for name in self.unused if name.startswith(part + "."))
        return next((words[depth] for words in below), "")

    def _refused(self, part: str, kind: str) -> DataError:
        wanted = part.split(".")[-1].replace("_", " ")
        return DataError(
            f"'{self.where}' names the {wanted} '{kind}', which is not built here. Supported: {SUPPORTED}."
        )


def read_pipeline_config(content: bytes, where: str) -> PipelineConfig:
    """Parse a pipeline.config; raise DataError where it is none, nests too deep or holds what is not finite."""
    parsed, unused = parse_message(content, Pipeline, where)
    return PipelineConfig(where, parsed, unused)


def _has(ssd: Ssd, path: str) -> bool:
    value: object = ssd
    for name in path.split("."):
        value = getattr(value, name)
    return value is not None


def _reads(reader: InputReader | None, name: str) -> bool:
    """Tell whether a reader's patterns match a file, wherever either lies: paths of another machine are in the file."""
    patterns = reader.tf_record_input_reader.input_path if reader else ()
    return any(fnmatch(_file_name(name), _file_name(pattern)) for pattern in patterns)


def _file_name(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name
