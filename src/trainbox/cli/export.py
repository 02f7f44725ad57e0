"""``trainbox export``: write another format of a finished model, without retraining."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainbox import tasks
from trainbox.container import packages
from trainbox.errors import UsageError

if TYPE_CHECKING:
    import keras
    import numpy as np

    from trainbox.export.bundle import Bundle, Deployable
    from trainbox.export.detection_ending import DetectionEnding

FORMATS = {
    "tflite": ("tflite", "model.tflite"),
    "tflite-int8": ("tflite_int8", "model_quantized.tflite"),
    "tflite-dynamic": ("tflite_dynamic", "model_dynamic.tflite"),
    "h5": ("h5", "model.h5"),
    "keras": ("keras", "model.keras"),
    "saved-model": ("saved_model", "saved_model"),
    "onnx": ("onnx", "model.onnx"),
}
"""Name on the command line to kind and usual file name."""
WANTS_DATA = ("tflite-int8",)
ROUNDED = ("tflite_int8", "tflite_dynamic")
"""Kinds rounded to 8 bits: how far off that puts them depends on the model, so it is reported and not refused."""
BARE = ("keras", "h5")
"""Kinds that hold the network alone, without what its answers go through afterwards."""
TOLERANCE = 1e-3
NOISE_EXAMPLES = 16


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder, or its model.tar.gz.")],
    to: Annotated[str, typer.Option("--to", help=f"The format: {', '.join(FORMATS)}.")] = "tflite",
    data: Annotated[
        list[Path] | None, typer.Option("--data", metavar="PATH", help="Data to prove the file on; int8 needs it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where it goes; its usual name here.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file that --out names.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write another format of a finished model, without retraining.

    The file is loaded in its runtime and compared with the model before it is put in place: on --data where that is
    given, and on noise where it is not.

    \b
    Example: trainbox export pilot --to tflite-int8 --data tub.zip --out pilot-int8.tflite
    """
    packages.require_training()
    if to not in FORMATS:
        raise UsageError(f"Unknown format '{to}'. Available: {', '.join(FORMATS)}.")
    if to in WANTS_DATA and not data:
        raise UsageError(f"Format '{to}' needs data that sets the scales of its integers. Give some with --data PATH.")
    target = out or Path(FORMATS[to][1])
    _refuse_taken(target, overwrite, to == "saved-model")
    proof = _write(model, to, data or [], target)
    print(
        json.dumps({"file": str(target), **proof}, indent=2) if as_json else f"Wrote {target}, proved: {_said(proof)}"
    )


def _refuse_taken(target: Path, overwrite: bool, folder: bool) -> None:
    """Raise UsageError where ``target`` is something that must not be replaced."""
    if not target.exists():
        return
    if not overwrite:
        raise UsageError(f"{target} exists already. Give another with --out, or replace it with --overwrite.")
    replaceable = (target / "saved_model.pb").is_file() or not any(target.iterdir()) if target.is_dir() else True
    if target.is_dir() != folder or not replaceable:
        raise UsageError(f"{target} is no such model, so it is not replaced. Give another with --out.")


def _write(model: Path, to: str, data: Sequence[Path], target: Path) -> Mapping[str, Any]:
    """Write and prove the file aside, then move it to ``target``; return what its manifest says of it."""
    from trainbox.export.arrays import assign, load_arrays
    from trainbox.export.bundle import Bundle, Deployable, write_bundle

    kind, name = FORMATS[to]
    with tempfile.TemporaryDirectory(prefix="trainbox-export-") as scratch, Bundle.open(model) as bundle:
        task = tasks.get(str(bundle.manifest["task"]))
        network = task.network(bundle.manifest)
        assign(network, load_arrays(bundle.file("model.keras")))
        like = _as_trained(task, bundle, network, data, Path(scratch)) if data else []
        inputs = like[0].inputs if like else _noise(network)
        ending = _ending_of(bundle)
        deployable = Deployable(
            name,
            kind,
            inputs,
            None if kind in ROUNDED else TOLERANCE,
            _representative(like, kind),
            ending=None if kind in BARE else ending,
            integer_input=kind == "tflite_int8" and ending is not None,
            for_cars=ending is None,
        )
        written = write_bundle(network, [deployable], bundle.manifest, Path(scratch) / "exported")
        _put(written.file(name), target)
    return dict(written.manifest["models"][name])


def _ending_of(bundle: "Bundle") -> "DetectionEnding | None":
    """Return what the bundle's own files end in, None where they end in the network's answers."""
    from trainbox.export.tflite_detection import read_ending

    exact = (name for name, model in bundle.manifest["models"].items() if model["kind"] == "tflite")
    return next(filter(None, (read_ending(bundle.file(name)) for name in exact)), None)


def _as_trained(
    task: tasks.Task, bundle: "Bundle", network: "keras.Model", data: Sequence[Path], scratch: Path
) -> "Sequence[Deployable]":
    """Return what training would have written, on data that is read as the model's training read its own."""
    from trainbox.cli.train import named_channels

    config = task.config.parse({**bundle.manifest["hyperparameters"], "quantize": True})
    config = config.model_copy(update=dict.fromkeys(config.only_for_training))
    datasets = task.datasets(config, named_channels([str(path) for path in data]), scratch)
    return task.deployables(config, datasets, network)


def _representative(like: "Sequence[Deployable]", kind: str) -> "Iterable[Mapping[str, np.ndarray]] | None":
    """Return what sets the scales of integers in training's own file of the kind, None where there is none."""
    return next((one.representative for one in like if one.kind == kind and one.network is None), None)


def _noise(network: "keras.Model") -> Mapping[str, "np.ndarray"]:
    import numpy as np

    random = np.random.default_rng(0)
    return {
        tensor.name: random.random((NOISE_EXAMPLES, *tensor.shape[1:]), dtype=np.float32) for tensor in network.inputs
    }


def _put(written: Path, target: Path) -> None:
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as beside:
        incoming = Path(beside) / "new"
        shutil.copytree(written, incoming) if written.is_dir() else shutil.copyfile(written, incoming)
        if target.is_dir():
            target.rename(Path(beside) / "old")
        incoming.replace(target)


def _said(proof: Mapping[str, Any]) -> str:
    return json.dumps(proof, default=str)
