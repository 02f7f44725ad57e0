"""A detector's .tflite as its clients expect it: outputs in the operator's order, described, with its labels inside.

Clients take the outputs by position: boxes, classes, scores, count. The converter orders them as it likes, so they are
put in order here, and ``check_order`` looks again.
"""

from pathlib import Path
from typing import Any

import numpy as np

from trainbox.errors import ModelFileError, ProofError
from trainbox.export import tflite_metadata
from trainbox.export.detection_ending import OPERATOR, OUTPUTS, DetectionEnding
from trainbox.export.tflite_metadata import Picture

PIXEL_MEAN = PIXEL_DEVIATION = 127.5
"""A picture's values, 0 to 255, less this and divided by this are what a network sees, -1 to 1."""

LARGEST_SHIFT = 0.6 / PIXEL_DEVIATION
"""An integer has no value for -1 and 1 and all between: half a step of a pixel is off at best."""

_ALIGNMENT = 16
"""Bytes that the schema aligns arrays to; processors that load several numbers at once rely on it."""


def finished(content: bytes, ending: DetectionEnding, name: str) -> bytes:
    """Return a converted .tflite with its outputs in order and by the operator's names, described, labels inside."""
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import flexbuffers

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph, operator = model.subgraphs[0], _operator(model)
    # The converter leaves out detections_per_class, which then is 100 whatever was asked for.
    operator.customOptions = np.frombuffer(flexbuffers.Dumps(ending.attributes()), np.uint8)
    graph.outputs = np.array(operator.outputs, np.int32)
    for position, tensor in enumerate(operator.outputs):
        graph.tensors[tensor].name = f"{OPERATOR}:{position}" if position else OPERATOR
    _describe(model, schema, ending, name)
    return tflite_metadata.with_labels(_packed(model), ending.labels)


def read_ending(path: Path) -> DetectionEnding | None:
    """Return what a .tflite ends in, None where it is no detector's; raise ModelFileError where it cannot be read."""
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import flexbuffers

    from trainbox.export.cars import tflite_operators

    if f"CUSTOM {OPERATOR}" not in tflite_operators(path):
        return None
    content = path.read_bytes()
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        operator = _operator(model)
        values = flexbuffers.Loads(bytes(bytearray(operator.customOptions)))
        tensor = model.subgraphs[0].tensors[operator.inputs[2]]
        anchors = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.float32).reshape(-1, 4)
        return DetectionEnding(
            anchors,
            int(values["num_classes"]),
            tflite_metadata.labels_of(content),
            int(values["max_detections"]),
            float(values["nms_score_threshold"]),
            float(values["nms_iou_threshold"]),
            bool(values.get("use_regular_nms", False)),
            int(values.get("detections_per_class", 100)),
            (values["y_scale"], values["x_scale"], values["h_scale"], values["w_scale"]),
        )
    except Exception as error:  # a damaged flatbuffer fails in as many ways as it has fields
        raise ModelFileError(f"{path.name} has an ending that cannot be read. Export or copy it again.") from error


def check_order(path: Path) -> None:
    """Raise ProofError unless the file's outputs are the operator's, in its order, by their names in the signature."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    given = {entry.tensorIndex: entry.name.decode() for entry in model.signatureDefs[0].outputs}
    names = tuple(given.get(tensor, "") for tensor in model.subgraphs[0].outputs)
    if names != OUTPUTS or list(model.subgraphs[0].outputs) != list(_operator(model).outputs):
        raise ProofError(f"{path.name} gives {', '.join(names)}; clients take {', '.join(OUTPUTS)} by position.")


def check_pixels(name: str, scale: float, zero: int) -> None:
    """Raise ProofError unless an integer input is the picture as it is: 0 for -1, 255 for 1."""
    off = max(abs((pixel - zero) * scale - value) for pixel, value in ((0, -1.0), (255, 1.0)))
    if off > LARGEST_SHIFT:
        raise ProofError(
            f"The integers of '{name}' stand for {-zero * scale:.3g} to {(255 - zero) * scale:.3g}, not for -1 to 1. "
            "Whoever feeds it a picture would get wrong answers."
        )


def _operator(model: Any) -> Any:
    """Return the operator that detections come from."""
    for operator in model.subgraphs[0].operators:
        if model.operatorCodes[operator.opcodeIndex].customCode == OPERATOR.encode():
            return operator
    raise ModelFileError(f"The .tflite does not end in {OPERATOR}. Export it again.")


def _describe(model: Any, schema: Any, ending: DetectionEnding, name: str) -> None:
    """Add the description that phone libraries read, as a buffer of its own."""
    _, height, width, _ = (int(side) for side in model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shape)
    integers = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].type == schema.TensorType.UINT8
    lowest, highest = (0.0, 255.0) if integers else (-1.0, 1.0)
    picture = Picture(height, width, PIXEL_MEAN, PIXEL_DEVIATION, lowest, highest)
    said = f"Finds {ending.classes} classes of objects in a picture."
    content = np.frombuffer(tflite_metadata.metadata(name, said, picture), np.uint8)
    model.buffers.append(schema.BufferT(data=content))
    model.metadata = [*(model.metadata or []), schema.MetadataT(tflite_metadata.NAME, len(model.buffers) - 1)]


def _packed(model: Any) -> bytes:
    import flatbuffers

    class Aligned(flatbuffers.Builder):
        """Puts arrays of bytes, which is how all weights are stored, where the schema wants them."""

        def CreateNumpyVector(self, x: np.ndarray) -> int:
            if x.dtype == np.uint8:
                self.Prep(_ALIGNMENT, x.nbytes)
            return int(super().CreateNumpyVector(x))

    builder = Aligned(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
