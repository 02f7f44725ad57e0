"""How a detector is trained: from which network, what of it moves when, and what decides which weights are best."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from trainbox.data.workers import ProcessReader, available_processors
from trainbox.export.detection_ending import DetectionEnding
from trainbox.tasks.detect import metrics
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.deploying import ending_of, spec_of
from trainbox.tasks.detect.examples import HALF_RANGE, SCORED_AT_ONCE, DetectExamples
from trainbox.tasks.detect.networks import pretrained, ssd
from trainbox.tasks.detect.networks.choose import departures, losses_for
from trainbox.tasks.detect.networks.folding import fold
from trainbox.tasks.detect.networks.ssd import SsdSpec
from trainbox.tasks.detect.networks.statistics import reestimate
from trainbox.tasks.detect.scoring import detections
from trainbox.tasks.detect.targets import TargetAssigner
from trainbox.training.products import with_products
from trainbox.training.recipe import Examples, Recipe
from trainbox.training.rest import Rest, RestingModel
from trainbox.training.state import fingerprint

if TYPE_CHECKING:
    from trainbox.tasks.detect.datasets import DetectDatasets

LEARNING_RATE = 0.001
STEM = (
    "MobilenetV2.Conv",
    "MobilenetV2.expanded_conv",
    *(f"MobilenetV2.expanded_conv_{number}" for number in range(1, 4)),
    "MobilenetV1.Conv2d_0",
    *(f"MobilenetV1.Conv2d_{number}_depthwise" for number in range(1, 4)),
    *(f"MobilenetV1.Conv2d_{number}_pointwise" for number in range(1, 4)),
)
"""The layers that see edges and colours, down to a quarter of the picture's sides, and take most of the time."""
MOST_READERS = 8
LOOKED_AT = 64


def recipe(config: DetectConfig, datasets: "DetectDatasets") -> Recipe:
    """Build the network, filled from the pre-trained one where there is one, and say how to train it."""
    keras.utils.set_random_seed(config.seed)
    network, spec, remarks = _start(config, datasets)
    ending = ending_of(config, spec, datasets.labels)
    assign = TargetAssigner(ending.anchors_cyxhw, spec.classes)
    train, validation = replace(datasets.train, assign=assign), replace(datasets.validation, assign=assign)
    classification, localisation, class_weight, box_weight = losses_for(_ssd_of(datasets))
    losses = {"encodings": localisation, "logits": classification}
    weights = {"encodings": box_weight, "logits": class_weight}
    pretrained_start = datasets.checkpoint is not None
    rest = _rest(len(train), config) if pretrained_start and config.freeze != "backbone" else None
    if pretrained_start:
        _freeze(network, config.freeze)
    return Recipe(
        model=_training_model(network, rest),
        network=network,
        losses=losses,
        loss_weights=weights,
        train=train,
        validation=validation,
        fingerprint=datasets.fingerprint,
        learning_rate=LEARNING_RATE,
        scores=_Validation(network, validation, losses, weights, ending),
        watched="val_mAP",
        rest=rest,
        reader=_reader(config, train),
        facts=asdict(spec),
        remarks=remarks,
    )


def continued(recipe: Recipe, network: keras.Model, config: DetectConfig, datasets: "DetectDatasets") -> Recipe:
    """Return the recipe to train ``network`` on, one of the same outputs, behind a training by ``config``."""
    ending = ending_of(config, spec_of(config, datasets), datasets.labels)
    validation: Any = recipe.validation
    return replace(
        recipe,
        model=_training_model(network),
        network=network,
        # Where it starts depends on all of the training before.
        fingerprint=fingerprint(recipe, config),
        scores=_Validation(network, validation, recipe.losses, recipe.loss_weights, ending),
        rest=None,
        reader=_reader(config, recipe.train),
    )


def _reader(config: DetectConfig, examples: Examples) -> ProcessReader | None:
    workers = min(MOST_READERS, max(1, available_processors() - 1)) if config.workers is None else config.workers
    return ProcessReader(examples.batch, workers) if workers else None


def _ssd_of(datasets: "DetectDatasets") -> Any:
    return datasets.pipeline.ssd() if datasets.pipeline else None


def _start(config: DetectConfig, datasets: "DetectDatasets") -> tuple[keras.Model, SsdSpec, Sequence[str]]:
    """Return the network to train, its description, and what it starts from, in sentences.

    Where it starts from a trained one its batch norm is folded into the convolutions: a batch of a few pictures says
    little of the mean and variance that thousands have settled, and convolutions alone train much faster.
    """
    spec = replace(spec_of(config, datasets), batch_norm=True)
    network = ssd.build(spec)
    departed = departures(datasets.pipeline.ssd()) if datasets.pipeline else ()
    if datasets.start is None:
        return network, spec, ["There is no channel 'checkpoint': training starts from scratch.", *departed]
    imported = pretrained.start_from(network, datasets.start)
    if any("/BatchNorm/" in name for name in imported.fresh):
        reestimate(network, _looked_at(datasets.train), imported.fresh)
    return fold(network, spec), spec_of(config, datasets), [*imported.sentences(), *departed]


def _looked_at(examples: DetectExamples) -> Iterator[np.ndarray]:
    """Return some training pictures as the network is fed them: what fresh layers are normalised by."""
    places = np.unique(np.linspace(0, len(examples) - 1, min(len(examples), LOOKED_AT)).astype(np.int64))
    for start in range(0, len(places), SCORED_AT_ONCE):
        yield examples.network_inputs(places[start : start + SCORED_AT_ONCE])["image"]


def _freeze(network: keras.Model, part: str) -> None:
    if part == "none":
        return
    for layer in network.layers:
        scope, _, inner = layer.name.partition(".")
        stem = any(inner == name or inner.startswith(f"{name}.") for name in STEM)
        if scope == "FeatureExtractor" and (stem or part == "backbone"):
            layer.trainable = False


def _training_model(network: keras.Model, rest: Rest | None = None) -> keras.Model:
    image = keras.Input(network.input.shape[1:], dtype="uint8", name="image")
    scaled = keras.layers.Rescaling(1 / HALF_RANGE, -1.0, name="scaled")(image)
    # Measured for TensorFlow on a CPU alone; on JAX it is not known to pay.
    trained = with_products(network) if keras.backend.backend() == "tensorflow" else network
    model = RestingModel({"image": image}, trained(scaled), name=f"{network.name}_training")
    model.rest = rest
    return model


def _rest(count: int, config: DetectConfig) -> Rest:
    """Return when a pre-trained backbone stands still: while the layers behind it are new."""
    warm_up = config.warm_up_epochs * (config.steps_per_epoch or count // (config.batch_size or 1))
    return Rest(lambda path: path.startswith("FeatureExtractor."), warm_up)


class _Validation:
    """Scores the network as it stands: the losses, and mAP of what it finds."""

    def __init__(
        self,
        network: keras.Model,
        examples: DetectExamples,
        losses: Mapping[str, Any],
        weights: Mapping[str, float],
        ending: DetectionEnding,
    ) -> None:
        self._network = network
        self._examples = examples
        self._losses = losses
        self._weights = weights
        self._ending = ending
        self._truths = examples.truths()

    def __call__(self, between: Callable[[], object]) -> Mapping[str, float]:
        loss, found = 0.0, []
        for indices in self._examples.batches():
            inputs, targets, _ = self._examples.batch(indices, None)
            answers = self._network.predict_on_batch(inputs["image"].astype(np.float32) / HALF_RANGE - 1)
            loss += len(indices) * sum(
                self._weights[name] * float(self._losses[name](targets[name], answers[name])) for name in self._losses
            )
            scores = 1 / (1 + np.exp(-answers["logits"][..., 1:]))
            found += detections({"encodings": answers["encodings"], "scores": scores}, self._ending)
            between()
        scored = metrics.score(self._truths, found, self._examples.labels)
        values = {"val_loss": loss / len(self._examples)}
        return {**values, **{f"val_{name}": scored[name] or 0.0 for name in ("mAP", "mAP50")}}
