"""Image bytes to pixels: the formats people have, by their content and not their name, and nothing that is broken.

Pillow is the reference decoder. Formats are an explicit list, and pixels are counted before they are decoded,
because Pillow itself only warns about a decompression bomb of less than 179 million pixels.
"""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from trainbox.data.files import UnreadableFile

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

MAX_PIXELS = 64_000_000
MIN_SIDE_PIXELS = 2
BACKGROUND = (255, 255, 255)

_SIGNATURES = (
    ("JPEG", b"\xff\xd8"),
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("GIF", b"GIF8"),
    ("BMP", b"BM"),
    ("TIFF", b"II*\x00"),
    ("TIFF", b"MM\x00*"),
)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF_ORIENTATION = 0x0112

RESIZED = "image resized"
"""The note of an image that was not of the size asked for."""


class UnreadableImage(UnreadableFile):
    """Bytes that give no picture. ``reason`` is a short stable phrase ("image is truncated")."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image file says of itself before its pixels are decoded.

    ``height`` and ``width`` are pixels as the image is shown, that is after its EXIF ``orientation`` (1 to 8, 1 being
    upright) is applied. ``kind`` and ``mode`` are Pillow's names of the file format and the pixels.
    """

    height: int
    width: int
    orientation: int
    kind: str
    mode: str


def read_header(content: bytes) -> ImageHeader:
    """Return an image file's header without decoding its pixels; raise UnreadableImage."""
    kind = _kind(content)
    try:
        with _open(content, kind) as opened:
            orientation = _orientation(opened)
            (width, height), mode = opened.size, opened.mode
    except UnreadableImage:
        raise
    # Decoders of hostile bytes fail with nearly every exception there is.
    except Exception as error:
        raise UnreadableImage(_why(error)) from None
    if orientation not in _TURNS:
        orientation = 1
    # From 5 on the picture lies on its side.
    shown = (width, height) if orientation > 4 else (height, width)
    return ImageHeader(*shown, orientation, kind, mode)


def decode_rgb(content: bytes, size: tuple[int, int] | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode an image file to uint8 RGB of shape (height, width, 3), and say what was odd about it.

    ``size`` is the (height, width) in pixels to resize to (bicubic, as donkeycar does), None to keep the image's own.
    Transparency is laid over white, 16-bit grey is scaled to 8, EXIF orientation is applied, and of several frames
    the first is taken. Raises UnreadableImage.
    """
    pixels, _, notes = _decoded(content, size)
    return pixels, notes


def decode_resized(content: bytes, size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode as ``decode_rgb`` does, to ``size``; return the pixels and the (height, width) of the picture as shown."""
    pixels, shown, _ = _decoded(content, size)
    return pixels, shown


def _decoded(content: bytes, size: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, int], tuple[str, ...]]:
    kind = _kind(content)
    try:
        with _open(content, kind) as opened:
            return _pixels(opened, size)
    except UnreadableImage:
        raise
    # Decoders of hostile bytes fail with nearly every exception there is.
    except Exception as error:
        raise UnreadableImage(_why(error)) from None


def _kind(content: bytes) -> str:
    """Return Pillow's name of the format that the first bytes tell."""
    if not content:
        raise UnreadableImage("image is empty")
    for kind, signature in _SIGNATURES:
        if content.startswith(signature):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    start = content[:1024].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise UnreadableImage("image is an HTML or XML page")
    if start.startswith(b"version https://git-lfs"):
        raise UnreadableImage("image is a Git LFS pointer")
    if not content[:1024].strip(b"\x00"):
        raise UnreadableImage("image is all zero bytes")
    raise UnreadableImage("image is of no known format")


def _open(content: bytes, kind: str) -> "ImageFile":
    opened = Image.open(io.BytesIO(content), formats=[kind])
    width, height = opened.size
    if width * height > MAX_PIXELS:
        opened.close()
        raise UnreadableImage("image is too large")
    if min(width, height) < MIN_SIDE_PIXELS:
        opened.close()
        raise UnreadableImage("image is too small")
    return opened


def _pixels(opened: "ImageFile", size: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, int], tuple[str, ...]]:
    notes = []
    if opened.format != "JPEG" and getattr(opened, "n_frames", 1) > 1:
        notes.append("image has several frames")
        opened.seek(0)
    opened.load()
    image = _to_rgb(opened, notes)
    turn = _TURNS.get(_orientation(opened))
    if turn is not None:
        image = image.transpose(turn)
        notes.append("image turned as its EXIF says")
    shown = (image.height, image.width)
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BICUBIC)
        notes.append(RESIZED)
    return np.array(image), shown, tuple(notes)


def _orientation(opened: "ImageFile") -> int:
    """Return the EXIF orientation, 1 (upright) where it is missing or damaged."""
    # Pillow has turned a TIFF already when it is loaded, and no other format.
    if "exif" not in opened.info or opened.format == "TIFF":
        return 1
    try:
        return int(opened.getexif().get(_EXIF_ORIENTATION, 1))
    # Damaged EXIF is no reason to lose a good picture.
    except Exception:
        return 1


def _to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N", "F"):
        notes.append("16-bit image scaled to 8 bits")
        return _scaled(image)
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        notes.append("transparency laid over white")
        layer = image.convert("RGBA")
        flat = Image.new("RGBA", layer.size, (*BACKGROUND, 255))
        flat.alpha_composite(layer)
        return flat.convert("RGB")
    if image.mode == "CMYK":
        notes.append("CMYK image converted")
    return image.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Scale grey of 16 bits to 8: Pillow's own conversion would cut everything above 255 to white."""
    grey = np.asarray(image)
    if grey.dtype.kind == "f" or grey.min() < 0 or grey.max() > 65535:
        raise UnreadableImage("image has more than 16 bits a pixel")
    return Image.fromarray(((grey.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")


def _why(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "image is too large"
    text = str(error).lower()
    return "image is truncated" if "truncated" in text or "end of" in text or "eof" in text else "image is damaged"
