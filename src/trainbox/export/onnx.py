"""An ONNX file: the network written layer by layer, and for a detector the selection of boxes behind it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.errors import ExportError
from trainbox.export.detection_ending import OUTPUTS, DetectionEnding
from trainbox.export.keras_native import float32_copy, input_names
from trainbox.export.onnx_graph import IR_VERSION, OPSET, Graph, Value
from trainbox.export.onnx_layers import write_layer
from trainbox.export.saved_model import signature_outputs

if TYPE_CHECKING:
    import keras

INSTALL = "Install it: pip install 'trainbox[onnx]'."


def write_onnx(network: "keras.Model", path: Path, ending: DetectionEnding | None = None) -> None:
    """Write ``network`` as an ONNX file, float32 in and out, followed by ``ending`` where its outputs are a detector's.

    The batch is free, but one picture at a time where the file ends in detections: ONNX lists those of all pictures
    together. Raise ExportError where a layer has no counterpart here, or the package ``onnx`` is missing.
    """
    try:
        from onnx import checker, helper
    except ImportError as error:
        raise ExportError(f"{path.name} needs the package 'onnx', which is not installed. {INSTALL}") from error
    graph = Graph()
    outputs = _network(graph, network)
    names = list(OUTPUTS) if ending else signature_outputs(network)
    batch: int | str = 1 if ending else "batch"
    shapes = _write_ending(graph, outputs, ending) if ending else _name_outputs(graph, outputs, names)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            network.name,
            [_info(name, (batch, *tensor.shape[1:])) for name, tensor in _inputs(network)],
            [_info(name, (batch, *shape)) for name, shape in zip(names, shapes, strict=True)],
            graph.constants,
        ),
        producer_name="trainbox",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    if ending:
        helper.set_model_props(model, {"labels": json.dumps(ending.labels), "input": "RGB, (pixel - 127.5) / 127.5"})
    checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _inputs(network: "keras.Model") -> list[tuple[str, Any]]:
    return list(zip(input_names(network), network.inputs, strict=True))


def _info(name: str, shape: Sequence[int | str | None]) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _network(graph: Graph, network: "keras.Model") -> list[Value]:
    """Write the layers in the order in which Keras calls them; return the outputs, in the network's order."""
    import keras

    copy = float32_copy(network)  # calling layers anew adds to what they know of being called
    values: dict[int, Value] = {}
    kept = []  # a tensor is known by its id, which is free for another once the tensor is gone

    def call(layer: Any, *arguments: Any, **settings: Any) -> Any:
        outputs = layer(*arguments, **settings)
        known = keras.tree.map_structure(lambda item: values.get(id(item), item), list(arguments))
        values[id(outputs)] = write_layer(graph, layer, known, tuple(outputs.shape))
        kept.append(outputs)
        return outputs

    inputs = [keras.Input(batch_shape=tensor.shape, name=name) for name, tensor in _inputs(copy)]
    values |= {id(tensor): Value(tuple(tensor.shape), last=tensor.name) for tensor in inputs}
    again = keras.models.clone_model(copy, inputs, clone_function=lambda layer: layer, call_function=call)
    return [values[id(tensor)] for tensor in again.outputs]


def _name_outputs(graph: Graph, outputs: Sequence[Value], names: Sequence[str]) -> list[tuple[int | None, ...]]:
    for value, name in zip(outputs, names, strict=True):
        graph.add("Identity", [graph.last(value)], name)
    return [value.shape[1:] for value in outputs]


def _write_ending(graph: Graph, outputs: Sequence[Value], ending: DetectionEnding) -> list[tuple[int, ...]]:
    """Write the selection of boxes behind encodings and scores of one picture; return the outputs' shapes."""
    encodings, scores = (graph.last(value) for value in outputs)
    boxes = _decoded(graph, encodings, ending)
    by_class = graph.add("Transpose", [scores], perm=[0, 2, 1])
    ranked = by_class if ending.regular_nms else graph.add("ReduceMax", [by_class], axes=[1], keepdims=1)
    limits = (
        graph.integers(ending.detections_per_class if ending.regular_nms else ending.maximum_detections),
        graph.constant([ending.iou_threshold]),
        graph.constant([ending.score_threshold]),
    )
    kept = graph.add("NonMaxSuppression", [boxes, ranked, *limits])  # (m, 3): picture, class, box
    every = graph.add("GatherND", [ranked, kept])
    count, (best, order) = _best(graph, every, ending.maximum_detections)
    rows = _column(graph, kept, order, 2)
    if ending.regular_nms:
        classes = _column(graph, kept, order, 1)
    else:
        winners = graph.add("Squeeze", [graph.add("ArgMax", [by_class], axis=1, keepdims=0), graph.integers(0)])
        classes = graph.add("Gather", [winners, rows])
    corners = graph.add("Gather", [graph.add("Squeeze", [boxes, graph.integers(0)]), rows])
    found = (corners, graph.add("Cast", [classes], to=1), best)
    most = ending.maximum_detections
    for name, value, width in zip(OUTPUTS, found, (4, 0, 0), strict=False):
        _padded(graph, value, count, name, most, width)
    graph.add("Cast", [count], OUTPUTS[3], to=1)
    return [(most, 4), (most,), (most,), ()]


def _decoded(graph: Graph, encodings: str, ending: DetectionEnding) -> str:
    codes = graph.add("Div", [encodings, graph.constant(ending.scales)])
    axis = graph.integers(2)
    places = graph.add("Slice", [codes, graph.integers(0), graph.integers(2), axis])
    sizes = graph.add("Slice", [codes, graph.integers(2), graph.integers(4), axis])
    anchors = ending.anchors_cyxhw
    moved = graph.add("Mul", [places, graph.constant(anchors[:, 2:])])
    middle = graph.add("Add", [moved, graph.constant(anchors[:, :2])])
    half = graph.add("Mul", [graph.add("Exp", [sizes]), graph.constant(anchors[:, 2:] / 2)])
    return graph.add("Concat", [graph.add("Sub", [middle, half]), graph.add("Add", [middle, half])], axis=2)


def _best(graph: Graph, scores: str, most: int) -> tuple[str, list[str]]:
    """Return how many of the scores are listed, int64 (1,), and those with their places, best first."""
    count = graph.add("Min", [graph.add("Shape", [scores]), graph.integers(most)])
    return count, graph.add_several("TopK", [scores, count], ["best_scores", "best_places"])


def _column(graph: Graph, table: str, order: str, number: int) -> str:
    column = graph.add("Gather", [table, graph.constant(number, np.int64)], axis=1)
    return graph.add("Gather", [column, order])


def _padded(graph: Graph, value: str, count: str, name: str, most: int, width: int) -> None:
    """Fill up to ``most`` with 0 and put the one picture's axis in front."""
    missing = graph.add("Sub", [graph.integers(most), count])
    zeros = graph.integers(0, 0) if width else graph.integers(0)
    sides = [zeros, missing, graph.integers(0)] if width else [zeros, missing]
    filled = graph.add("Pad", [value, graph.add("Concat", sides, axis=0), graph.constant(0.0)])
    shape = graph.integers(1, most, 4) if width else graph.integers(1, most)
    graph.add("Reshape", [filled, shape], name)
