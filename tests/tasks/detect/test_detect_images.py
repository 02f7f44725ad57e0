"""Images of every kind below annotations, and boxes on pictures that lie on their side."""

import io

import numpy as np
import pytest
from PIL import Image

from trainbox.data.images import decode_rgb, read_header
from trainbox.tasks.detect.boxes import turn
from trainbox.tasks.detect.check import check


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def marked(orientation, height=60, width=80):
    """A grey picture with a red patch, as stored; the patch's box in pixels (ymin, xmin, ymax, xmax)."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    box = (8, 16, 24, 56)
    pixels[box[0] : box[2], box[1] : box[3]] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.fromarray(pixels), "PNG", exif=exif), box


def red_box(pixels):
    """Where the patch is shown: fractions, yxyx."""
    red = pixels[..., 0] > 200
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    height, width = red.shape
    return [rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_boxes_lie_where_the_decoder_shows_the_picture(orientation):
    content, box = marked(orientation)
    header, pixels = read_header(content), decode_rgb(content)[0]
    assert (header.height, header.width) == pixels.shape[:2] and header.orientation == orientation
    stored = np.array([[box[0] / 60, box[1] / 80, box[2] / 60, box[3] / 80]])
    np.testing.assert_allclose(turn(stored, orientation)[0], red_box(pixels))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_drawn_on_the_picture_as_shown_stay(make, read, tmp_path, warnings, orientation):
    content, _ = marked(orientation)
    pixels, _ = decode_rgb(content)
    shown = np.array(red_box(pixels)) * [*pixels.shape[:2], *pixels.shape[:2]]
    make.put(tmp_path / "a.png", content)
    xml_box = make.voc_object(box=(shown[1], shown[0], shown[3], shown[2]))
    make.put(tmp_path / "a.xml", make.voc_xml("a.png", xml_box, *pixels.shape[:2]))
    image = read(tmp_path).images[0]
    np.testing.assert_allclose(image.boxes_yxyx[0], red_box(pixels), rtol=1e-6)
    assert (image.height, image.width) == pixels.shape[:2] and warnings() == {}


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_drawn_on_the_picture_as_stored_are_turned_with_it(make, read, tmp_path, warnings, orientation):
    content, box = marked(orientation)
    make.put(tmp_path / "a.png", content)
    xml_box = make.voc_object(box=(box[1], box[0], box[3], box[2]))
    make.put(tmp_path / "a.xml", make.voc_xml("a.png", xml_box, 60, 80))
    np.testing.assert_allclose(read(tmp_path).images[0].boxes_yxyx[0], red_box(decode_rgb(content)[0]), rtol=1e-6)
    assert warnings() == {"boxes were drawn before the EXIF orientation and are turned with it": 1}


def test_records_of_tools_that_know_no_exif_are_turned_too(make, read, tmp_path):
    content, box = marked(6)
    corners = {"ymin": [box[0] / 60], "xmin": [box[1] / 80], "ymax": [box[2] / 60], "xmax": [box[3] / 80]}
    make.records(tmp_path, make.record(encoded=[content], **corners))
    np.testing.assert_allclose(read(tmp_path).images[0].boxes_yxyx[0], red_box(decode_rgb(content)[0]), rtol=1e-6)


GREY = Image.fromarray(np.arange(60 * 80, dtype=np.uint16).reshape(60, 80) * 13)
FRAMES = [Image.new("RGB", (80, 60), colour) for colour in ("red", "green")]
USABLE = {
    "CMYK": (encoded(Image.new("CMYK", (80, 60), (10, 200, 30, 40)), "JPEG"), "CMYK image converted"),
    "16 bits": (encoded(GREY, "PNG"), "16-bit image scaled to 8 bits"),
    "animated": (encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), "image has several frames"),
    "alpha": (encoded(Image.new("RGBA", (80, 60), (9, 9, 9, 99)), "PNG"), "transparency laid over white"),
    "palette": (encoded(FRAMES[0].convert("P"), "PNG"), None),
    "grey": (encoded(FRAMES[0].convert("L"), "PNG"), None),
    "PNG by its bytes": (encoded(FRAMES[0], "PNG"), None),
    "turned": (marked(6, 80, 60)[0], "image turned as its EXIF says"),
}


@pytest.mark.parametrize("kind", USABLE)
def test_odd_image_is_read_and_said(make, tmp_path, kind):
    content, note = USABLE[kind]
    make.voc(tmp_path)
    make.put(tmp_path / "JPEGImages/2.jpg", content)
    report = check([tmp_path])
    assert report.usable == 4 and not report.problems.skips
    assert set(report.problems.warnings) == ({note} if note else set())


def large_png():
    """A PNG that says 20,000 x 20,000 and holds next to nothing."""
    small = encoded(Image.new("RGB", (1, 1)), "PNG")
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return small[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + small[33:]


UNUSABLE = {
    "image is empty": b"",
    "image is an HTML or XML page": b"<!DOCTYPE html><html><body>404</body></html>",
    "image is a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n",
    "image is all zero bytes": bytes(5000),
    "image is too small": encoded(Image.new("RGB", (1, 1)), "PNG"),
    "image is too large": large_png(),
    "image is truncated": encoded(Image.effect_noise((80, 60), 80), "JPEG")[:-900],
    "image is of no known format": b"hello, world",
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_unusable_image_costs_itself(make, tmp_path, reason):
    make.voc(tmp_path)
    make.put(tmp_path / "JPEGImages/2.jpg", UNUSABLE[reason])
    report = check([tmp_path])
    assert report.usable == 3
    assert {name: tally.examples for name, tally in report.problems.skips.items()} == {
        reason: [f"{tmp_path.name}/JPEGImages/2.jpg"]
    }
