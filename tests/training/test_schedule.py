import numpy as np

from trainbox.training.schedule import WarmUpCosine, schedule_for


def rates(schedule: WarmUpCosine, steps: int) -> np.ndarray:
    return np.array([float(schedule(step)) for step in range(steps)])


def test_rises_to_the_peak_then_falls_to_the_floor():
    values = rates(WarmUpCosine(0.1, steps=100, warm_up_steps=10, floor=0.01), 130)
    np.testing.assert_allclose([values[0], values.max()], [0.01, 0.1], rtol=1e-6)
    assert values.argmax() in (9, 10)
    assert (np.diff(values[10:100]) <= 0).all()
    np.testing.assert_allclose(values[100:], 0.001, rtol=1e-5)


def test_the_rise_takes_half_an_epoch_or_a_tenth_of_the_run():
    assert schedule_for(0.1, steps_per_epoch=40, epochs=100).warm_up_steps == 20
    assert schedule_for(0.1, steps_per_epoch=40, epochs=2).warm_up_steps == 8
    assert schedule_for(0.1, steps_per_epoch=1, epochs=1).warm_up_steps == 1


def test_a_schedule_can_be_made_again_from_its_config():
    schedule = WarmUpCosine(0.1, 50, 5)
    again = WarmUpCosine.from_config(schedule.get_config())
    np.testing.assert_array_equal(rates(schedule, 60), rates(again, 60))
