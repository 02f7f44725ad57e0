"""The shorter way to a detector's answer is the same way."""

import numpy as np

from trainbox.data.images import decode_resized, decode_rgb
from trainbox.export.runtimes import pixels
from trainbox.tasks.detect.examples import as_fed
from trainbox.tasks.detect.served import HALF_RANGE

EVERY = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)


def test_a_picture_is_fed_to_the_last_bit_as_predict_feeds_it() -> None:
    fed = np.empty(EVERY.shape, np.float32)
    np.divide(EVERY, HALF_RANGE, out=fed, dtype=np.float32)
    np.subtract(fed, np.float32(1), out=fed)
    np.testing.assert_array_equal(fed, as_fed(EVERY))


def test_integers_survive_the_way_through_floats() -> None:
    np.testing.assert_array_equal(pixels(as_fed(EVERY)), EVERY)


def test_a_picture_is_decoded_once_and_its_size_known() -> None:
    import io

    from PIL import Image

    turned = Image.Exif()
    turned[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(EVERY.repeat(4, axis=0)).save(buffer, "JPEG", exif=turned)
    resized, shown = decode_resized(buffer.getvalue(), (30, 20))
    np.testing.assert_array_equal(resized, decode_rgb(buffer.getvalue(), (30, 20))[0])
    assert shown == decode_rgb(buffer.getvalue())[0].shape[:2] == (16, 64)
