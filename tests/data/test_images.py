"""Every kind of picture that people have, and everything that is none."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainbox.data.images import MAX_PIXELS, UnreadableImage, decode_rgb

Encoded = Callable[..., bytes]


def png_of(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """Write a PNG by hand: one that says what it likes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))

    header = struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def reason(content: bytes) -> str:
    with pytest.raises(UnreadableImage) as caught:
        decode_rgb(content)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_formats_without_loss_give_the_pixels_back(encoded: Encoded, pixels: np.ndarray, kind: str):
    options = {"lossless": True} if kind == "WEBP" else {}
    decoded, notes = decode_rgb(encoded(kind, **options))
    assert (decoded.shape, decoded.dtype, notes) == (pixels.shape, np.uint8, ())
    # A GIF has 256 colours.
    assert np.abs(decoded.astype(int) - pixels).max() <= (40 if kind == "GIF" else 0)


def test_jpeg_is_decoded_as_pillow_does(encoded: Encoded):
    content = encoded("JPEG", quality=90)
    decoded, notes = decode_rgb(content)
    assert (decoded == np.array(Image.open(io.BytesIO(content)))).all()
    assert notes == ()
    assert decoded.flags.writeable
    assert decoded.flags.c_contiguous


def test_grey_gets_three_channels(encoded: Encoded):
    for content in (encoded("JPEG", "L"), encoded("PNG", "L"), encoded("PNG", "1")):
        decoded, notes = decode_rgb(content)
        assert decoded.shape == (24, 32, 3)
        assert (decoded[..., 0] == decoded[..., 2]).all()
        assert notes == ()


def test_cmyk_is_converted(encoded: Encoded, pixels: np.ndarray):
    decoded, notes = decode_rgb(encoded("JPEG", "CMYK", quality=95))
    assert notes == ("CMYK image converted",)
    assert np.abs(decoded.astype(int) - pixels).mean() < 12


def test_sixteen_bits_are_scaled_and_not_cut():
    grey = np.linspace(0, 65535, 24 * 32).reshape(24, 32).astype(np.uint16)
    decoded, notes = decode_rgb(saved(Image.fromarray(grey), "PNG"))
    assert notes == ("16-bit image scaled to 8 bits",)
    assert np.abs(decoded[..., 1].astype(float) - grey / 257).max() <= 0.5


def test_sixteen_bit_colour_is_scaled(pixels: np.ndarray):
    rows = b"".join(b"\x00" + (row.astype(">u2") * 257).tobytes() for row in pixels)
    decoded, _ = decode_rgb(png_of(32, 24, 16, 2, rows))
    assert (decoded == pixels).all()


def test_more_than_sixteen_bits_are_refused():
    assert (
        reason(saved(Image.fromarray(np.full((8, 8), 1 << 20, np.int32)), "TIFF"))
        == "image has more than 16 bits a pixel"
    )
    assert reason(saved(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF")) == "image has more than 16 bits a pixel"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_over_white(kind: str):
    layer = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    layer.paste((200, 0, 0, 255), (0, 0, 4, 8))
    layer.paste((0, 0, 0, 128), (4, 0, 8, 4))
    decoded, notes = decode_rgb(saved(layer, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert notes == ("transparency laid over white",)
    assert decoded[6, 1].tolist() == [200, 0, 0]
    assert decoded[6, 6].tolist() == [255, 255, 255]
    assert abs(int(decoded[1, 6, 0]) - 127) <= 1


def test_palettes_are_resolved(encoded: Encoded):
    decoded, notes = decode_rgb(encoded("PNG", "P"))
    assert decoded.shape == (24, 32, 3)
    assert len(np.unique(decoded.reshape(-1, 3), axis=0)) > 20
    assert notes == ()


def test_a_transparent_palette_colour_is_laid_over_white():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    decoded, notes = decode_rgb(saved(image, "PNG", transparency=1))
    assert notes == ("transparency laid over white",)
    assert (decoded == 255).all()


def test_a_transparent_colour_without_palette_is_laid_over_white():
    decoded, notes = decode_rgb(saved(Image.new("RGB", (8, 8), (9, 9, 9)), "PNG", transparency=(9, 9, 9)))
    assert notes == ("transparency laid over white",)
    assert (decoded == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_several_frames_the_first_counts(kind: str):
    frames = [Image.new("RGB", (16, 8), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    decoded, notes = decode_rgb(saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50))
    assert notes == ("image has several frames",)
    assert np.abs(decoded.astype(int) - [250, 0, 0]).max() < 10


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied(pixels: np.ndarray, orientation: int, kind: str):
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded, notes = decode_rgb(saved(Image.fromarray(pixels), kind, exif=exif))
    upright = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: pixels.transpose(1, 0, 2)[:, ::-1],
        7: pixels.transpose(1, 0, 2)[::-1, ::-1],
        8: pixels.transpose(1, 0, 2)[::-1],
    }[orientation]
    assert decoded.shape == upright.shape
    assert np.abs(decoded.astype(int) - upright).mean() < 8
    assert notes == (() if orientation == 1 or kind == "TIFF" else ("image turned as its EXIF says",))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_cost_the_picture(encoded: Encoded):
    content = encoded("JPEG")
    damaged = content[:2] + b"\xff\xe1\x00\x10Exif\x00\x00MM\x00*\xff\xff\xff\xff" + content[2:]
    assert decode_rgb(damaged)[0].shape == (24, 32, 3)


def test_sizes_are_made_equal(encoded: Encoded):
    same, notes = decode_rgb(encoded("PNG"), (24, 32))
    assert (same.shape, notes) == ((24, 32, 3), ())
    other, notes = decode_rgb(encoded("PNG"), (12, 40))
    assert (other.shape, notes) == ((12, 40, 3), ("image resized",))


def test_size_is_compared_after_turning(pixels: np.ndarray):
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded, notes = decode_rgb(saved(Image.fromarray(pixels), "PNG", exif=exif), (32, 24))
    assert (decoded.shape, notes) == ((32, 24, 3), ("image turned as its EXIF says",))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "image is empty"),
        (bytes(5000), "image is all zero bytes"),
        (b"<!DOCTYPE html><html>404</html>", "image is an HTML or XML page"),
        (b"\n <HTML><body>", "image is an HTML or XML page"),
        (b"<?xml version='1.0'?><svg/>", "image is an HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3\n", "image is a Git LFS pointer"),
        (b"%PDF-1.4", "image is of no known format"),
        (b"%!PS-Adobe", "image is of no known format"),
        (b"hello", "image is of no known format"),
        (b"\xff\xd8", "image is damaged"),
        (b"\x89PNG\r\n\x1a\n", "image is damaged"),
    ],
)
def test_what_is_no_picture_says_what_it_is(content: bytes, expected: str):
    assert reason(content) == expected


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_truncated_files_are_refused(kind: str, share: float):
    noise = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)
    content = saved(Image.fromarray(noise), kind)
    assert reason(content[: int(len(content) * share)]) in ("image is truncated", "image is damaged")


def test_a_truncated_jpeg_is_called_so(encoded: Encoded):
    content = encoded("JPEG")
    assert reason(content[: int(len(content) * 0.8)]) == "image is truncated"


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_single_pixels_and_lines_are_refused(size: tuple[int, int]):
    assert reason(saved(Image.new("RGB", size), "PNG")) == "image is too small"


@pytest.mark.parametrize("side", [20_000, 9_000, 70_000])
def test_giants_are_refused_before_they_are_decoded(side: int):
    # The content is far too short: that it is too large must be found first.
    assert reason(png_of(side, side, 8, 2, b"\x00" * 10)) == "image is too large"


def test_the_largest_size_is_read():
    side = int(MAX_PIXELS**0.5)
    assert reason(png_of(side, side, 8, 0, b"\x00" * 10)) in ("image is truncated", "image is damaged")


def test_a_text_bomb_is_refused(encoded: Encoded):
    content = encoded("PNG")
    text = b"zTXt" + b"k\x00\x00" + zlib.compress(bytes(100 << 20))
    chunk = struct.pack(">L", len(text) - 4) + text + struct.pack(">L", zlib.crc32(text))
    assert reason(content[:33] + chunk + content[33:]) == "image is damaged"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"), ("GIF", "P"), ("BMP", "RGB")]
)
def test_damage_anywhere_gives_a_picture_or_a_reason(encoded: Encoded, kind: str, mode: str):
    content, chance = encoded(kind, mode), random.Random(7)
    outcomes = set()
    for _ in range(150):
        broken = bytearray(content)
        for _ in range(chance.randint(1, 5)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            outcomes.add(decode_rgb(bytes(broken))[0].shape[2])
        except UnreadableImage as error:
            outcomes.add(error.reason)
    assert outcomes <= {
        3,
        "image is damaged",
        "image is truncated",
        "image is too large",
        "image is too small",
        "image is of no known format",
    }
    assert "image is damaged" in outcomes or 3 in outcomes


def test_the_name_does_not_matter(tmp_path: Path, encoded: Encoded):
    from trainbox.data.files import FileReference, FolderTree

    (tmp_path / "really_a_png.jpg").write_bytes(encoded("PNG"))
    decoded, _ = decode_rgb(FileReference(FolderTree(tmp_path), "really_a_png.jpg").read())
    assert decoded.shape == (24, 32, 3)
