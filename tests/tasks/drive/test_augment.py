import numpy as np
import pytest

from trainbox.tasks.drive.augment import PARAMETERS, augment_layer, draw, unchanged

MIRROR, BRIGHTNESS, CONTRAST, BLUR, SHADOW, TOP, BOTTOM = range(len(PARAMETERS))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(60, 180, (8, 120, 160, 3), dtype=np.uint8)


def changed(images: np.ndarray, **columns: float) -> np.ndarray:
    parameters = unchanged(len(images))
    for name, value in columns.items():
        parameters[:, PARAMETERS.index(name)] = value
    return np.asarray(augment_layer()(images, parameters, training=True))


def test_nothing_but_scaling_when_not_training(images: np.ndarray) -> None:
    parameters = draw(PARAMETERS, len(images), np.random.default_rng(0))
    np.testing.assert_allclose(augment_layer()(images, parameters, training=False), images / 255, atol=1e-6)


def test_zeros_change_nothing(images: np.ndarray) -> None:
    np.testing.assert_allclose(changed(images), images / 255, atol=1e-6)


def test_mirror_swaps_left_and_right(images: np.ndarray) -> None:
    parameters = unchanged(len(images))
    parameters[::2, MIRROR] = 1
    result = np.asarray(augment_layer()(images, parameters, training=True))
    np.testing.assert_allclose(result[::2], images[::2, :, ::-1] / 255, atol=1e-6)
    np.testing.assert_allclose(result[1::2], images[1::2] / 255, atol=1e-6)


def test_brightness_is_a_gain(images: np.ndarray) -> None:
    np.testing.assert_allclose(changed(images, brightness=-0.4), images / 255 * 0.6, atol=1e-5)


def test_contrast_keeps_the_mean(images: np.ndarray) -> None:
    result = changed(images, contrast=0.2)
    assert result.mean() == pytest.approx(images.mean() / 255, abs=0.01)
    assert result.std() == pytest.approx(1.2 * images.std() / 255, rel=0.02)


def test_shadow_darkens_one_side_of_its_edge(images: np.ndarray) -> None:
    right = changed(images, shadow=0.5, shadow_top=0.5, shadow_bottom=0.5)
    np.testing.assert_allclose(right[:, :, :79], images[:, :, :79] / 255, atol=1e-6)
    np.testing.assert_allclose(right[:, :, 81:], images[:, :, 81:] / 255 * 0.5, atol=1e-5)
    left = changed(images, shadow=-0.5, shadow_top=0.5, shadow_bottom=0.5)
    np.testing.assert_allclose(left[:, :, 81:], images[:, :, 81:] / 255, atol=1e-6)
    np.testing.assert_allclose(left[:, :, :79], images[:, :, :79] / 255 * 0.5, atol=1e-5)


def test_blur_smooths_the_head_of_the_batch(images: np.ndarray) -> None:
    result = changed(images, blur=1)
    before, after = images[:1] / 255, result[:1]
    assert after.mean() == pytest.approx(before.mean(), abs=1e-3)
    assert np.abs(np.diff(after, axis=2)).mean() < 0.5 * np.abs(np.diff(before, axis=2)).mean()
    assert np.abs(np.diff(after, axis=1)).mean() < 0.5 * np.abs(np.diff(before, axis=1)).mean()
    np.testing.assert_allclose(result[1:], images[1:] / 255, atol=1e-6)


def test_pixels_stay_between_0_and_1() -> None:
    extremes = np.array([0, 255], np.uint8)[np.random.default_rng(0).integers(0, 2, (64, 120, 160, 3))]
    parameters = draw(PARAMETERS, len(extremes), np.random.default_rng(1))
    result = np.asarray(augment_layer()(extremes, parameters, training=True))
    assert result.dtype == np.float32
    assert 0 <= result.min() < result.max() <= 1


def test_draws_are_those_of_the_generator() -> None:
    first, second = (draw(PARAMETERS, 32, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (first != draw(PARAMETERS, 32, np.random.default_rng(6))).any()


def test_draws_only_what_is_asked_for_and_always_as_much() -> None:
    all_kinds, mirror = np.random.default_rng(5), np.random.default_rng(5)
    everything, mirrored = draw(PARAMETERS, 32, all_kinds), draw(["mirror"], 32, mirror)
    np.testing.assert_array_equal(everything[:, MIRROR], mirrored[:, MIRROR])
    assert not mirrored[:, BRIGHTNESS:TOP].any()
    assert all_kinds.random() == mirror.random()


def test_each_change_befalls_its_share() -> None:
    drawn = draw(PARAMETERS, 4000, np.random.default_rng(0))
    shares = (drawn[:, :TOP] != 0).mean(axis=0)
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.25, 0.125, 0.25], atol=0.03)
    assert np.abs(drawn[:, BRIGHTNESS]).max() <= 0.25
    assert np.abs(drawn[:, CONTRAST]).max() <= 0.15
    assert 0 < drawn[:, BLUR].max() <= 1
    assert (drawn[:, SHADOW] > 0).any()
    assert (drawn[:, SHADOW] < 0).any()
    assert 0.1 <= drawn[:, TOP:].min() < drawn[:, TOP:].max() <= 0.9


@pytest.mark.parametrize("kinds", [(), ("mirror",), ("blur",), ("brightness", "shadow"), PARAMETERS])
def test_a_layer_of_some_kinds_answers_as_that_of_all(images: np.ndarray, kinds: tuple[str, ...]) -> None:
    parameters = draw(kinds, len(images), np.random.default_rng(3))
    some, every = (np.asarray(augment_layer(k)(images, parameters, training=True)) for k in (kinds, PARAMETERS))
    np.testing.assert_allclose(some, every, atol=1e-6)
