import math

import numpy as np
import pytest

from trainbox.tasks.drive import bins
from trainbox.tasks.drive.balance import steering_weights


@pytest.mark.parametrize(
    ("angle", "bin_"), [(-1, 0), (-0.93, 0), (-0.92, 1), (0, 7), (0.07, 7), (0.08, 8), (1, 14), (-1.2, 0), (1.2, 14)]
)
def test_angle_falls_in_the_nearest_of_15_bins_and_is_clamped(angle: float, bin_: int) -> None:
    assert bins.angle_bin(np.array([angle]))[0] == bin_


@pytest.mark.parametrize(
    ("throttle", "bin_"), [(-0.5, 0), (0, 0), (0.04, 1), (0.4, 10), (0.76, 19), (0.8, 19), (1, 19)]
)
def test_throttle_falls_in_the_nearest_of_20_bins_over_the_cars_range(throttle: float, bin_: int) -> None:
    assert bins.throttle_bin(np.array([throttle]), 0.8)[0] == bin_


def test_bins_and_back_is_as_near_as_a_bin_allows() -> None:
    angles = np.linspace(-1, 1, 301)
    back = bins.angle_of(np.eye(15)[bins.angle_bin(angles)])
    assert np.abs(back - angles).max() <= 1 / 14 + 1e-9
    throttles = np.linspace(0, 0.76, 301)
    back = bins.throttle_of(np.eye(20)[bins.throttle_bin(throttles, 0.8)], 0.8)
    assert np.abs(back - throttles).max() <= 0.02 + 1e-9


def test_inferred_throttle_is_the_cars() -> None:
    full_left, straight, full_right, beyond = bins.inferred_throttle(np.array([-1.0, 0.0, 1.0, 5.0]))
    assert full_left == 1
    assert straight == pytest.approx(math.exp(-0.25) - 0.025)
    assert full_right == beyond == pytest.approx(math.exp(-0.5) - 0.05)


def test_balance_weighs_rare_angles_more() -> None:
    angles = np.array([0.0] * 90 + [0.8] * 10, np.float32)
    weights = steering_weights(angles)
    assert weights.dtype == np.float32
    assert weights.mean() == pytest.approx(1)
    assert weights[-1] / weights[0] == pytest.approx(3)


def test_balance_lets_no_frame_rule() -> None:
    weights = steering_weights(np.array([0.0] * 10_000 + [1.0], np.float32))
    assert weights.max() / weights.min() == pytest.approx(10)


def test_balance_of_even_steering_changes_nothing() -> None:
    np.testing.assert_allclose(steering_weights(np.array([-1, 0, 1], np.float32)), 1)
