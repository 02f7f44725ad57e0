"""A server of a finished model, and what it is asked."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.server import Server, serving

QUICK = {"TRAINBOX_HEADER_TIMEOUT": "1", "TRAINBOX_BODY_TIMEOUT": "1", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "1"}


@pytest.fixture(scope="module")
def server(model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a pilot, impatient and of a megabyte at most."""
    with serving(tmp_path_factory.mktemp("served") / "ml", model("drive"), MODEL_SERVER_WORKERS="2", **QUICK) as one:
        yield one


def picture(width: int = 160, height: int = 120, kind: str = "JPEG", seed: int = 0) -> bytes:
    """Return an image file of soft blobs, the same for the same seed."""
    levels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC).save(buffer, kind)
    return buffer.getvalue()
