"""Image files and archives of every kind, good and bad."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pixels() -> np.ndarray:
    """A smooth picture that survives JPEG: uint8 (24, 32, 3)."""
    rows, columns = np.mgrid[0:24, 0:32]
    return np.stack([rows * 10, columns * 7, 120 + rows], -1).astype(np.uint8)


@pytest.fixture
def encoded(pixels: np.ndarray) -> Callable[..., bytes]:
    """Encode the picture: ``encoded("PNG", "RGBA")``."""

    def encode(kind: str, mode: str = "RGB", **options: object) -> bytes:
        content = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(content, kind, **options)
        return content.getvalue()

    return encode


@pytest.fixture
def zipped(tmp_path: Path) -> Callable[..., Path]:
    """Write a zip of names and contents."""

    def write(files: Mapping[str, bytes], name: str = "data.zip", method: int = zipfile.ZIP_DEFLATED) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", method) as archive:
            for member, content in files.items():
                archive.writestr(member, content)
        return path

    return write
