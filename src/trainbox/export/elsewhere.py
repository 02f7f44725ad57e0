"""Write and prove model files in a process whose Keras runs on TensorFlow, for a training whose Keras does not.

Only TensorFlow's graphs convert to TensorFlow Lite, and Keras keeps one backend per process. The other process also
computes on the CPU in full float32, as a car does, where a GPU would round its products.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox import errors
from trainbox.errors import ExportError

if TYPE_CHECKING:
    import keras

    from trainbox.export.bundle import Deployable

REPRESENTATIVE = "representative/"


def write_and_prove(network: "keras.Model", deployables: "Sequence[Deployable]", folder: Path) -> dict[str, Any]:
    """Write each file into ``folder``, prove it, and return what the manifest says of each, by file name."""
    with tempfile.TemporaryDirectory(prefix="trainbox-export-") as scratch:
        request = Path(scratch)
        _ask(network, deployables, request)
        # KERAS_BACKEND decides in the other process; its CPU is where a car computes too.
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
        command = [sys.executable, "-m", "trainbox.export.elsewhere", str(request), str(folder)]
        status = subprocess.run(command, stdout=sys.stderr, env=environment, check=False).returncode
        if not (request / "answer.json").is_file():
            raise ExportError(f"The process that writes the model files ended with status {status}. See its log above.")
        answer = json.loads((request / "answer.json").read_text(encoding="utf-8"))
    if "error" in answer:
        raise getattr(errors, answer["error"], ExportError)(answer["message"])
    return dict(answer["models"])


def _ask(network: "keras.Model", deployables: "Sequence[Deployable]", request: Path) -> None:
    """Write the network and what is to be made of it as JSON and arrays."""
    _write_network(network, request, "")
    entries = []
    for number, deployable in enumerate(deployables):
        arrays: dict[str, Any] = dict(deployable.inputs)
        rows = list(deployable.representative or [])
        arrays |= {REPRESENTATIVE + name: np.stack([row[name] for row in rows]) for name in (rows[0] if rows else {})}
        np.savez(request / f"inputs{number}.npz", **arrays)
        entries.append(_settings(deployable))
        if deployable.network:
            _write_network(deployable.network, request, number)
        if deployable.ending:
            np.save(request / f"anchors{number}.npy", deployable.ending.anchors_cyxhw)
        if deployable.content is not None:
            (request / f"content{number}").write_bytes(deployable.content)
    (request / "deployables.json").write_text(json.dumps(entries), encoding="utf-8")


def _write_network(network: "keras.Model", request: Path, number: int | str) -> None:
    (request / f"network{number}.json").write_text(network.to_json(), encoding="utf-8")
    np.savez(request / f"weights{number}.npz", *network.get_weights())


def _read_network(request: Path, number: int | str) -> "keras.Model":
    import keras

    network = keras.models.model_from_json((request / f"network{number}.json").read_text(encoding="utf-8"))
    with np.load(request / f"weights{number}.npz") as arrays:
        network.set_weights([arrays[f"arr_{i}"] for i in range(len(arrays.files))])
    return network


def _settings(deployable: "Deployable") -> dict[str, Any]:
    """Return what is to be made of the network, less the arrays."""
    return {
        "file": deployable.file,
        "kind": deployable.kind,
        "tolerance": deployable.tolerance,
        "ending": deployable.ending.settings() if deployable.ending else None,
        "integer_input": deployable.integer_input,
        "for_cars": deployable.for_cars,
    }


def _asked(request: Path) -> "tuple[keras.Model, list[Deployable]]":
    """Read what ``_ask`` wrote."""
    from trainbox.export.bundle import Deployable
    from trainbox.export.detection_ending import DetectionEnding

    network, deployables = _read_network(request, ""), []
    for number, entry in enumerate(json.loads((request / "deployables.json").read_text(encoding="utf-8"))):
        with np.load(request / f"inputs{number}.npz") as arrays:
            inputs = {name: arrays[name] for name in arrays.files}
        seen = {name.removeprefix(REPRESENTATIVE): inputs.pop(name) for name in list(inputs) if "/" in name}
        rows = [{name: array[i] for name, array in seen.items()} for i in range(len(next(iter(seen.values()), ())))]
        if entry["ending"]:
            entry["ending"] = DetectionEnding.of(entry["ending"], np.load(request / f"anchors{number}.npy"))
        own = _read_network(request, number) if (request / f"network{number}.json").is_file() else None
        made = request / f"content{number}"
        content = made.read_bytes() if made.is_file() else None
        deployables.append(
            Deployable(inputs=inputs, representative=rows or None, network=own, content=content, **entry)
        )
    return network, deployables


def main(request: Path, folder: Path) -> int:
    """Do what ``request`` asks, and leave the answer in it; return the exit status."""
    from trainbox.export.bundle import write_and_prove_here

    answer: dict[str, Any]
    try:
        network, deployables = _asked(request)
        answer = {"models": write_and_prove_here(network, deployables, folder)}
    except (errors.TrainboxError, OSError) as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    (request / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
