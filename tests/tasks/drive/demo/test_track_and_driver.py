"""The track can be driven, the car obeys donkeycar's signs, and the camera sees what lies ahead."""

import numpy as np
import pytest

from trainbox.tasks.drive.demo.camera import HEIGHT, WIDTH, Light, photograph
from trainbox.tasks.drive.demo.driver import drive
from trainbox.tasks.drive.demo.room import paint_room
from trainbox.tasks.drive.demo.track import LANE_METRES, ROOM_METRES, Track, lay_track

STEADY = Light(gain=1.0, balance=(1.0, 1.0, 1.0), contrast=1.0, noise=1.0)


@pytest.mark.parametrize("seed", range(12))
def test_tracks_close_turn_both_ways_and_keep_off_the_walls(seed: int) -> None:
    track = lay_track(np.random.default_rng(seed))
    steps = np.hypot(*(np.roll(track.points, -1, axis=0) - track.points).T)
    assert steps.max() < 2 * steps.min()
    assert track.curvatures.max() > 0.5 > -0.4 > track.curvatures.min()
    assert np.abs(track.curvatures).max() < 1.3
    assert track.points.min() > LANE_METRES
    assert (track.points < np.array(ROOM_METRES) - LANE_METRES).all()


def test_reversed_track_turns_the_other_way() -> None:
    track = lay_track(np.random.default_rng(0))
    back = track.reversed()
    assert back.curvatures.mean() == pytest.approx(-track.curvatures.mean())
    ahead = back.points[1] - back.points[0]
    assert ahead @ [np.cos(back.headings[0]), np.sin(back.headings[0])] > 0


@pytest.mark.parametrize("seed", range(4))
def test_driver_stays_in_the_lane_but_for_mistakes(seed: int) -> None:
    random = np.random.default_rng(seed)
    track = lay_track(random)
    run = drive(track, 1500, random)
    apart = np.hypot(*(run.poses[:, None, :2] - track.points[None, ::5]).transpose(2, 0, 1)).min(axis=1)
    assert np.quantile(apart[~run.mistakes], 0.97) < LANE_METRES / 2
    assert run.mistakes.any()
    assert run.throttles.min() < 0 < run.throttles.mean()


def test_positive_angles_turn_right() -> None:
    random = np.random.default_rng(5)
    run = drive(lay_track(random), 800, random)
    turned = np.diff(np.unwrap(run.poses[:, 2]))
    moving = np.hypot(*np.diff(run.poses[:, :2], axis=0).T) > 0.02
    forward = moving & (run.throttles[:-1] > 0)
    assert np.corrcoef(turned[forward], run.angles[:-1][forward])[0, 1] < -0.8


def straight_track() -> Track:
    """A stretch of track along x, far longer than the camera sees."""
    points = np.stack([np.linspace(0.5, 9.5, 450), np.full(450, 4.0)], axis=1)
    return Track(points, np.zeros(450), np.zeros(450))


def test_camera_sees_the_lane_left_of_a_car_that_is_right_of_it() -> None:
    room = paint_room(straight_track(), np.random.default_rng(0))
    poses = np.array([[2.0, 4.0, 0.0], [2.0, 3.5, 0.0], [2.0, 4.5, 0.0]])
    frames = np.stack(list(photograph(room, poses, STEADY, seed=0))).astype(int)
    assert frames.shape == (3, HEIGHT, WIDTH, 3)
    lane = frames[:, 60:100]
    yellow = (lane[..., 0] - lane[..., 2] > 60).mean(axis=1)
    columns = (yellow * np.arange(WIDTH)).sum(axis=1) / yellow.sum(axis=1)
    assert columns[0] == pytest.approx(WIDTH / 2, abs=8)
    assert columns[1] < WIDTH / 2 - 15
    assert columns[2] > WIDTH / 2 + 15


def test_every_pose_in_the_room_can_be_photographed() -> None:
    room = paint_room(straight_track(), np.random.default_rng(0))
    random = np.random.default_rng(1)
    poses = random.uniform([0.4, 0.4, -10], [ROOM_METRES[0] - 0.4, ROOM_METRES[1] - 0.4, 10], (60, 3))
    frames = np.stack(list(photograph(room, poses, STEADY, seed=0)))
    assert frames.std(axis=(1, 2, 3)).min() > 5
