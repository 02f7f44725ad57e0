"""The model folder: every file of a trained model, proved, with a manifest that says what each is and where it runs."""

import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trainbox.errors import ExportError, ModelFileError, TrainboxError
from trainbox.export.staging import MANIFEST, seal, staged

if TYPE_CHECKING:
    import keras
    import numpy as np

    from trainbox.export.detection_ending import DetectionEnding

FORMAT = 1
"""Raised when a manifest or file can no longer be read by what read it before."""

LARGEST_MANIFEST = 64 << 20

Extra = Mapping[str, str | bytes] | Callable[[Path, dict[str, Any]], Mapping[str, str | bytes]]
"""Further files by name; or a function that is called with the folder of the proved model files and the manifest so
far, may add to the manifest (scores of the files themselves), and returns further files."""


@dataclass(frozen=True)
class Deployable:
    """A model file to write, and how to prove it.

    ``kind``: "keras", "h5", "tflite", "tflite_int8", "tflite_dynamic", "saved_model" or "onnx". ``inputs``: validation
    inputs by name, float32, first axis the examples. ``tolerance``: the largest difference from the Keras model that
    passes; None reports the difference only. ``representative``: examples (inputs by name, without the first axis)
    that set the scales of int8; the validation inputs where None. ``ending``: what a detector's encodings and scores
    go through in the file, in that order the network's outputs; it is then the detections that are compared.
    ``network``: what this one file is made of and compared with, where that is not what the rest are made of.
    ``integer_input``: an int8 file that takes the uint8 pixels which the network sees as -1 to 1. ``for_cars``: the
    manifest says which cars load it. ``content``: the file itself, where it was made of the network before: it is
    proved, not made again.
    """

    file: str
    kind: str
    inputs: "Mapping[str, np.ndarray]"
    tolerance: float | None = 1e-3
    representative: "Iterable[Mapping[str, np.ndarray]] | None" = None
    ending: "DetectionEnding | None" = None
    network: "keras.Model | None" = None
    integer_input: bool = False
    for_cars: bool = True
    content: bytes | None = None


@dataclass(frozen=True)
class Bundle:
    """A model folder whose files are those of its manifest."""

    folder: Path
    manifest: Mapping[str, Any]
    _scratch: list[Path] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path, only: Sequence[str] | None = None) -> Self:
        """Open a model folder, or its .tar.gz unpacked aside until the bundle is closed or forgotten.

        ``only`` names the files that will be used: the others then need not be there. Raise ModelFileError where a
        file is missing or is not the one that the manifest describes.
        """
        if path.is_dir():
            return cls(path, _verified(path, only))
        if not path.is_file():
            raise ModelFileError(f"Bundle {path} does not exist. Give a model folder or its .tar.gz.")
        from trainbox.export.tarball import unpack

        scratch = Path(tempfile.mkdtemp(prefix="trainbox-bundle-"))
        try:
            folder = unpack(path, scratch)
            bundle = cls(folder, _verified(folder, only), [scratch])
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        weakref.finalize(bundle, shutil.rmtree, scratch, ignore_errors=True)
        return bundle

    def file(self, name: str) -> Path:
        """Return the path of one of the bundle's files; raise ModelFileError naming those there are."""
        models = self.manifest.get("models", {})
        if name not in models and name not in self.manifest["files"]:
            raise ModelFileError(f"Bundle {self.folder} has no '{name}'. Model files: {', '.join(models) or 'none'}.")
        return self.folder / name

    def close(self) -> None:
        """Remove what was unpacked."""
        for scratch in self._scratch:
            shutil.rmtree(scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_bundle(
    network: "keras.Model",
    deployables: Sequence[Deployable],
    manifest: Mapping[str, Any],
    folder: Path,
    extra: Extra | None = None,
) -> Bundle:
    """Write every file aside, load each in its runtime and compare it with ``network``, then move all into ``folder``.

    The manifest gains ``format``, ``models`` (per model file: kind, ends, proof, where it loads) and ``files`` (bytes
    and sha256 of every file). Raise ProofError where a file does not load or answers differently, ExportError where
    one cannot be written; ``folder`` is then as it was before.
    """
    with staged(folder) as incoming:
        document = {**manifest, "format": FORMAT, "models": write_files(network, deployables, incoming)}
        for name, content in (extra(incoming, document) if callable(extra) else extra or {}).items():
            _write_extra(incoming, name, content)
        document["files"] = _digests(incoming)
        document = _plain(document)
        seal(incoming, json.dumps(document, indent=2, allow_nan=False) + "\n")
    return Bundle(folder, document)


def write_files(network: "keras.Model", deployables: Sequence[Deployable], folder: Path) -> dict[str, Any]:
    """Write files of ``network`` into ``folder``, prove each, and return what a manifest says of them under ``models``.

    Raise ProofError where a file does not load or answers differently, ExportError where one cannot be written.
    """
    import keras

    from trainbox.export import elsewhere, keras_native

    copy = keras_native.float32_copy(network)
    deployables = [
        replace(one, network=keras_native.float32_copy(one.network)) if one.network else one for one in deployables
    ]
    here = keras.backend.backend() == "tensorflow"
    write = write_and_prove_here if here else elsewhere.write_and_prove
    return write(copy, deployables, folder)


def write_and_prove_here(network: "keras.Model", deployables: Sequence[Deployable], folder: Path) -> dict[str, Any]:
    """Write each file into ``folder`` and prove it, in this process; return what the manifest says of each."""
    from trainbox.export import runtimes

    models = {}
    for deployable in deployables:
        made_of, path = deployable.network or network, folder / deployable.file
        _write_one(made_of, deployable, path)
        models[deployable.file] = runtimes.prove(made_of, deployable, path)
    return models


def _write_one(network: "keras.Model", deployable: Deployable, path: Path) -> None:
    try:
        _write_model(network, deployable, path)
    except (OSError, TrainboxError):
        raise
    except Exception as error:  # a full disk reaches h5py's and TensorFlow's writers as errors of their own
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ExportError(f"{deployable.file} could not be written: {reason}. What stood there is kept.") from error


def _write_model(network: "keras.Model", deployable: Deployable, path: Path) -> None:
    from trainbox.export import keras_h5, keras_native, onnx, saved_model, tflite
    from trainbox.export.detection_graph import in_tensorflow

    ending = deployable.ending
    if deployable.content is not None:
        path.write_bytes(deployable.content)
        return
    match deployable.kind:
        case "keras":
            keras_native.write_keras(network, path)
        case "h5":
            keras_h5.write_keras_h5(network, path)
        case "saved_model":
            saved_model.write_saved_model(network, path, ending=in_tensorflow(ending) if ending else None)
        case "tflite":
            tflite.write_tflite(network, path, ending)
        case "tflite_dynamic":
            tflite.write_tflite_dynamic(network, path, ending)
        case "tflite_int8":
            rows = _representative(deployable)
            tflite.write_tflite_int8(network, path, rows, ending, deployable.integer_input)
        case "onnx":
            onnx.write_onnx(network, path, ending)
        case _:
            raise ExportError(f"Unknown kind of model file '{deployable.kind}' for {deployable.file}.")


def _representative(deployable: Deployable) -> "Iterable[Mapping[str, np.ndarray]]":
    if deployable.representative is not None:
        return deployable.representative
    count = min(len(array) for array in deployable.inputs.values())
    return [{name: array[i] for name, array in deployable.inputs.items()} for i in range(count)]


def _write_extra(folder: Path, name: str, content: str | bytes) -> None:
    path = folder / name
    if name == MANIFEST or path.exists() or ".." in path.parts or not path.is_relative_to(folder):
        raise ExportError(f"A bundle cannot hold a further file '{name}'. Choose another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _digests(folder: Path) -> dict[str, dict[str, Any]]:
    """Return bytes and sha256 of every file below ``folder``, by its path with slashes."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in paths
    }


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON can say it: numpy's numbers as numbers, what is not finite as null."""
    import numpy as np

    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _verified(folder: Path, only: Sequence[str] | None = None) -> Mapping[str, Any]:
    """Return the manifest of ``folder`` after comparing every file with it, or those of ``only`` that it lists."""
    manifest = _read_manifest(folder / MANIFEST)
    for name, entry in manifest["files"].items():
        if only is not None and name not in only:
            continue
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise ModelFileError(f"Bundle {folder}: its manifest lists '{name}', outside of it. Do not use it.")
        if not path.is_file():
            raise ModelFileError(f"Bundle {folder}: '{name}' is missing. Copy the whole folder again.")
        if path.is_symlink() or path.stat().st_size != entry["bytes"] or _sha256(path) != entry["sha256"]:
            raise ModelFileError(f"Bundle {folder}: '{name}' is not the file of its manifest. Copy it again.")
    return manifest


def _read_manifest(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise ModelFileError(f"Bundle {path.parent} has no {MANIFEST}. Give the folder that a training wrote.")
    if path.stat().st_size > LARGEST_MANIFEST:
        raise ModelFileError(f"Bundle {path.parent}: {MANIFEST} is larger than {LARGEST_MANIFEST} bytes.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = int(manifest["format"])
        sound = all({"bytes", "sha256"} <= set(entry) for entry in manifest["files"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"Bundle {path.parent}: {MANIFEST} is damaged ({error}). Copy it again.") from error
    if version > FORMAT:
        raise ModelFileError(f"Bundle {path.parent} has format {version}, newer than {FORMAT}. Update Trainbox.")
    if not sound:
        raise ModelFileError(f"Bundle {path.parent}: {MANIFEST} does not describe its files. Copy the folder again.")
    return dict(manifest)
