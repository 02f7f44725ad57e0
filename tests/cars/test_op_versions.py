"""The table of operator versions is what tflite-runtime 2.14 says itself."""

import base64
from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from trainbox.export.op_versions import TFLITE_RUNTIME_2_14

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def test_the_table_is_what_the_runtime_loads(car: Any) -> None:
    names = {name: code for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    models = {name: {version: _model(code, version) for version in range(1, 21)} for name, code in names.items()}
    assert car("5.3 Pi").run("load_operators.py", {"operators": models}) == TFLITE_RUNTIME_2_14


def test_a_5_4_pi_loads_at_least_as_much(car: Any) -> None:
    models = {
        name: {version: _model(getattr(schema.BuiltinOperator, name), version)}
        for name, version in TFLITE_RUNTIME_2_14.items()
    }
    assert car("5.4 Pi").run("load_operators.py", {"operators": models}) == TFLITE_RUNTIME_2_14


def _model(code: int, version: int) -> str:
    """Return a model with no operation that declares one operator in one version: the runtime looks it up at once."""
    operator = schema.OperatorCodeT()
    operator.builtinCode, operator.deprecatedBuiltinCode, operator.version = code, min(code, 127), version
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [], [], [], []
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [operator], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    return base64.b64encode(bytes(builder.Output())).decode()
