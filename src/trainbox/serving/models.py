"""Models that are served: which, from where, and that their files are those of their manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainbox import tasks
from trainbox.errors import ModelFileError
from trainbox.export.bundle import Bundle

ONLY = "model"
"""The name of the one model of an endpoint that has one."""


@dataclass(frozen=True)
class Model:
    """A bundle whose ``file`` is served under ``name``."""

    name: str
    bundle: Bundle
    file: str
    service: tasks.Service = field(repr=False)

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What training wrote of it."""
        return self.bundle.manifest

    @property
    def digest(self) -> str:
        """The sha256 of the file that answers."""
        return str(self.manifest["files"][self.file]["sha256"])

    def card(self) -> dict[str, Any]:
        """Return what the page and a curious client are told of the model."""
        manifest = self.manifest
        task = tasks.get(str(manifest["task"]))
        return {
            "name": self.name,
            "task": task.name,
            "summary": task.summary,
            "file": self.file,
            "kind": manifest["models"][self.file].get("kind"),
            "sha256": self.digest,
            "bytes": manifest["files"][self.file]["bytes"],
            "created": manifest.get("created"),
            "labels": list(manifest.get("labels") or ()),
            "scores": list(task.summary_lines(manifest["metrics"])) if manifest.get("metrics") else [],
            "takes_threshold": self.service.takes_threshold,
            "versions": manifest.get("versions") or {},
        }


def open_model(name: str, path: Path, file: str) -> Model:
    """Open the bundle at ``path`` to serve ``file`` of it; raise ModelFileError where it cannot be served.

    Files beside the bundle's own are passed over. A folder that holds no bundle but one model.tar.gz will do.
    """
    if path.is_dir() and not (path / "manifest.json").exists():
        path = _inside(path)
    bundle = Bundle.open(path, only=[file])
    bundle.file(file)
    # A file that the manifest has no digest of was compared with nothing.
    manifest = bundle.manifest
    if not file.endswith(".tflite") or file not in manifest.get("models", {}) or file not in manifest["files"]:
        raise ModelFileError(f"'{file}' cannot be served. Give one of the bundle's .tflite files: {_served(bundle)}.")
    return Model(name, bundle, file, tasks.get(str(bundle.manifest.get("task"))).service())


def _inside(folder: Path) -> Path:
    """Return where the bundle lies in a folder that is none: the folder that holds it, or its archive."""
    inside = [path for path in sorted(folder.iterdir()) if (path / "manifest.json").is_file()]
    archives = [path for path in sorted(folder.glob("*.tar.gz")) if path.is_file()]
    found = inside or archives
    return found[0] if len(found) == 1 else folder


def _served(bundle: Bundle) -> str:
    return ", ".join(name for name in bundle.manifest.get("models", {}) if name.endswith(".tflite")) or "none"
