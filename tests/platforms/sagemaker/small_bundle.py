"""A model folder that is whole by its manifest, but of a few bytes: it can be sent and packed, not asked."""

import base64
import hashlib
import io
import json
from pathlib import Path

from PIL import Image

REPORT = '<img alt="a" src="data:image/jpeg;base64,{}">'


def jpeg(level: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (level, level, level)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_small_bundle(folder: Path, content: bytes = b"tflite", task: str = "drive") -> Path:
    """Write it; ``content`` is its model.tflite."""
    files = {
        "model.tflite": content,
        "model.keras": b"k" * 1000,
        "labels.txt": b"a\n",
        "report.html": REPORT.format(base64.b64encode(jpeg()).decode()).encode(),
        "saved_model/saved_model.pb": b"graph",
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    manifest = {
        "format": 1,
        "task": task,
        "models": {"model.tflite": {}, "model.keras": {}},
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
