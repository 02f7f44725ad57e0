import keras
import numpy as np
from keras import ops

from trainbox.training.averaging import LONGEST, AveragingAdam

STEPS = 30


def trained(optimizer: keras.optimizers.Optimizer) -> list[np.ndarray]:
    """Let an optimizer go through gradients of very different sizes; return where it has put two variables by step."""
    random = np.random.default_rng(6)
    variables = [keras.Variable(random.normal(size=shape).astype(np.float32)) for shape in ((3, 2), (5,))]
    optimizer.build(variables)
    states = []
    for _ in range(STEPS):
        sizes = 10.0 ** random.uniform(-6, 3)
        gradients = [
            ops.convert_to_tensor((sizes * random.normal(size=one.shape)).astype(np.float32)) for one in variables
        ]
        optimizer.apply(gradients, variables)
        states += [np.array(ops.convert_to_numpy(one)) for one in variables]
    return states


def test_it_moves_as_keras_adam_does() -> None:
    schedule = keras.optimizers.schedules.CosineDecay(0.01, STEPS)
    for here, there in zip(trained(AveragingAdam(schedule)), trained(keras.optimizers.Adam(schedule)), strict=True):
        np.testing.assert_allclose(here, there, rtol=2e-5, atol=1e-6)


def test_the_mean_is_over_about_the_last_ninth_of_the_steps() -> None:
    optimizer = AveragingAdam(0.01)
    states = trained(optimizer)[0::2]
    mean = states[0]
    for step, state in enumerate(states[1:], start=1):
        kept = min((1 + step) / (10 + step), LONGEST)
        mean = kept * mean + (1 - kept) * state
    np.testing.assert_allclose(ops.convert_to_numpy(optimizer._model_variables_moving_average[0]), mean, rtol=1e-4)
