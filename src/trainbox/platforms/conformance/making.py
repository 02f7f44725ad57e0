"""How an image is made: for which machine, how it begins, and what it ships where it must not."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainbox.platforms.conformance.findings import Finding
from trainbox.platforms.conformance.running import container

ANOTHER_PORT = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"


def findings(image: str, about: dict[str, Any]) -> Iterator[Finding]:
    """Yield what Docker knows of the image without starting it."""
    made_for = f"{about.get('Os')}/{about.get('Architecture')}"
    yield Finding("image: made for linux/amd64", made_for == "linux/amd64", made_for)
    entry = (about.get("Config") or {}).get("Entrypoint")
    yield Finding("image: entry point in exec form", not _is_shell(entry), " ".join(entry or ["none"]))
    shipped = _shipped(image)
    yield Finding("image: ships nothing below /opt/ml", not shipped, ", ".join(shipped[:3]) or "nothing")


def takes_another_port(about: dict[str, Any]) -> bool:
    """Tell whether the image says that it serves on the port it is told."""
    labels = (about.get("Config") or {}).get("Labels") or {}
    return str(labels.get(ANOTHER_PORT, "")).lower() == "true"


def _is_shell(entry: list[str] | None) -> bool:
    """A shell's form gets neither the argument ``train`` nor a SIGTERM."""
    return entry is not None and len(entry) >= 2 and entry[0].endswith("sh") and entry[1] == "-c"


def _shipped(image: str) -> list[str]:
    """Return the files below /opt/ml."""
    with tempfile.TemporaryDirectory(prefix="trainbox-image-") as place, container(image, "train") as made:
        folder = Path(place) / "ml"
        if not made.get("/opt/ml", folder):
            return []
        return sorted(str("/opt/ml" / path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
