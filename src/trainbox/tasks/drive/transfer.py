"""Start from an earlier pilot: its arrays, layer by layer where they fit, never its graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainbox.errors import ChannelError, ModelFileError
from trainbox.tasks.drive.config import DriveConfig
from trainbox.tasks.drive.pilots import KINDS, PIXEL_RANGE

if TYPE_CHECKING:
    import keras

TRANSFER_CHANNELS = ("pretrained",)
"""A channel of such a name is transferred from without being asked; any other is with ``transfer``."""

FIRST_LAYER = "conv2d_1"
ROBOCARS_OUTPUT = "throttle_out"

Arrays = Mapping[str, tuple[np.ndarray, ...]]


def find_transfer(config: DriveConfig, channels: Mapping[str, Path]) -> Arrays:
    """Return the arrays to start from, by layer name, empty where none are asked for.

    Raise ChannelError where the channel or the file in it is missing, ModelFileError where it cannot be read.
    """
    wanted = config.transfer or next((name for name in TRANSFER_CHANNELS if name in channels), None)
    if wanted is None:
        return {}
    channel, _, inner = wanted.partition("/")
    if channel not in channels:
        received = ", ".join(sorted(channels)) or "none"
        raise ChannelError(f"Channel '{channel}', named by transfer, is missing. Received: {received}.")
    path = _inside(channels[channel], inner, channel) if inner else _only_model(channels[channel], channel)
    from trainbox.export.arrays import load_arrays

    arrays = load_arrays(path)
    return _for_unit_pixels(arrays)


def start_from(network: "keras.Model", arrays: Arrays) -> list[str]:
    """Fill the layers of ``network`` that ``arrays`` fit and return their names; raise ModelFileError where none do."""
    from trainbox.export.arrays import assign, fitting

    fit = fitting(network, arrays)
    if FIRST_LAYER not in fit:
        found = ", ".join(f"{name} {arrays[name][0].shape}" for name in list(arrays)[:3]) or "no arrays"
        raise ModelFileError(
            f"The model to transfer from is no pilot of a Donkeycar: its layers do not fit. Received: {found}, ..."
        )
    return assign(network, arrays, only=fit)


def _inside(folder: Path, inner: str, channel: str) -> Path:
    path = folder / inner
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ChannelError(f"transfer leads out of channel '{channel}'. Received: {inner}.")
    if not path.exists():
        raise ChannelError(f"Channel '{channel}' has no '{inner}', named by transfer. Received: {_listing(folder)}.")
    return path


def _only_model(folder: Path, channel: str) -> Path:
    """Return the channel's bundle or its one model file."""
    if (folder / "manifest.json").is_file():
        return folder
    if folder.is_file():
        return folder
    files = [path for path in sorted(folder.rglob("*")) if path.name.endswith((".keras", ".h5", ".tar.gz", ".tgz"))]
    bundles = sorted(path.parent for path in folder.rglob("manifest.json") if (path.parent / "model.keras").is_file())
    found = bundles or [path for path in files if not path.name.startswith("._")]
    if len(found) != 1:
        raise ChannelError(
            f"Channel '{channel}' has {len(found)} models to transfer from, not one. Received: {_listing(folder)}. "
            f"Name the file: transfer = {channel}/FILE."
        )
    return found[0]


def _listing(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"


def _for_unit_pixels(arrays: Arrays) -> Arrays:
    """Return arrays for pixels of 0..1: a robocars pilot, told by its outputs, was written for 0..255.

    Donkeycar 2's own categorical pilots look the same and were fed 0..255 too.
    """
    angle, throttle = arrays.get("angle_out", ()), arrays.get(ROBOCARS_OUTPUT, ())
    if not angle or not throttle or throttle[0].shape[-1] != 1 or FIRST_LAYER not in arrays:
        return arrays
    kernel, *rest = arrays[FIRST_LAYER]
    factor = np.float32(PIXEL_RANGE / KINDS["linear"].pixel_range)
    return {**arrays, FIRST_LAYER: (kernel * factor, *rest)}
