"""The part of ``pipeline.config`` that describes an SSD network, its loss and its post-processing.

Names and defaults are those of the TensorFlow Object Detection API's messages; fields that are not here change
nothing in what is built or trained, or ask for something that is not built.
"""

# The names are the documentation: they are the words of the file.
# ruff: noqa: D101

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class L2Regularizer:
    weight: float = 1.0


@dataclass(frozen=True)
class Regularizer:
    l2_regularizer: L2Regularizer | None = None


@dataclass(frozen=True)
class NormalInitializer:
    mean: float = 0.0
    stddev: float = 1.0


@dataclass(frozen=True)
class Initializer:
    truncated_normal_initializer: NormalInitializer | None = None
    random_normal_initializer: NormalInitializer | None = None


@dataclass(frozen=True)
class BatchNorm:
    decay: float = 0.999
    center: bool = True
    scale: bool = False
    epsilon: float = 0.001
    train: bool = True


@dataclass(frozen=True)
class Hyperparams:
    activation: Literal["NONE", "RELU", "RELU_6", "SWISH"] = "RELU"
    regularizer: Regularizer = Regularizer()
    initializer: Initializer = Initializer()
    batch_norm: BatchNorm | None = None


@dataclass(frozen=True)
class FeatureExtractor:
    type: str = ""
    depth_multiplier: float = 1.0
    min_depth: int = 16
    conv_hyperparams: Hyperparams = Hyperparams()
    override_base_feature_extractor_hyperparams: bool = False
    pad_to_multiple: int = 1
    use_explicit_padding: bool = False
    use_depthwise: bool = False
    num_layers: int = 6


@dataclass(frozen=True)
class ConvolutionalBoxPredictor:
    conv_hyperparams: Hyperparams = Hyperparams()
    min_depth: int = 0
    max_depth: int = 0
    num_layers_before_predictor: int = 0
    use_dropout: bool = True
    dropout_keep_probability: float = 0.8
    kernel_size: int = 1
    box_code_size: int = 4
    apply_sigmoid_to_scores: bool = False
    class_prediction_bias_init: float = 0.0
    use_depthwise: bool = False


@dataclass(frozen=True)
class BoxPredictor:
    convolutional_box_predictor: ConvolutionalBoxPredictor | None = None


@dataclass(frozen=True)
class SsdAnchorGenerator:
    num_layers: int = 6
    min_scale: float = 0.2
    max_scale: float = 0.95
    scales: tuple[float, ...] = ()
    aspect_ratios: tuple[float, ...] = ()
    interpolated_scale_aspect_ratio: float = 1.0
    reduce_boxes_in_lowest_layer: bool = True
    base_anchor_height: float = 1.0
    base_anchor_width: float = 1.0
    height_stride: tuple[int, ...] = ()
    width_stride: tuple[int, ...] = ()
    height_offset: tuple[int, ...] = ()
    width_offset: tuple[int, ...] = ()


@dataclass(frozen=True)
class AnchorGenerator:
    ssd_anchor_generator: SsdAnchorGenerator | None = None


@dataclass(frozen=True)
class FasterRcnnBoxCoder:
    y_scale: float = 10.0
    x_scale: float = 10.0
    height_scale: float = 5.0
    width_scale: float = 5.0


@dataclass(frozen=True)
class BoxCoder:
    faster_rcnn_box_coder: FasterRcnnBoxCoder | None = None


@dataclass(frozen=True)
class ArgMaxMatcher:
    matched_threshold: float = 0.5
    unmatched_threshold: float = 0.5
    ignore_thresholds: bool = False
    negatives_lower_than_unmatched: bool = True
    force_match_for_each_row: bool = False


@dataclass(frozen=True)
class Matcher:
    argmax_matcher: ArgMaxMatcher | None = None


@dataclass(frozen=True)
class WeightedSigmoid:
    anchorwise_output: bool = False


@dataclass(frozen=True)
class SigmoidFocal:
    gamma: float = 2.0
    alpha: float | None = None


@dataclass(frozen=True)
class ClassificationLoss:
    weighted_sigmoid: WeightedSigmoid | None = None
    weighted_sigmoid_focal: SigmoidFocal | None = None


@dataclass(frozen=True)
class WeightedSmoothL1:
    delta: float = 1.0


@dataclass(frozen=True)
class LocalizationLoss:
    weighted_smooth_l1: WeightedSmoothL1 | None = None


@dataclass(frozen=True)
class HardExampleMiner:
    num_hard_examples: int = 64
    iou_threshold: float = 0.7
    loss_type: Literal["BOTH", "CLASSIFICATION", "LOCALIZATION"] = "BOTH"
    max_negatives_per_positive: int = 0
    min_negatives_per_image: int = 0


@dataclass(frozen=True)
class Loss:
    localization_loss: LocalizationLoss = LocalizationLoss()
    classification_loss: ClassificationLoss = ClassificationLoss()
    hard_example_miner: HardExampleMiner | None = None
    classification_weight: float = 1.0
    localization_weight: float = 1.0


@dataclass(frozen=True)
class BatchNonMaxSuppression:
    score_threshold: float = 0.0
    iou_threshold: float = 0.6
    max_detections_per_class: int = 100
    max_total_detections: int = 100


@dataclass(frozen=True)
class PostProcessing:
    batch_non_max_suppression: BatchNonMaxSuppression = BatchNonMaxSuppression()
    score_converter: Literal["IDENTITY", "SIGMOID", "SOFTMAX"] = "IDENTITY"


@dataclass(frozen=True)
class FixedShapeResizer:
    height: int = 300
    width: int = 300


@dataclass(frozen=True)
class ImageResizer:
    fixed_shape_resizer: FixedShapeResizer | None = None


@dataclass(frozen=True)
class Ssd:
    num_classes: int = 0
    image_resizer: ImageResizer = ImageResizer()
    feature_extractor: FeatureExtractor = FeatureExtractor()
    box_coder: BoxCoder = BoxCoder()
    matcher: Matcher = Matcher()
    encode_background_as_zeros: bool = False
    negative_class_weight: float = 1.0
    box_predictor: BoxPredictor = BoxPredictor()
    anchor_generator: AnchorGenerator = AnchorGenerator()
    post_processing: PostProcessing = PostProcessing()
    normalize_loss_by_num_matches: bool = True
    normalize_loc_loss_by_codesize: bool = False
    loss: Loss = Loss()
    freeze_batchnorm: bool = False
    add_background_class: bool = True
