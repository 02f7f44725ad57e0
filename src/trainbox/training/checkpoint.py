"""Checkpoints in a folder: whole or not there, whatever happens while one is written.

A checkpoint is two files: ``NAME.npz`` with every array and, last, ``NAME.json`` with the digest of the first. Each is
written under a temporary name (which SageMaker does not upload), flushed to the disk and renamed. Without a manifest
that agrees, a checkpoint does not count, and the one before it does. The name carries the fingerprint of the data and
hyperparameters, so that a job never touches another's checkpoints, and a number that grows.
"""

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainbox.errors import CheckpointError

KEPT = 2
FORMAT = 1
TEMPORARY = ".sagemaker-ignore"
_NAME = re.compile(r"checkpoint-([0-9a-f]{12})-(\d{8})\.(npz|json)")
_FACTS = "facts"
_PIECE_BYTES = 1 << 20


def ignore_stage(stage: str) -> None:
    """Do nothing when a stage of writing is reached."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved: arrays by name, and facts that JSON can hold."""

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


class CheckpointFolder:
    """The checkpoints of one job, told by its fingerprint, in a folder that other jobs may share.

    ``on_stage`` is told each stage of writing as it is reached ("npz synced", "json renamed", "pruned"...), so that a
    fault can be tried at each. Raises CheckpointError where the folder cannot be written.
    """

    def __init__(self, folder: Path, fingerprint: str, on_stage: Callable[[str], None] = ignore_stage) -> None:
        self.folder = folder
        self._key = hashlib.sha256(fingerprint.encode()).hexdigest()[:12]
        self._on_stage = on_stage
        self._damaged: set[int] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f"probe{TEMPORARY}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise CheckpointError(
                f"Checkpoints cannot be written to {folder}: {error.strerror}. Give a folder that can be written."
            ) from error

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that verifies, None where there is none."""
        for serial in reversed(self._serials("json")):
            checkpoint = self._load(serial)
            if checkpoint is not None:
                return checkpoint
            self._damaged.add(serial)
        return None

    def others(self) -> int:
        """Return how many checkpoints of other data or hyperparameters lie here."""
        return sum(match[1] != self._key and match[3] == "json" for match in self._names())

    def write(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Write a checkpoint and remove all but the two newest; raise CheckpointError, the earlier ones then stand."""
        serial = max((int(match[2]) for match in self._names()), default=0) + 1
        content = _packed(arrays, facts)
        manifest = {"format": FORMAT, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        try:
            self._write_file(self._path(serial, "npz"), memoryview(content))
            self._write_file(self._path(serial, "json"), memoryview(json.dumps(manifest).encode()))
            self._prune(serial)
        except OSError as error:
            raise CheckpointError(
                f"A checkpoint of {len(content) / 1e6:.1f} MB could not be written to {self.folder}: {error.strerror}. "
                "The one before it was kept. Make room there and start the job again."
            ) from error

    def _load(self, serial: int) -> Checkpoint | None:
        try:
            manifest = json.loads(self._path(serial, "json").read_bytes())
            content = self._path(serial, "npz").read_bytes()
        except (OSError, ValueError):
            return None
        if not isinstance(manifest, dict) or manifest.get("sha256") != hashlib.sha256(content).hexdigest():
            return None
        return _unpacked(content) if manifest.get("format") == FORMAT else None

    def _write_file(self, path: Path, content: memoryview) -> None:
        kind = path.suffix.removeprefix(".")
        temporary = path.with_name(path.name + TEMPORARY)
        try:
            with temporary.open("wb") as file:
                self._on_stage(f"{kind} opened")
                for start in range(0, len(content), _PIECE_BYTES):
                    file.write(content[start : start + _PIECE_BYTES])
                    self._on_stage(f"{kind} piece written")
                file.flush()
                os.fsync(file.fileno())
            self._on_stage(f"{kind} synced")
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._on_stage(f"{kind} renamed")
        _sync_folder(self.folder)
        self._on_stage(f"{kind} settled")

    def _prune(self, newest: int) -> None:
        complete = [serial for serial in self._serials("json") if serial not in self._damaged]
        kept = set(complete[-KEPT:])
        # The manifest goes first: a checkpoint half removed must not count.
        for kind in ("json", "npz"):
            for serial in self._serials(kind):
                if serial not in kept:
                    self._path(serial, kind).unlink(missing_ok=True)
                    self._on_stage(f"{kind} pruned")
        for path in self.folder.glob(f"checkpoint-{self._key}-*{TEMPORARY}"):
            path.unlink(missing_ok=True)

    def _path(self, serial: int, kind: str) -> Path:
        return self.folder / f"checkpoint-{self._key}-{serial:08d}.{kind}"

    def _serials(self, kind: str) -> list[int]:
        return sorted(int(match[2]) for match in self._names() if match[1] == self._key and match[3] == kind)

    def _names(self) -> list[re.Match[str]]:
        return [match for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name))]


def _packed(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> bytes:
    target = io.BytesIO()
    everything: dict[str, Any] = {_FACTS: np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays}
    np.savez(target, **everything)
    return target.getvalue()


def _unpacked(content: bytes) -> Checkpoint | None:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        return Checkpoint(arrays, json.loads(arrays.pop(_FACTS).tobytes()))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile):
        return None


def _sync_folder(folder: Path) -> None:
    # Windows has no handle on a folder to flush; its file system orders renames itself.
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
