"""Where training starts from: a checkpoint found in a channel, and its arrays in the network."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import keras
import numpy as np

from trainbox.errors import DataError, ModelFileError
from trainbox.export.arrays import checkpoint_index, load_arrays, load_checkpoint
from trainbox.tasks.detect.networks import foreign_names, tf1_checkpoint
from trainbox.tasks.detect.networks.folding import fold_arrays, is_folded, unfold_arrays
from trainbox.tasks.detect.networks.tf1_checkpoint import Imported

KERAS_FILES = (".keras", ".h5", ".hdf5")
BUNDLE = "manifest.json"
DEEPEST = 4
# Files that hold a graph: it is never read.
GRAPHS = (".pb", ".tflite", ".onnx", ".pt", ".pth")
SUPPORTED = (
    "model.ckpt.index with model.ckpt.data-*, ckpt-0.index with ckpt-0.data-*, a .keras or .h5 file, or a bundle"
)
_STATE = re.compile(r'^model_checkpoint_path:\s*"([^"]*)"', re.MULTILINE)


def find_checkpoint(folder: Path, named: str = "") -> Path | None:
    """Return the checkpoint in a channel: a TensorFlow prefix, a Keras file or a bundle; None where there is none.

    ``named`` is ``fine_tune_checkpoint`` of pipeline.config, a path of any machine. It, or TensorFlow's own file
    ``checkpoint``, decides between several. Raise DataError naming them where neither does, and where the folder holds
    a graph in place of a checkpoint.
    """
    found = sorted(_candidates(folder))
    if not found:
        graphs = sorted(path.name for path in folder.rglob("*") if path.suffix in GRAPHS or ".ckpt" in path.name)
        if graphs:
            raise DataError(f"'{folder.name}' holds {graphs[0]}, but no whole checkpoint. Give {SUPPORTED}.")
        return None
    wanted = [found, _ending(found, named), _current(found)]
    for choice in wanted:
        if len(choice) == 1:
            return choice[0]
    names = ", ".join(str(path.relative_to(folder)) for path in found[:5])
    raise DataError(f"'{folder.name}' holds {len(found)} checkpoints: {names}. Leave the one to start from.")


def start_from(network: keras.Model, source: Path | Mapping[str, np.ndarray]) -> Imported:
    """Fill a network with the arrays of a checkpoint, of whatever kind that ``find_checkpoint`` knows, and say which.

    ``source`` is its path, or arrays by their names in it. The network has batch norm or none, whatever the file has.
    Raise ModelFileError naming the tensor that does not fit, and where the file has none of the network's.
    """
    arrays, kind = _read(source, network)
    arrays = _without_classifiers_last(arrays, network)
    folded = is_folded(arrays)
    if any(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers):
        without_norm = not any(name.endswith("/moving_variance") for name in arrays)
        arrays, folded = unfold_arrays(arrays), folded or without_norm
    else:
        arrays, folded = fold_arrays(arrays), False
    imported = tf1_checkpoint.assign(network, arrays)
    return replace(imported, kind=kind or imported.kind, folded=folded)


def _read(source: Path | Mapping[str, np.ndarray], network: keras.Model) -> tuple[dict[str, np.ndarray], str]:
    """Return arrays by TensorFlow 1 names, and the kind of file; "" where the names themselves tell."""
    if isinstance(source, Path):
        if not checkpoint_index(source).is_file():
            return foreign_names.from_layers(load_arrays(source), network)
        source = load_checkpoint(source)
    if not foreign_names.is_tf2(source):
        return dict(source), ""
    arrays = foreign_names.from_tf2(source, network)
    if not arrays:
        raise ModelFileError("The TensorFlow 2 checkpoint holds nothing of an SSD MobileNet.")
    heads = any(name.startswith("BoxPredictor_") for name in arrays)
    return arrays, "TensorFlow 2 detector" if heads else "TensorFlow 2 backbone"


def _without_classifiers_last(arrays: dict[str, np.ndarray], network: keras.Model) -> dict[str, np.ndarray]:
    """Leave the last convolution of a narrow MobileNetV2 classifier out: it stays 1280 wide, a detector's does not."""
    last = "MobilenetV2/Conv_1/"
    wanted = tf1_checkpoint.variables(network).get(f"FeatureExtractor/{last}weights")
    kernel = next((array for name, array in arrays.items() if name.endswith(f"{last}weights")), None)
    if wanted is None or kernel is None or any(name.startswith("BoxPredictor_") for name in arrays):
        return arrays
    if kernel.shape[:-1] != tuple(wanted.shape[:-1]) or kernel.shape[-1] == wanted.shape[-1]:
        return arrays
    return {name: array for name, array in arrays.items() if last not in name}


def _candidates(folder: Path) -> Iterator[Path]:
    """Yield what may be started from, at most ``DEEPEST`` folders deep; a bundle is one thing, a SavedModel is none."""
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        if BUNDLE in files:
            folders.clear()
            yield here
            continue
        if "saved_model.pb" in files or len(here.relative_to(folder).parts) >= DEEPEST:
            folders.clear()
        for name in files:
            if name.endswith(".index") and any(other.startswith(name[:-6] + ".data-") for other in files):
                yield here / name.removesuffix(".index")
            elif name.endswith(KERAS_FILES) or name.endswith((".tar.gz", ".tgz")):
                yield here / name


def _ending(found: list[Path], named: str) -> list[Path]:
    """Return those whose path ends as ``named`` does: the file's name, and its folder where that is not enough."""
    parts = PurePosixPath(named.replace("\\", "/").strip()).parts
    if not parts:
        return []
    same = [path for path in found if path.name == parts[-1]]
    nearer = [path for path in same if path.parts[-2:] == parts[-2:]]
    return nearer if len(same) > 1 else same


def _current(found: list[Path]) -> list[Path]:
    """Return those that the file ``checkpoint`` beside them names as the latest."""
    current = []
    for state in {path.parent / "checkpoint" for path in found}:
        if state.is_file() and state.stat().st_size < 1 << 20:
            match = _STATE.search(state.read_text(encoding="utf-8", errors="replace"))
            named = PurePosixPath(match[1].replace("\\", "/")).name if match else ""
            current += [path for path in found if path.parent == state.parent and path.name == named]
    return current


def network_of(source: Path) -> str | None:
    """Return the value of the hyperparameter ``model`` that a checkpoint is of, None where its names do not tell.

    ``source`` is what ``find_checkpoint`` returned. Raise ModelFileError where it is damaged.
    """
    names = load_checkpoint(source) if checkpoint_index(source).is_file() else load_arrays(source)
    known = [name.replace(".", "/") for name in names]
    if not any(name.startswith(("FeatureExtractor/", "BoxPredictor_")) for name in known):
        return None
    if any("/MobilenetV1/" in name for name in known):
        return "ssd_mobilenet_v1"
    lite = any(name.startswith("BoxPredictor_0/") and "_depthwise" in name for name in known)
    return "ssdlite_mobilenet_v2" if lite else "ssd_mobilenet_v2"
