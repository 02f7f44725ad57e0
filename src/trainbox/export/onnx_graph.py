"""An ONNX graph as it is being written, and the two ways in which it may hold a picture.

Keras has a picture's channels last, ONNX's convolutions have them first. A value is turned round where an operator
needs it the other way, once, so that a chain of convolutions is turned at its two ends only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

OPSET = 17
"""Read by every onnxruntime since 1.12 and by OpenCV, TensorRT and OpenVINO of its time."""

IR_VERSION = 8


@dataclass
class Value:
    """One tensor: its name with the channels ``last``, ``first``, or both; ``shape`` as Keras has it."""

    shape: tuple[int | None, ...]
    last: str | None = None
    first: str | None = None


@dataclass
class Graph:
    """Nodes and constants, in order; every name is given once."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    _names: int = 0

    def add(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Add an operator of one output; return the output's name."""
        return self.add_several(kind, inputs, [output or self._name(kind)], **attributes)[0]

    def add_several(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> list[str]:
        """Add an operator whose outputs are named; return their names."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), list(outputs), name=self._name("node"), **attributes))
        return list(outputs)

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant; return its name."""
        from onnx import numpy_helper

        name = self._name("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype, order="C"), name))
        return name

    def integers(self, *values: int) -> str:
        """Add a constant vector of int64, which is what sizes and axes are."""
        return self.constant(values, np.int64)

    def last(self, value: Value) -> str:
        """Return the name of a value with its channels last, as Keras has it."""
        if value.last is None:
            value.last = self.add("Transpose", [str(value.first)], perm=[0, 2, 3, 1])
        return value.last

    def first(self, value: Value) -> str:
        """Return the name of a picture (4 axes) with its channels first."""
        if value.first is None:
            value.first = self.add("Transpose", [str(value.last)], perm=[0, 3, 1, 2])
        return value.first

    def _name(self, stem: str) -> str:
        self._names += 1
        return f"{stem.lower()}_{self._names}"
