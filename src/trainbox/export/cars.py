"""Which cars and runtimes load which kind of file, and why: told from the file itself where it can be.

What is said here of Donkeycar is proved by ``tests/cars``, which drives the real pilots with every kind of file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainbox.errors import ModelFileError
from trainbox.export.op_versions import TFLITE_RUNTIME_2_14, TFLITE_RUNTIME_2_14_CUSTOM

PI_5_3 = "donkeycar 5.3 on a Pi: tflite-runtime 2.14"
PI_5_4 = "donkeycar 5.4 on a Pi: ai-edge-litert 2.1.4 or later"
PC_5_3 = "donkeycar 5.3 on a PC: tensorflow 2.15"
PC_5_4 = "donkeycar 5.4 on a PC: tensorflow 2.19, keras 3"
CARS = (PI_5_3, PI_5_4, PC_5_3, PC_5_4)
RUNTIME_2_14 = "tflite-runtime 2.14"
LITERT = "ai-edge-litert 2.1.4 or later"

_FIXED: dict[str, list[tuple[str, bool, str]]] = {
    "h5": [
        (PC_5_3, True, "configuration and arrays are laid out as Keras 2 writes them"),
        (PC_5_4, True, "Keras 3 reads the layout of Keras 2"),
        (PI_5_3, False, "needs TensorFlow, which that Pi lacks; use a .tflite"),
        (PI_5_4, False, "needs TensorFlow, which that Pi lacks; use a .tflite"),
    ],
    "keras": [
        (PC_5_3, False, "Keras 2.15 cannot read Keras 3's configuration; use model.h5"),
        (PC_5_4, True, "Keras 3 wrote it"),
        ("keras 3", True, "Keras 3 wrote it"),
    ],
    "saved_model": [
        (PC_5_3, False, "its loader looks for a Keras model's input_shape; use model.h5"),
        (PC_5_4, False, "its loader refuses a folder without a known extension; use model.h5"),
        ("tensorflow 2", True, "one signature, serving_default"),
    ],
    "onnx": [("onnxruntime", True, "proved on it")],
}


def loads_on(kind: str, path: Path, for_cars: bool = True) -> list[dict[str, Any]]:
    """Return ``{"runtime", "loads", "because"}`` for each runtime of which it is known whether it loads the file.

    A model that no car drives with (not ``for_cars``) is said to load in the bare runtimes.
    """
    if kind.startswith("tflite"):
        return _tflite_loads_on(path, *((PI_5_3, PI_5_4) if for_cars else (RUNTIME_2_14, LITERT)))
    known = _FIXED.get(kind, [])
    return [
        {"runtime": name, "loads": loads, "because": reason}
        for name, loads, reason in known
        if for_cars or name not in CARS
    ]


def _tflite_loads_on(path: Path, older: str, newer: str) -> list[dict[str, Any]]:
    operators = tflite_operators(path)
    beyond = [
        f"{name} {version} (it knows up to {TFLITE_RUNTIME_2_14.get(name, 0)})"
        for name, version in sorted(operators.items())
        if version > TFLITE_RUNTIME_2_14.get(name, 0) and name not in TFLITE_RUNTIME_2_14_CUSTOM
    ]
    used = ", ".join(f"{name} {version}" for name, version in sorted(operators.items()))
    old = f"needs {', '.join(beyond)}" if beyond else f"knows every operator version used: {used}"
    new = "newer than what the file was proved on needs" if not beyond else "proved on LiteRT"
    return [
        {"runtime": older, "loads": not beyond, "because": old},
        {"runtime": newer, "loads": True, "because": new},
    ]


def tflite_operators(path: Path) -> dict[str, int]:
    """Return the newest version used of each operator of a .tflite file, read from the file itself.

    Raise ModelFileError where the file is truncated or no TensorFlow Lite model. Operators that are not built in are
    given as ``CUSTOM <name>``.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise ModelFileError(f"{path.name} is no TensorFlow Lite model. Received {len(content)} bytes.")
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        return dict(_operators(model, schema))
    except Exception as error:  # a damaged flatbuffer fails in as many ways as it has fields
        raise ModelFileError(f"{path.name} is truncated or damaged. Export or copy it again.") from error


def _operators(model: Any, schema: Any) -> Iterator[tuple[str, int]]:
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    found: dict[str, int] = {}
    for operator in model.operatorCodes:
        # Codes up to 127 stand in the older of two fields; the newer one is 0 in files of old writers.
        name = names[max(operator.builtinCode, operator.deprecatedBuiltinCode)]
        if name == "CUSTOM":
            name = f"CUSTOM {operator.customCode.decode()}"
        found[name] = max(found.get(name, 0), operator.version)
    yield from found.items()
