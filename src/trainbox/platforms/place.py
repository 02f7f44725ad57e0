"""The folder that a model goes to: tried before anything is spent, and never seen half-filled."""

import json
import shutil
import tempfile
from pathlib import Path

from trainbox.container.contract.paths import refuse_unwritable
from trainbox.errors import UsageError
from trainbox.platforms.job import JobFailed

MANIFEST = "manifest.json"
KEYS = {"format", "files", "models"}
"""What a bundle's manifest has: a tub has a manifest.json too."""


def refuse(out: Path, overwrite: bool) -> None:
    """Raise UsageError where no model can be put at ``out``, or something there must not be replaced."""
    _refuse_taken(out, overwrite)
    refuse_unwritable(out.absolute().parent, out, "Give another --out.")


def put(model: Path, out: Path) -> None:
    """Copy the bundle beside ``out`` and rename it, so that a reader sees the old one, none, or the whole new one.

    Raises JobFailed where that fails, and says where the finished model is kept.
    """
    try:
        _put(model, out.absolute())
    except OSError as problem:
        kept = Path(tempfile.mkdtemp(prefix="trainbox-model-")) / "model"
        shutil.move(model, kept)
        said = f"{out} cannot be written: {problem.strerror}. The finished model is in {kept}."
        raise JobFailed(said, 1, False) from problem


def _refuse_taken(out: Path, overwrite: bool) -> None:
    if not (out.exists() or out.is_symlink()) or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise UsageError(f"{out} exists already. Give another folder with --out, or replace it with --overwrite.")
    if out.is_symlink() or not _is_bundle(out):
        raise UsageError(f"{out} is no model folder (it has no {MANIFEST} of one). Give another --out.")


def _is_bundle(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and set(manifest) >= KEYS


def _put(model: Path, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent, ignore_cleanup_errors=True) as beside:
        incoming, outgoing = Path(beside) / "new", Path(beside) / "old"
        shutil.copytree(model, incoming)
        if not out.exists():
            incoming.rename(out)
            return
        out.rename(outgoing)
        try:
            incoming.rename(out)
        except OSError:
            outgoing.rename(out)
            raise
