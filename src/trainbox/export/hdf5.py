"""Plain arrays out of an HDF5 file that nobody vouches for.

HDF5 can point to other files (external links, external storage, virtual datasets), announce arrays far larger than
the file, and load decompression plug-ins. Keras writes none of these, so all are refused.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from trainbox.errors import ModelFileError

if TYPE_CHECKING:
    import h5py

LARGEST_SUM = 1 << 30
MOST_NAMES = 10_000


@contextmanager
def open_hdf5(content: bytes, label: str) -> Iterator["h5py.File"]:
    """Open ``content`` read-only; raise ModelFileError, naming ``label``, where it is damaged, also later inside."""
    import h5py

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelFileError(f"Model file {label} is truncated or damaged: {reason}. Copy or save it again.") from error


def hard_linked(group: "h5py.Group", path: str, label: str) -> "h5py.Group | h5py.Dataset":
    """Follow ``path`` step by step below ``group``; raise ModelFileError at a link that is not a plain one."""
    import h5py

    for step in path.split("/"):
        if not isinstance(group, h5py.Group) or step not in ("", *group):
            raise ModelFileError(f"Model file {label} has no '{path}'. It is incomplete: save it again.")
        if step:
            if not isinstance(group.get(step, getlink=True), h5py.HardLink):
                raise ModelFileError(
                    f"Model file {label}: '{path}' is a link to elsewhere. Only the file itself is read."
                )
            group = group[step]
    return group


class Budget:
    """Reads arrays of one file, at most ``LARGEST_SUM`` bytes of them."""

    def __init__(self, label: str) -> None:
        self.label = label
        self._left = LARGEST_SUM

    def read(self, group: "h5py.Group", path: str) -> np.ndarray:
        """Return the array at ``path`` below ``group`` as float32 or as stored; raise ModelFileError otherwise."""
        import h5py

        dataset = hard_linked(group, path, self.label)
        if not isinstance(dataset, h5py.Dataset):
            raise ModelFileError(f"Model file {self.label}: '{path}' is no array. Save it again with Keras.")
        self._check(dataset, path)
        self._left -= dataset.nbytes
        array = np.asarray(dataset[()])
        return array.astype(np.float32) if array.dtype.kind == "f" else array

    def _check(self, dataset: "h5py.Dataset", path: str) -> None:
        stored = dataset.id.get_create_plist()
        if dataset.is_virtual or dataset.external or stored.get_nfilters():
            raise ModelFileError(f"Model file {self.label}: '{path}' is not stored plainly. Save it again with Keras.")
        if dataset.dtype.kind not in "fiub":
            raise ModelFileError(f"Model file {self.label}: '{path}' holds {dataset.dtype}, not numbers.")
        if dataset.nbytes > self._left or dataset.nbytes > dataset.id.get_storage_size():
            raise ModelFileError(
                f"Model file {self.label}: '{path}' announces shape {dataset.shape}, more than is stored or read "
                f"({LARGEST_SUM} bytes). Save it again with Keras."
            )


def names_attribute(group: "h5py.Group", name: str, label: str) -> list[str]:
    """Return a list of names held by an attribute, which Keras cuts into ``name0``, ``name1``... where it is long."""
    if name in group.attrs:
        chunks = [name]
    else:
        chunks = [f"{name}{i}" for i in range(len(group.attrs)) if f"{name}{i}" in group.attrs]
    names = [_text(item) for chunk in chunks for item in np.atleast_1d(group.attrs[chunk])]
    if not chunks or len(names) > MOST_NAMES:
        raise ModelFileError(f"Model file {label}: '{group.name}' has no usable list '{name}'. Save it again.")
    return names


def text_attribute(group: "h5py.Group", name: str, limit: int, label: str) -> str:
    """Return an attribute's text of at most ``limit`` characters."""
    text = _text(group.attrs[name])
    if len(text) > limit:
        raise ModelFileError(f"Model file {label}: attribute '{name}' is longer than {limit} characters.")
    return text


def _text(value: object) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
