import numpy as np
import pytest

from trainbox.data.problems import Problems
from trainbox.tasks.drive.config import DriveConfig
from trainbox.tasks.drive.samples import Samples, select, smoothed_angle


def chosen(tub: object, **hyperparameters: object) -> tuple[Samples, Problems]:
    problems = Problems()
    return select([tub], DriveConfig.parse(hyperparameters), problems), problems


def names(samples: Samples) -> list[str]:
    return [image.name.removeprefix("images/").removesuffix(".jpg") for image in samples.images]


def test_without_slide_each_image_has_its_own_command(make_tub) -> None:
    samples, problems = chosen(make_tub([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(samples.angle, [0.1, 0.2, 0.3])
    assert not problems.skips


def test_slide_pairs_an_image_with_a_later_command(make_tub) -> None:
    samples, problems = chosen(make_tub([0.0, 0.1, 0.2, 0.3, 0.4]), with_slide=True)
    assert names(samples) == ["0", "1", "2"]
    np.testing.assert_allclose(samples.angle, [0.2, 0.3, 0.4])
    assert problems.skips["no command 2 frames later without a gap"].count == 2


def test_slide_never_reaches_over_a_gap(make_tub) -> None:
    samples, _ = chosen(make_tub([0.0, 0.1, 0.2, 0.6, 0.7, 0.8], positions=[0, 1, 2, 6, 7, 8]), with_slide=True)
    assert names(samples) == ["0", "6"]
    np.testing.assert_allclose(samples.angle, [0.2, 0.8])


def test_slide_never_reaches_over_sessions_or_tubs(make_tub) -> None:
    tub = make_tub([0.0, 0.1, 0.2, 0.3], sessions=["a", "a", "b", "b"])
    assert len(chosen(tub, with_slide=2)[0]) == 0
    assert len(chosen(tub, with_slide=1)[0]) == 2
    both = select([make_tub([0.1]), make_tub([0.2])], DriveConfig.parse({"with_slide": 1}), Problems())
    assert len(both) == 0


def test_pairing_comes_before_filtering(make_tub) -> None:
    tub = make_tub([0.0, 0.1, 0.2, 0.3, 0.4], throttles=[0.5, 0.05, 0.5, 0.05, 0.5])
    samples, problems = chosen(tub, with_slide=True, minimum_throttle=0.1)
    assert names(samples) == ["0", "2"]
    np.testing.assert_allclose(samples.angle, [0.2, 0.4])
    assert problems.skips["throttle is not above minimum_throttle"].count == 1


def test_throttle_of_old_is_kept_above_a_tenth_and_raised_to_two(make_tub) -> None:
    tub = make_tub([0.0, 0.1, 0.2, 0.3], throttles=[0.1, 0.11, 0.2, 0.9])
    samples, _ = chosen(tub, sagemaker_region="eu-west-1")
    assert names(samples) == ["1", "2", "3"]
    np.testing.assert_allclose(samples.throttle, [0.2, 0.2, 0.9])


def test_only_the_driver_is_learnt_from(make_tub) -> None:
    tub = make_tub([0.0, 0.1, 0.2], modes=["user", "local_angle", "local"])
    samples, problems = chosen(tub)
    assert names(samples) == ["0"]
    assert problems.skips["drive mode is not among drive_modes"].count == 2
    assert len(chosen(tub, drive_modes="user,local")[0]) == 2
    assert len(chosen(tub, drive_modes=None)[0]) == 3


def test_the_mode_that_counts_is_that_of_the_command(make_tub) -> None:
    samples, _ = chosen(make_tub([0.0, 0.1, 0.2], modes=["local", "user", "local"]), with_slide=1)
    assert names(samples) == ["0"]


def test_filter_keeps_what_it_says_and_counts_the_rest(make_tub) -> None:
    tub = make_tub([0.0, 0.1, 0.2], values=[{"enc/speed": 1}, {"enc/speed": 3}, {}])
    samples, problems = chosen(tub, filter="enc/speed > 2")
    assert names(samples) == ["1"]
    assert problems.skips["left out by the filter"].count == 1
    assert problems.skips["the filter has no answer: a key is missing or of another type"].count == 1


def test_memory_holds_the_commands_before_oldest_first(make_tub) -> None:
    tub = make_tub([0.0, 0.1, 0.2, 0.3], throttles=[0.5, 0.6, 0.7, 0.8])
    samples, problems = chosen(tub, pilot="memory", memory_length=2)
    assert names(samples) == ["2", "3"]
    np.testing.assert_allclose(samples.memory, [[0.0, 0.5, 0.1, 0.6], [0.1, 0.6, 0.2, 0.7]])
    assert problems.skips["no 2 commands before it without a gap"].count == 2


def test_memory_never_reaches_over_a_gap(make_tub) -> None:
    tub = make_tub([0.0, 0.1, 0.2, 0.3, 0.4], positions=[0, 1, 3, 4, 5])
    assert names(chosen(tub, pilot="memory", memory_length=2)[0]) == ["5"]


def test_memory_with_slide_holds_the_commands_before_the_one_learnt(make_tub) -> None:
    samples, _ = chosen(make_tub([0.0, 0.1, 0.2, 0.3]), pilot="memory", memory_length=2, with_slide=1)
    assert names(samples) == ["1", "2"]
    np.testing.assert_allclose(samples.angle, [0.2, 0.3])
    np.testing.assert_allclose(samples.memory[:, 0::2], [[0.0, 0.1], [0.1, 0.2]])


def test_sessions_are_told_apart_over_tubs(make_tub) -> None:
    tubs = [make_tub([0.1, 0.2], sessions=["a", "b"]), make_tub([0.3], sessions=["a"]), make_tub([])]
    assert select(tubs, DriveConfig(), Problems()).group.tolist() == [0, 1, 2]


def test_every_record_is_used_or_its_skip_explained(make_tub) -> None:
    random = np.random.default_rng(0)
    tub = make_tub(
        random.uniform(-1, 1, 500).tolist(),
        positions=np.sort(random.permutation(600)[:500]).tolist(),
        throttles=random.uniform(0, 1, 500).tolist(),
        modes=random.choice(["user", "local"], 500).tolist(),
    )
    samples, problems = chosen(tub, with_slide=True, pilot="memory", minimum_throttle=0.2, filter="angle > -0.5")
    assert len(samples) > 0
    assert len(samples) + problems.skipped == 500


def test_steering_is_averaged_over_neighbours_in_time(make_tub) -> None:
    samples, _ = chosen(make_tub([0.0, 0.0, 1.0, 0.0, 0.0]))
    smooth = smoothed_angle(samples, 1.0)
    near, far = np.exp(-0.5), np.exp(-2.0)
    assert smooth[2] == pytest.approx(1 / (1 + 2 * near + 2 * far))
    np.testing.assert_allclose(smooth, smooth[::-1], rtol=1e-6)
    np.testing.assert_array_equal(smoothed_angle(samples, 0.0), samples.angle)


def test_averages_do_not_reach_over_gaps_sessions_or_tubs(make_tub) -> None:
    gap = chosen(make_tub([0.0, 0.0, 1.0, 1.0], positions=[0, 1, 7, 8]))[0]
    sessions = chosen(make_tub([0.0, 0.0, 1.0, 1.0], sessions=["a", "a", "b", "b"]))[0]
    tubs = select([make_tub([0.0, 0.0]), make_tub([1.0, 1.0])], DriveConfig.parse({}), Problems())
    for samples in (gap, sessions, tubs):
        np.testing.assert_array_equal(smoothed_angle(samples, 2.0), [0, 0, 1, 1])


def test_averages_know_only_the_samples_they_are_given(make_tub) -> None:
    samples, _ = chosen(make_tub([0.0, 1.0, 0.0, 0.0, 0.0]))
    apart = samples.take(np.array([0, 2, 3, 4]))
    np.testing.assert_array_equal(smoothed_angle(apart, 1.0), np.zeros(4))
