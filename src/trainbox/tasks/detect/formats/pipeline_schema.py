"""The fields of ``pipeline.config`` that matter, with the defaults its users counted on.

Names and defaults are those of the TensorFlow Object Detection API's messages; fields that are not here change
nothing in what is built or trained, or ask for something that is not built.
"""

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


@dataclass(frozen=True)
class DetectionModel:
    ssd: Ssd | None = None


@dataclass(frozen=True)
class ConstantLearningRate:
    learning_rate: float = 0.002


@dataclass(frozen=True)
class ExponentialDecayLearningRate:
    initial_learning_rate: float = 0.002
    decay_steps: int = 4_000_000
    decay_factor: float = 0.95
    staircase: bool = True
    burnin_learning_rate: float = 0.0
    burnin_steps: int = 0
    min_learning_rate: float = 0.0


@dataclass(frozen=True)
class LearningRateStep:
    step: int = 0
    learning_rate: float = 0.002


@dataclass(frozen=True)
class ManualStepLearningRate:
    initial_learning_rate: float = 0.002
    schedule: tuple[LearningRateStep, ...] = ()
    warmup: bool = False


@dataclass(frozen=True)
class CosineDecayLearningRate:
    learning_rate_base: float = 0.002
    total_steps: int = 4_000_000
    warmup_learning_rate: float = 0.0002
    warmup_steps: int = 10_000
    hold_base_rate_steps: int = 0


@dataclass(frozen=True)
class LearningRate:
    constant_learning_rate: ConstantLearningRate | None = None
    exponential_decay_learning_rate: ExponentialDecayLearningRate | None = None
    manual_step_learning_rate: ManualStepLearningRate | None = None
    cosine_decay_learning_rate: CosineDecayLearningRate | None = None


@dataclass(frozen=True)
class RmsProp:
    learning_rate: LearningRate = LearningRate()
    momentum_optimizer_value: float = 0.9
    decay: float = 0.9
    epsilon: float = 1.0


@dataclass(frozen=True)
class Momentum:
    learning_rate: LearningRate = LearningRate()
    momentum_optimizer_value: float = 0.9


@dataclass(frozen=True)
class Adam:
    learning_rate: LearningRate = LearningRate()
    epsilon: float = 1e-8


@dataclass(frozen=True)
class Optimizer:
    rms_prop_optimizer: RmsProp | None = None
    momentum_optimizer: Momentum | None = None
    adam_optimizer: Adam | None = None
    use_moving_average: bool = True
    moving_average_decay: float = 0.9999


@dataclass(frozen=True)
class Flag:
    """A step without settings of ours: that it is there is what counts."""


@dataclass(frozen=True)
class Augmentation:
    random_horizontal_flip: Flag | None = None
    random_vertical_flip: Flag | None = None
    random_rotation90: Flag | None = None
    random_pixel_value_scale: Flag | None = None
    random_rgb_to_gray: Flag | None = None
    random_adjust_brightness: Flag | None = None
    random_adjust_contrast: Flag | None = None
    random_adjust_hue: Flag | None = None
    random_adjust_saturation: Flag | None = None
    random_distort_color: Flag | None = None
    random_crop_image: Flag | None = None
    random_pad_image: Flag | None = None
    random_crop_pad_image: Flag | None = None
    ssd_random_crop: Flag | None = None
    ssd_random_crop_pad: Flag | None = None
    ssd_random_crop_fixed_aspect_ratio: Flag | None = None
    ssd_random_crop_pad_fixed_aspect_ratio: Flag | None = None


@dataclass(frozen=True)
class TrainConfig:
    batch_size: int = 32
    num_steps: int = 0
    data_augmentation_options: tuple[Augmentation, ...] = ()
    optimizer: Optimizer = Optimizer()
    gradient_clipping_by_norm: float = 0.0
    fine_tune_checkpoint: str = ""
    fine_tune_checkpoint_type: str = ""
    from_detection_checkpoint: bool = False
    load_all_detection_checkpoint_vars: bool = False
    freeze_variables: tuple[str, ...] = ()
    max_number_of_boxes: int = 100


@dataclass(frozen=True)
class TfRecordInputReader:
    input_path: tuple[str, ...] = ()


@dataclass(frozen=True)
class InputReader:
    label_map_path: str = ""
    use_display_name: bool = False
    tf_record_input_reader: TfRecordInputReader = TfRecordInputReader()


@dataclass(frozen=True)
class Quantization:
    delay: int = 500_000
    weight_bits: int = 8
    activation_bits: int = 8


@dataclass(frozen=True)
class GraphRewriter:
    quantization: Quantization | None = None


@dataclass(frozen=True)
class Pipeline:
    """The whole file."""

    model: DetectionModel = DetectionModel()
    train_config: TrainConfig | None = None
    train_input_reader: InputReader | None = None
    eval_input_reader: tuple[InputReader, ...] = ()
    graph_rewriter: GraphRewriter | None = None
