"""Which network to build and which losses train it: from ``pipeline.config``, or from the hyperparameter ``model``.

Sources: the OD API's ``ssd_mobilenet_v{1,2}_feature_extractor``, ``convolutional_box_predictor`` and
``multiple_grid_anchor_generator``, whose trained checkpoints the networks are to fit.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from trainbox.errors import DataError
from trainbox.tasks.detect.anchors import AnchorSpec
from trainbox.tasks.detect.coder import SCALES
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.formats.pipeline_config import FEATURE_EXTRACTORS
from trainbox.tasks.detect.formats.ssd_schema import BatchNorm, Hyperparams, Ssd, SsdAnchorGenerator
from trainbox.tasks.detect.losses import ClassificationLoss, LocalisationLoss
from trainbox.tasks.detect.networks.ssd import EXTRAS, Backbone, SsdSpec

MODELS: dict[str, dict[str, Any]] = {
    "ssd_mobilenet_v1": {"backbone": "mobilenet_v1"},
    "ssd_mobilenet_v2": {"backbone": "mobilenet_v2", "depthwise_extras": True, "predictor_kernel": 3},
    "ssdlite_mobilenet_v2": {
        "backbone": "mobilenet_v2", "depthwise_extras": True, "depthwise_predictors": True, "predictor_kernel": 3,
    },
}  # fmt: skip
"""The networks by the names of the hyperparameter ``model``: each as its COCO checkpoint of old has it."""
DEFAULT_MODEL = "ssdlite_mobilenet_v2"
DEFAULT_SIZE = 300
SIZES = (33, 2048)
FEATURE_MAPS = 2 + len(EXTRAS)
NO_MINING = 1_000_000
"""So many negatives at least that none is left out."""


def spec_for(config: DetectConfig, ssd: Ssd | None, classes: int) -> SsdSpec:
    """Return the network to build for so many classes (background not counted).

    Hyperparameters that were given win over pipeline.config. Raise DataError, naming the field, where the file asks for
    something that cannot be built.
    """
    if ssd is None:
        side = config.image_size or DEFAULT_SIZE
        spec = SsdSpec(classes=classes, size=(side, side), **MODELS[config.model or DEFAULT_MODEL])
    else:
        spec = _from_pipeline(ssd, classes)
        if config.model is not None:
            plain = replace(
                spec, depthwise_extras=False, depthwise_predictors=False, predictor_kernel=1, tensorflow_2=False
            )
            spec = replace(plain, **MODELS[config.model])
    return spec if config.depth_multiplier is None else replace(spec, depth_multiplier=config.depth_multiplier)


def losses_for(ssd: Ssd | None) -> tuple[ClassificationLoss, LocalisationLoss, float, float]:
    """Return both losses and what each weighs."""
    if ssd is None:
        return ClassificationLoss(least_negatives=3), LocalisationLoss(), 1.0, 1.0
    loss = ssd.loss
    smooth = loss.localization_loss.weighted_smooth_l1
    localisation = LocalisationLoss(
        by_code_size=ssd.normalize_loc_loss_by_codesize, corner=smooth.delta if smooth else 1.0
    )
    return _classification(ssd), localisation, loss.classification_weight, loss.localization_weight


def departures(ssd: Ssd) -> tuple[str, ...]:
    """Return a sentence for each setting of the file that is trained otherwise here; answers are not touched by any."""
    return tuple(_departures(ssd))


def _classification(ssd: Ssd) -> ClassificationLoss:
    zeros = ssd.encode_background_as_zeros
    focal, miner = ssd.loss.classification_loss.weighted_sigmoid_focal, ssd.loss.hard_example_miner
    if focal is not None:
        return ClassificationLoss("focal", focal_alpha=focal.alpha, focal_gamma=focal.gamma, background_as_zeros=zeros)
    if miner is None or miner.max_negatives_per_positive == 0:
        return ClassificationLoss(least_negatives=NO_MINING, background_as_zeros=zeros)
    return ClassificationLoss(
        negatives_per_positive=float(miner.max_negatives_per_positive),
        least_negatives=miner.min_negatives_per_image,
        background_as_zeros=zeros,
    )


def _departures(ssd: Ssd) -> Iterator[str]:
    matcher, miner = ssd.matcher.argmax_matcher, ssd.loss.hard_example_miner
    if matcher and (matcher.matched_threshold, matcher.unmatched_threshold) != (0.5, 0.5):
        yield "Anchors are matched at an overlap of .5, not at the thresholds of pipeline.config."
    if matcher and not matcher.force_match_for_each_row:
        yield "Each box claims its best anchor, though pipeline.config does not ask for it."
    if miner and ssd.loss.classification_loss.weighted_sigmoid and miner.loss_type != "CLASSIFICATION":
        yield f"Negatives are mined by their classification loss, not by {miner.loss_type}."
    if not ssd.normalize_loss_by_num_matches:
        yield "Losses are divided by the number of matched anchors, though pipeline.config does not ask for it."
    predictor = ssd.box_predictor.convolutional_box_predictor
    if predictor and predictor.use_dropout:
        yield "The dropout before the predictors is left out."


def _from_pipeline(ssd: Ssd, classes: int) -> SsdSpec:
    extractor, predictor = ssd.feature_extractor, ssd.box_predictor.convolutional_box_predictor
    resizer, anchors = ssd.image_resizer.fixed_shape_resizer, ssd.anchor_generator.ssd_anchor_generator
    if predictor is None or resizer is None or anchors is None or extractor.type not in FEATURE_EXTRACTORS:
        raise DataError(f"pipeline.config names the network '{extractor.type}', which is not built here.")
    size = (resizer.height, resizer.width)
    for field, received, fits, supported in _checks(ssd, size):
        if not fits:
            raise _refusal(field, received, supported)
    multiplier = _short(extractor.depth_multiplier)
    return SsdSpec(
        backbone=cast(Backbone, FEATURE_EXTRACTORS[extractor.type]),
        classes=classes,
        size=size,
        depth_multiplier=multiplier,
        min_depth=extractor.min_depth,
        depthwise_extras=extractor.use_depthwise,
        depthwise_predictors=predictor.use_depthwise,
        predictor_kernel=predictor.kernel_size,
        class_bias=_short(predictor.class_prediction_bias_init),
        explicit_padding=extractor.use_explicit_padding,
        tensorflow_2=extractor.type.endswith("_keras"),
        anchors=_anchors(anchors, size),
    )


def _checks(ssd: Ssd, size: tuple[int, int]) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield (field, its value, whether it can be built, what can be)."""
    extractor, predictor = ssd.feature_extractor, ssd.box_predictor.convolutional_box_predictor
    anchors, coder = ssd.anchor_generator.ssd_anchor_generator, ssd.box_coder.faster_rcnn_box_coder
    if predictor is None or anchors is None:
        return
    layers, padded = anchors.num_layers, extractor.pad_to_multiple
    between = f"{SIZES[0]} to {SIZES[1]} pixels"
    yield "fixed_shape_resizer", size, all(SIZES[0] <= side <= SIZES[1] for side in size), between
    yield "pad_to_multiple", padded, padded >= 1 and not any(side % padded for side in size), "a divisor of the size"
    multiplier = extractor.depth_multiplier
    yield "depth_multiplier", multiplier, 0 < multiplier <= 4, "above 0 to 4"
    yield "feature_extractor.min_depth", extractor.min_depth, 1 <= extractor.min_depth <= 1024, "1 to 1024"
    yield "anchor_generator.num_layers", layers, 2 <= layers <= FEATURE_MAPS, f"2 to {FEATURE_MAPS}"
    yield "feature_extractor.num_layers", extractor.num_layers, extractor.num_layers in (layers, 6), "that of anchors"
    kernel = predictor.kernel_size
    kernels = (3,) if predictor.use_depthwise else (1, 3, 5)
    yield "box_predictor.kernel_size", kernel, kernel in kernels, " or ".join(map(str, kernels))
    inserted = predictor.num_layers_before_predictor if max(predictor.max_depth, predictor.min_depth) else 0
    yield "num_layers_before_predictor", inserted, inserted == 0, "0, or depths of 0"
    yield "box_code_size", predictor.box_code_size, predictor.box_code_size == 4, "4"
    yield "add_background_class", ssd.add_background_class, ssd.add_background_class, "true"
    converter = ssd.post_processing.score_converter
    yield "score_converter", converter, converter != "SOFTMAX", "SIGMOID"
    if coder is not None:
        scales = (coder.y_scale, coder.x_scale, coder.height_scale, coder.width_scale)
        yield "box_coder scales", scales, scales == SCALES, str(SCALES)
    yield from _checks_of_convolutions("feature_extractor", extractor.conv_hyperparams)
    if predictor.use_depthwise:
        yield from _checks_of_convolutions("box_predictor", predictor.conv_hyperparams)
    yield from _checks_of_anchors(anchors)


def _checks_of_convolutions(where: str, settings: Hyperparams) -> Iterator[tuple[str, Any, bool, str]]:
    norm: BatchNorm | None = settings.batch_norm
    yield f"{where}.activation", settings.activation, settings.activation == "RELU_6", "RELU_6"
    yield f"{where}.batch_norm", "none", norm is not None, "batch_norm"
    if norm is not None:
        yield f"{where}.batch_norm.epsilon", norm.epsilon, abs(norm.epsilon - 0.001) < 1e-6, "0.001"


def _checks_of_anchors(anchors: SsdAnchorGenerator) -> Iterator[tuple[str, Any, bool, str]]:
    layers = anchors.num_layers
    yield "scales", anchors.scales, len(anchors.scales) in (0, layers), f"one for each of {layers} layers"
    for field in ("height_stride", "width_stride", "height_offset", "width_offset"):
        values = getattr(anchors, field)
        yield field, values, len(values) in (0, layers), f"one for each of {layers} layers"
    lengths = [*anchors.scales, *anchors.aspect_ratios, anchors.min_scale, anchors.max_scale]
    lengths += [anchors.base_anchor_height, anchors.base_anchor_width]
    yield "ssd_anchor_generator", min(lengths), min(lengths) > 0, "numbers above 0"
    shapes = len(anchors.aspect_ratios) + (anchors.interpolated_scale_aspect_ratio > 0)
    yield "aspect_ratios", shapes, 1 <= shapes <= 32, "1 to 32 of them"


def _anchors(anchors: SsdAnchorGenerator, size: tuple[int, int]) -> AnchorSpec:
    tall, wide = (min(size) / side for side in size)
    return AnchorSpec(
        layers=anchors.num_layers,
        min_scale=_short(anchors.min_scale),
        max_scale=_short(anchors.max_scale),
        ratios=tuple(_short(ratio) for ratio in anchors.aspect_ratios),
        reduce_first_layer=anchors.reduce_boxes_in_lowest_layer,
        explicit_scales=tuple(_short(scale) for scale in anchors.scales),
        between_ratio=_short(anchors.interpolated_scale_aspect_ratio),
        base=(
            _short(anchors.base_anchor_height) * tall,
            _short(anchors.base_anchor_width) * wide,
        ),
        strides=_pairs(anchors.height_stride, anchors.width_stride, size),
        offsets=_pairs(anchors.height_offset, anchors.width_offset, size),
    )


def _pairs(
    vertical: tuple[int, ...], horizontal: tuple[int, ...], size: tuple[int, int]
) -> tuple[tuple[float, float], ...]:
    """Return pixels as shares of the picture's sides; both or neither direction is given."""
    if bool(vertical) != bool(horizontal):
        raise _refusal("anchor strides or offsets", "one direction only", "both directions")
    return tuple((y / size[0], x / size[1]) for y, x in zip(vertical, horizontal, strict=True))


def _short(number: float) -> float:
    """Undo what single precision wrote into files of old: 0.20000000298 was 0.2."""
    return round(number, 6)


def _refusal(field: str, received: Any, supported: str) -> DataError:
    return DataError(
        f"pipeline.config asks for a {field} of {received}, which is not built here. Supported: {supported}."
    )
