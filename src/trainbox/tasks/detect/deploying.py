"""A trained detector as devices load it: its network with scores, its files, and what they end in."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from trainbox.export.bundle import Deployable
from trainbox.export.detection_ending import DetectionEnding
from trainbox.tasks.detect.anchor_fitting import fitted
from trainbox.tasks.detect.anchors import AnchorSpec, anchors_cyxhw
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.datasets import quantized_size
from trainbox.tasks.detect.formats.label_map import write_label_map
from trainbox.tasks.detect.networks import ssd
from trainbox.tasks.detect.networks.choose import spec_for
from trainbox.tasks.detect.networks.ssd import SsdSpec
from trainbox.tasks.detect.scoring import FLOAT_FILE, QUANTIZED_FILE

if TYPE_CHECKING:
    from trainbox.tasks.detect.datasets import DetectDatasets
    from trainbox.tasks.detect.examples import DetectExamples

PROVED_PICTURES = 16
REPRESENTATIVE_PICTURES = 100
FLOAT_TOLERANCE = 1e-3


def spec_of(config: DetectConfig, datasets: "DetectDatasets") -> SsdSpec:
    """Return the description of the network that is trained."""
    spec = spec_for(config, datasets.pipeline.ssd() if datasets.pipeline else None, len(datasets.labels))
    if config.fit_anchors:
        spec = dataclasses.replace(spec, anchors=fitted(spec.anchors, datasets.train.images))
    return dataclasses.replace(spec, batch_norm=datasets.checkpoint is None)


def ending_of(config: DetectConfig, spec: SsdSpec, labels: Sequence[str]) -> DetectionEnding:
    """Return what turns the network's answers into detections."""
    return DetectionEnding(
        anchors_cyxhw=anchors_cyxhw(spec.anchors, ssd.grid_sizes(spec)),
        classes=spec.classes,
        labels=tuple(labels),
        maximum_detections=config.maximum_detections,
        score_threshold=config.score_threshold,
        iou_threshold=config.iou_threshold,
    )


def spec_of_manifest(manifest: Mapping[str, Any]) -> SsdSpec:
    """Return the description of a bundle's network."""
    document = _tuples(manifest["network"])
    return SsdSpec(**{**document, "anchors": AnchorSpec(**document["anchors"])})


def ending_of_manifest(manifest: Mapping[str, Any]) -> DetectionEnding:
    """Return what a bundle's files end in."""
    config = DetectConfig.parse(manifest["hyperparameters"])
    return ending_of(config, spec_of_manifest(manifest), manifest["labels"])


def sizes_of_manifest(manifest: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the (height, width) of the pictures that each of a bundle's model files sees."""
    return {name: tuple(entry["inputs"]["image"][1:3]) for name, entry in manifest["models"].items()}


def network_of(manifest: Mapping[str, Any]) -> keras.Model:
    """Build the network as a bundle's files have it, arrays still to be read into it."""
    return deployed(ssd.build(spec_of_manifest(manifest)))


def deployed(network: keras.Model) -> keras.Model:
    """Return the network as devices load it, sharing its weights.

    Input ``image``: float32 (batch, height, width, 3), RGB scaled to -1..1. Outputs ``encodings`` float32 (batch, n, 4)
    and ``scores`` float32 (batch, n, classes), 0..1, the background left out.
    """
    scores = keras.layers.Activation("sigmoid", name="scores")(network.output["logits"][..., 1:])
    return keras.Model(network.input, {"encodings": network.output["encodings"], "scores": scores}, name=network.name)


def deployables(config: DetectConfig, datasets: "DetectDatasets", network: keras.Model) -> list[Deployable]:
    """Return the files of a detector, proved on validation pictures."""
    ending = ending_of(config, spec_of(config, datasets), datasets.labels)
    seen = _proof_inputs(datasets, datasets.size)
    float_file = partial(Deployable, inputs=seen, tolerance=FLOAT_TOLERANCE, for_cars=False)
    files = [
        float_file("model.keras", "keras"),
        float_file("saved_model", "saved_model", ending=ending),
        float_file(FLOAT_FILE, "tflite", ending=ending),
    ]
    return [*files, _quantized(config, datasets, network)] if config.quantize else files


def _quantized(config: DetectConfig, datasets: "DetectDatasets", network: keras.Model) -> Deployable:
    """Return the quantized file, made of the network for pictures of its own size where it has one.

    What rounding to 8 bits costs depends on the network: it is reported, in points of mAP, with the scores.
    """
    size, spec, own = quantized_size(config, datasets.size), spec_of(config, datasets), None
    if size != datasets.size:
        spec = spec.at(size)
        own = deployed(ssd.build(spec))
        own.set_weights(network.get_weights())
    file = partial(
        Deployable,
        QUANTIZED_FILE,
        inputs=_proof_inputs(datasets, size),
        tolerance=None,
        ending=ending_of(config, spec, datasets.labels),
        network=own,
        for_cars=False,
    )
    if config.inference_type == "FLOAT":
        return file(kind="tflite_dynamic")
    return file(kind="tflite_int8", representative=_representative(datasets.train, size), integer_input=True)


def _proof_inputs(datasets: "DetectDatasets", size: tuple[int, int]) -> dict[str, np.ndarray]:
    validation: DetectExamples = datasets.validation
    return validation.network_inputs(_evenly(len(validation), PROVED_PICTURES), size)


def _representative(examples: "DetectExamples", size: tuple[int, int]) -> list[dict[str, np.ndarray]]:
    """Return training pictures, evenly spread, through the preprocessing of training: they set the integers' scales."""
    places = _evenly(len(examples), REPRESENTATIVE_PICTURES)
    return [{"image": picture} for picture in examples.network_inputs(places, size)["image"]]


def further_files(labels: Sequence[str]) -> dict[str, str]:
    """Return the lists of labels: one a line, without a background, and as TensorFlow's tools read them."""
    return {"labels.txt": "".join(f"{name}\n" for name in labels), "label_map.pbtxt": write_label_map(labels)}


def _evenly(count: int, wanted: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))


def _tuples(value: Any) -> Any:
    """Return JSON's lists as tuples, as they were."""
    if isinstance(value, Mapping):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
