"""TensorFlow Lite files: one signature, batch of one.

As a car reads them, float32 in and out. A detector's end in TensorFlow Lite's own operator for it (``ending``) and take
float32 or, quantized, the picture's own integers.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.errors import ExportError
from trainbox.export.keras_native import input_names, quiet
from trainbox.export.saved_model import write_saved_model

if TYPE_CHECKING:
    import keras

    from trainbox.export.detection_ending import DetectionEnding

Rows = Iterable[Mapping[str, np.ndarray]]
"""Representative inputs: each a mapping of input name to float32 values of one example, without the batch axis."""


def write_tflite(network: "keras.Model", path: Path, ending: "DetectionEnding | None" = None) -> None:
    """Write ``network`` as a float32 TensorFlow Lite file."""
    with _converter(network, path.parent, ending) as converter:
        _write(converter, path, ending)


def write_tflite_int8(
    network: "keras.Model",
    path: Path,
    representative: Rows,
    ending: "DetectionEnding | None" = None,
    integer_input: bool = False,
) -> None:
    """Write ``network`` with int8 weights and activations, float32 in and out.

    ``representative`` says what values the activations take; raise ExportError where it is empty. donkeycar feeds
    float32 whatever the file asks for, hence float32 at both ends; with ``integer_input`` the file takes the uint8
    pixels of a picture that the network sees as -1 to 1.
    """
    import tensorflow as tf

    rows = list(representative)
    if not rows:
        raise ExportError(f"{path.name} needs representative inputs to choose its scales. Received none.")
    if integer_input:
        rows[0] = {name: _with_extremes(array) for name, array in rows[0].items()}
    with _converter(network, path.parent, ending) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = _feed(rows, input_names(network))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8 if integer_input else tf.float32
        converter.inference_output_type = tf.float32
        # Dense layers quantized channel by channel need FULLY_CONNECTED 12; tflite-runtime 2.14 stops at 10.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        _write(converter, path, ending)


def write_tflite_dynamic(network: "keras.Model", path: Path, ending: "DetectionEnding | None" = None) -> None:
    """Write ``network`` with int8 weights and float32 activations: larger answers' accuracy, slower than full int8."""
    import tensorflow as tf

    with _converter(network, path.parent, ending) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        _write(converter, path, ending)


@contextmanager
def _converter(network: "keras.Model", scratch: Path, ending: "DetectionEnding | None" = None) -> Iterator[Any]:
    """Yield a converter of a temporary SavedModel with a batch of one.

    A car drives with one picture at a time; a free batch would add operators that compute shapes on every frame.
    """
    import tensorflow as tf

    from trainbox.export.detection_graph import in_tensorflow_lite

    with tempfile.TemporaryDirectory(prefix=".tflite-", dir=scratch) as folder:
        saved = str(Path(folder) / "saved")
        write_saved_model(network, Path(saved), 1, in_tensorflow_lite(ending) if ending else None)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=["serving_default"])
        converter.allow_custom_ops = ending is not None
        yield converter


def _write(converter: Any, path: Path, ending: "DetectionEnding | None" = None) -> None:
    try:
        with quiet():
            content = converter.convert()
    except Exception as error:  # the converter raises whatever its C++ passes on
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ExportError(f"{path.name} could not be converted to TensorFlow Lite: {reason}") from error
    if ending is not None:
        from trainbox.export.tflite_detection import finished

        content = finished(content, ending, path.stem)
    path.write_bytes(content)


def _feed(rows: list[Mapping[str, np.ndarray]], names: list[str]) -> Callable[[], Iterator[dict[str, np.ndarray]]]:
    def feed() -> Iterator[dict[str, np.ndarray]]:
        for row in rows:
            yield {name: np.asarray(row[name], dtype=np.float32)[None] for name in names}

    return feed


def _with_extremes(array: np.ndarray) -> np.ndarray:
    """Return an example that holds both ends of -1 to 1.

    The scale of an integer input is set by what was seen of it. Were no pixel white, the integers would no longer be
    the picture's own, and whoever feeds a picture would get wrong answers.
    """
    array = np.array(array, dtype=np.float32)
    array.flat[0], array.flat[-1] = -1.0, 1.0
    return array
