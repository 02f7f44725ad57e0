"""A TensorFlow SavedModel with one signature, ``serving_default``, its inputs and outputs named as the network's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox.errors import ExportError
from trainbox.export.keras_native import call, input_names, output_names, quiet

if TYPE_CHECKING:
    import keras

    from trainbox.export.detection_graph import Ending


def signature_outputs(network: "keras.Model") -> list[str]:
    """Return the signature's names for the outputs, in the network's order.

    A runtime lists a signature's outputs alphabetically and a car takes the first as the angle, so where the
    network's own names would come out in another order they are replaced by ``output_0``, ``output_1``...
    """
    names = output_names(network)
    if names == sorted(set(names)):
        return names
    width = len(str(len(names) - 1))
    return [f"output_{i:0{width}d}" for i in range(len(names))]


def write_saved_model(
    network: "keras.Model", folder: Path, batch: int | None = None, ending: "Ending | None" = None
) -> None:
    """Write ``network`` as a SavedModel at ``folder``, followed by ``ending`` where its outputs are a detector's.

    ``batch`` fixes the number of examples per call; None leaves it free. Raise ExportError where Keras does not run
    on TensorFlow, the only backend whose graphs convert to TensorFlow Lite.
    """
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"A SavedModel needs Keras on TensorFlow; it runs on {keras.backend.backend()}. "
            "Export in a process with KERAS_BACKEND=tensorflow."
        )
    names, finish = input_names(network), ending or _named(signature_outputs(network))

    def serve(*tensors: "tf.Tensor") -> Mapping[str, "tf.Tensor"]:
        return finish(*call(network, list(tensors)))

    # Keras's own archive, because a plain tf.Module saved from a Keras 3 network silently leaves the arrays out.
    archive = keras.export.ExportArchive()
    archive.track(network)
    specs = [
        tf.TensorSpec((batch, *tensor.shape[1:]), tf.float32, name=name)
        for name, tensor in zip(names, network.inputs, strict=True)
    ]
    archive.add_endpoint("serving_default", serve, input_signature=specs)
    with quiet():
        archive.write_out(str(folder), verbose=False)


def _named(names: list[str]) -> Callable[..., dict[str, Any]]:
    return lambda *outputs: dict(zip(names, outputs, strict=True))
