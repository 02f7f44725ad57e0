"""An ``.onnx`` file in onnxruntime."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trainbox.errors import ExportError, ModelFileError
from trainbox.export.onnx import INSTALL


class OnnxModel:
    """An ``.onnx`` file, on the CPU; one example at a time where it takes one at a time."""

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ExportError(f"{path.name} runs in 'onnxruntime', which is not installed. {INSTALL}") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:  # from memory, so that the file cannot have other files read
            self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # each of its errors is a class of its own
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ModelFileError(f"{path.name} does not load in onnxruntime: {reason} Export it again.") from error
        self._single = any(given.shape[:1] == [1] for given in self._session.get_inputs())
        self.inputs = [given.name for given in self._session.get_inputs()]
        self.outputs = [given.name for given in self._session.get_outputs()]
        self.runtime = f"onnxruntime {onnxruntime.__version__}"

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the answers by output name, in the model's order."""
        fed = {name: np.asarray(inputs[name], dtype=np.float32) for name in self.inputs}
        count = len(fed[self.inputs[0]])
        step = 1 if self._single else count
        parts = [
            self._session.run(self.outputs, {name: array[start : start + step] for name, array in fed.items()})
            for start in range(0, count, step)
        ]
        return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(self.outputs)}
