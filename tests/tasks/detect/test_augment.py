import numpy as np
import pytest
from PIL import Image

from trainbox.tasks.detect import augment
from trainbox.tasks.detect.augment import Picture

SIZE = (60, 80)
BOX = np.array([[0.25, 0.125, 0.5, 0.5]], np.float32)


def picture() -> Picture:
    """A red rectangle exactly under its box, on black."""
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[15:30, 10:40] = (255, 0, 0)
    return Picture(Image.fromarray(pixels), BOX, np.array([3]))


def red_box(image: Image.Image) -> np.ndarray:
    """Where the red pixels are: yxyx, normalised."""
    pixels = np.asarray(image).astype(int)
    rows, columns = np.nonzero((pixels[..., 0] > 140) & (pixels[..., 1] < 110))
    height, width = pixels.shape[:2]
    return np.array(
        [rows.min() / height, columns.min() / width, (rows.max() + 1) / height, (columns.max() + 1) / width]
    )


@pytest.mark.parametrize(
    "change", [augment.flip, augment.vertical_flip, augment.zoom_out, augment.crop, augment.photometric]
)
@pytest.mark.parametrize("seed", range(12))
def test_the_box_stays_on_its_object(change: augment.Change, seed: int) -> None:
    changed = change(picture(), np.random.default_rng(seed))
    if change is augment.photometric:
        np.testing.assert_array_equal(changed.boxes_yxyx, BOX)
        return
    height, width = np.asarray(changed.image).shape[:2]
    np.testing.assert_allclose(changed.boxes_yxyx[0], red_box(changed.image), atol=1.01 / min(height, width))


@pytest.mark.parametrize(
    "change", [augment.flip, augment.vertical_flip, augment.zoom_out, augment.crop, augment.photometric]
)
def test_the_same_generator_gives_the_same_picture(change: augment.Change) -> None:
    first, second = (change(picture(), np.random.default_rng(5)) for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes()
    np.testing.assert_array_equal(first.boxes_yxyx, second.boxes_yxyx)


@pytest.mark.parametrize(
    "change", [augment.flip, augment.vertical_flip, augment.zoom_out, augment.crop, augment.photometric]
)
def test_a_picture_without_boxes_stays_one(change: augment.Change) -> None:
    empty = Picture(picture().image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    for seed in range(6):
        assert change(empty, np.random.default_rng(seed)).boxes_yxyx.shape == (0, 4)


def test_a_box_mostly_cut_away_is_dropped() -> None:
    assert len(augment.window(picture(), 0.45, 0, 1, 1).boxes_yxyx) == 0
    assert len(augment.window(picture(), 0.3, 0, 1, 1).boxes_yxyx) == 1


def test_mosaic_keeps_every_box_on_its_object() -> None:
    joined = augment.mosaic([picture()] * 4, np.random.default_rng(0), (100, 100))
    assert joined.image.size == (100, 100)
    assert set(joined.classes) == {3}
    assert len(joined.classes) == len(joined.boxes_yxyx) >= 2, "a part may have lost its object"
    pixels = np.asarray(joined.image)
    for y_min, x_min, y_max, x_max in joined.boxes_yxyx:
        centre = pixels[int((y_min + y_max) * 50), int((x_min + x_max) * 50)]
        assert centre[0] > 200 > centre[1] + 100
