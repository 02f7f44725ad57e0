"""Where a model file runs: opening each kind in its runtime, proving it there, and what each car is known to load."""

import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from trainbox.errors import ModelFileError, ProofError
from trainbox.export import cars, detection_proof, keras_native, tflite_detection

if TYPE_CHECKING:
    import keras

    from trainbox.export.bundle import Deployable

SIGNATURE = "serving_default"


class OpenModel(Protocol):
    """A model file, ready to answer: inputs and outputs float32 by name, first axis the examples.

    A detector's file answers with ``detection_ending.OUTPUTS``; its Keras model with encodings and scores. A file that
    takes a picture's integers is fed -1 to 1 all the same.
    """

    runtime: str

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the answers by output name, in the model's order."""


class KerasModel:
    """A ``.keras`` or ``.h5`` in Keras: from Keras' own loader, or our network filled with the file's arrays."""

    def __init__(self, network: "keras.Model") -> None:
        import keras

        self._network = network
        self.runtime = f"keras {keras.__version__} on {keras.backend.backend()}"

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the answers by output name, in the model's order."""
        return keras_native.answers(self._network, inputs)


class SavedModel:
    """A SavedModel in TensorFlow, through its signature ``serving_default``."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._loaded = tf.saved_model.load(str(folder))  # kept: the signature alone would lose its variables
        self._serve = self._loaded.signatures[SIGNATURE]
        self.runtime = f"tensorflow {tf.__version__}"

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the answers by output name, in alphabetical order."""
        import tensorflow as tf

        wanted = self._serve.structured_input_signature[1]
        answers = self._serve(**{name: tf.constant(np.asarray(inputs[name], np.float32)) for name in wanted})
        return {name: answers[name].numpy() for name in sorted(answers)}


class TfliteModel:
    """A ``.tflite`` in LiteRT, one example at a time, through its only signature."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(path))
        signatures = self._interpreter.get_signature_list()
        if list(signatures) != [SIGNATURE]:
            raise ModelFileError(f"{path.name} has signatures {sorted(signatures)}, not '{SIGNATURE}' alone.")
        self.inputs: list[str] = list(signatures[SIGNATURE]["inputs"])
        self.outputs: list[str] = list(signatures[SIGNATURE]["outputs"])
        self._run = self._interpreter.get_signature_runner(SIGNATURE)
        kinds = self._run.get_input_details()
        self._integers = [name for name in self.inputs if kinds[name]["dtype"] is np.uint8]
        self.runtime = f"ai-edge-litert {version('ai-edge-litert')}"

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the answers by output name, in alphabetical order."""
        rows = [np.asarray(inputs[name], dtype=np.float32) for name in self.inputs]
        rows = [pixels(row) if name in self._integers else row for name, row in zip(self.inputs, rows, strict=True)]
        answers = [
            self._run(**{name: row[i : i + 1] for name, row in zip(self.inputs, rows, strict=True)})
            for i in range(len(rows[0]))
        ]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in self.outputs}

    def check_ends(self, names: Sequence[str], integer_input: bool = False) -> None:
        """Raise ProofError unless the ends are what is asked for: float32, named for the inputs ``names``.

        With ``integer_input`` the inputs are the integers of a picture.
        """
        details = self._interpreter.get_input_details()
        tensors = sorted(detail["name"] for detail in details)
        if tensors != sorted(f"{SIGNATURE}_{name}:0" for name in names):
            raise ProofError(
                f"The .tflite's inputs are {tensors}; a car looks for {SIGNATURE}_NAME:0 of {list(names)}."
            )
        for detail in details if integer_input else []:
            tflite_detection.check_pixels(detail["name"], *detail["quantization"])
        for detail in [*details, *self._interpreter.get_output_details()]:
            wanted = np.uint8 if integer_input and detail in details else np.float32
            if detail["dtype"] is not wanted:
                given = detail["dtype"].__name__
                raise ProofError(
                    f"'{detail['name']}' of the .tflite is {given}, not {wanted.__name__} as is fed and read."
                )


def pixels(values: np.ndarray) -> np.ndarray:
    """Return a picture's integers, uint8, of the float32 -1 to 1 that a network sees."""
    mean, deviation = tflite_detection.PIXEL_MEAN, tflite_detection.PIXEL_DEVIATION
    return np.clip(np.rint(values * deviation + mean), 0, 255).astype(np.uint8)


def open_model(path: Path, network: "keras.Model | None" = None, *, trusted: bool = False) -> OpenModel:
    """Open a model file in its runtime.

    ``.keras`` and ``.h5`` give their arrays to ``network``, which the caller built; a SavedModel is a program and is
    opened only where ``trusted``, as everything that this process wrote itself may be; a ``.tflite`` that is not
    trusted is first tried in a process of its own. Raise ModelFileError where it cannot be opened.
    """
    kind = kind_of(path)
    if kind == "saved_model":
        if not trusted:
            raise ModelFileError(f"{path} is a SavedModel, a program that only its writer runs. Use the .tflite.")
        return SavedModel(path)
    if kind == "tflite":
        cars.tflite_operators(path)
        if not trusted:
            _probe(path)
        return TfliteModel(path)
    if kind == "onnx":
        from trainbox.export.onnx_model import OnnxModel

        return OnnxModel(path)
    if network is None:
        if not trusted:
            raise ModelFileError(f"{path} is opened by giving its arrays to a network. Received no network.")
        return KerasModel(_by_keras(path))
    from trainbox.export.arrays import assign, load_arrays

    copy = keras_native.float32_copy(network)
    assign(copy, load_arrays(path))
    return KerasModel(copy)


def kind_of(path: Path) -> str:
    """Return "saved_model", "tflite", "onnx", "keras" or "h5"; raise ModelFileError for any other file."""
    if path.is_dir() and (path / "saved_model.pb").is_file():
        return "saved_model"
    kind = path.suffix.lower().lstrip(".")
    if path.is_file() and kind in ("tflite", "onnx", "keras", "h5"):
        return kind
    raise ModelFileError(f"{path} is no model file. Give a .tflite, .onnx, .keras or .h5 file or a SavedModel folder.")


def _by_keras(path: Path) -> "keras.Model":
    """Read a file that this process wrote with Keras' own loader, as a car does."""
    import keras

    return keras.models.load_model(path, compile=False, safe_mode=True)


_PROBE = """
import sys
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
interpreter.invoke()
"""


def _probe(path: Path) -> None:
    """Load and run a .tflite once in a process of its own: a bad one can take its process down."""
    try:
        done = subprocess.run([sys.executable, "-c", _PROBE, str(path)], capture_output=True, timeout=120, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelFileError(f"{path.name} ran for two minutes without an answer. Do not use it.") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"status {done.returncode}"
        raise ModelFileError(f"{path.name} does not run in LiteRT: {reason}. Export it again.")


def prove(network: "keras.Model", deployable: "Deployable", path: Path) -> dict[str, Any]:
    """Load the file just written, compare its answers with ``network``'s, and return what the manifest says of it.

    Raise ProofError where it does not load, lacks its arrays, or answers differently by more than the tolerance.
    """
    opened, answers = _answers_of(network, deployable, path)
    _check_size(network, deployable, path)
    comparison = _compared(keras_native.answers(network, deployable.inputs), answers, deployable)
    largest = max(comparison["differences"].values())
    if deployable.tolerance is not None and largest > deployable.tolerance:
        raise ProofError(
            f"{deployable.file} answers up to {largest:.3g} away from the Keras model on {opened.runtime}; "
            f"{deployable.tolerance:.3g} is allowed."
        )
    return {
        "kind": deployable.kind,
        "inputs": {tensor.name: [None, *tensor.shape[1:]] for tensor in network.inputs},
        **({"integer_input": True} if deployable.integer_input else {}),
        "outputs": {name: list(array.shape[1:]) for name, array in answers.items()},
        "proof": {
            "runtime": opened.runtime,
            "machine": f"{platform.system()} {platform.machine()}",
            "examples": min(len(array) for array in deployable.inputs.values()),
            "largest_difference": largest,
            **comparison,
            "tolerance": deployable.tolerance,
        },
        "loads_on": cars.loads_on(deployable.kind, path, deployable.for_cars and deployable.ending is None),
    }


def _answers_of(
    network: "keras.Model", deployable: "Deployable", path: Path
) -> tuple[OpenModel, dict[str, np.ndarray]]:
    try:
        opened = open_model(path, trusted=True)
        if isinstance(opened, TfliteModel):
            opened.check_ends(keras_native.input_names(network), deployable.integer_input)
            if deployable.ending:
                tflite_detection.check_order(path)
        return opened, opened(deployable.inputs)
    except ProofError:
        raise
    except Exception as error:  # a runtime raises what it likes
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ProofError(f"{deployable.file} does not load or run in its runtime: {reason}") from error


def _compared(
    expected: Mapping[str, np.ndarray], received: Mapping[str, np.ndarray], deployable: "Deployable"
) -> dict[str, Any]:
    """Return the largest ``differences`` by output, of detections where the file ends in them."""
    file = deployable.file
    if deployable.ending:
        return detection_proof.compare(expected, received, deployable.ending, file, deployable.tolerance)
    return {"differences": _differences(expected, received, file)}


def _differences(expected: Mapping[str, np.ndarray], received: Mapping[str, np.ndarray], file: str) -> dict[str, float]:
    """Return the largest absolute difference of each output, matched by position, as a car matches them."""
    if len(expected) != len(received):
        raise ProofError(f"{file} gives the outputs {', '.join(received)}; the Keras model {', '.join(expected)}.")
    found = {}
    for (name, wanted), (given, array) in zip(expected.items(), received.items(), strict=True):
        if array.shape != wanted.shape:
            raise ProofError(f"{file}: '{given}' has shape {array.shape}, '{name}' in Keras {wanted.shape}.")
        if not (np.isfinite(array).all() and np.isfinite(wanted).all()):
            raise ProofError(f"{file}: output '{given}' is not finite for some validation input.")
        found[name] = float(np.max(np.abs(array - wanted)))
    return found


def _check_size(network: "keras.Model", deployable: "Deployable", path: Path) -> None:
    """Refuse a file too small for its arrays: a converter can leave them out without a word."""
    files = path.rglob("*") if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files if file.is_file())
    each = 1 if deployable.kind in ("tflite_int8", "tflite_dynamic") else 4
    # Batch norm and biases may be folded into the kernels before them, which stay.
    parameters = sum(int(np.prod(weight.shape)) for weight in network.weights if len(weight.shape) > 1)
    if size < each * parameters:
        raise ProofError(f"{deployable.file} has {size} bytes, too few for {parameters} parameters.")
