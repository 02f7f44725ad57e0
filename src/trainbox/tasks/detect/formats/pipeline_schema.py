"""The fields of ``pipeline.config`` that matter: the network, how it was trained, and which files are its data."""

# The names are the documentation: they are the words of the file.
# ruff: noqa: D101

from dataclasses import dataclass

from trainbox.tasks.detect.formats.ssd_schema import Ssd


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
