import keras
import numpy as np
import pytest

from trainbox.training.products import Product, with_products

SIDE = 8


def network(*, frozen: bool = False, **options) -> keras.Model:
    """A stem, a 1x1 convolution with a ReLU behind it, one with batch norm, and one called twice and read by two."""
    layers = keras.layers
    keras.utils.set_random_seed(5)
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", bias_initializer="ones", name="stem")(image)
    x = layers.Conv2D(12, 1, bias_initializer="ones", kernel_regularizer="l2", name="expand", **options)(x)
    x = layers.ReLU(6.0, name="expand.relu")(x)
    x = layers.Conv2D(4, 1, use_bias=False, name="project")(x)
    x = layers.BatchNormalization(name="norm")(x)
    shared = layers.Conv2D(4, 1, activation="tanh", name="shared")
    both = shared(shared(x))
    x = layers.Add(name="sum")([layers.ReLU(6.0, name="both.relu")(both), both * 2.0])
    made = keras.Model(image, {"answer": layers.Flatten(name="flat")(x), "both": both}, name="small")
    if frozen:
        made.get_layer("expand").trainable = False
    return made


def products(model: keras.Model) -> set[str]:
    return {layer.convolution.name for layer in model.layers if isinstance(layer, Product)}


def rows(count: int = 4) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(count, SIDE, SIDE, 3)).astype(np.float32)


def test_it_answers_the_same_from_the_same_variables() -> None:
    plain = network()
    quick = with_products(plain)
    assert products(quick) == {"expand", "project", "shared"}
    # In the same order too: a checkpoint has them by their places.
    assert [id(one) for one in quick.variables] == [id(one) for one in plain.variables]
    for name, answer in plain(rows()).items():
        np.testing.assert_allclose(quick(rows())[name], answer, rtol=1e-5, atol=1e-5)


def test_it_trains_the_network_it_was_made_of_to_the_same_weights() -> None:
    trained = []
    for changed in (lambda made: made, with_products):
        plain = network()
        model = changed(plain)
        model.compile(optimizer=keras.optimizers.SGD(0.01), loss={"answer": "mse"}, jit_compile=False)
        wanted = {"answer": np.ones((8, 4 * SIDE * SIDE))}
        model.fit(rows(8), wanted, batch_size=4, epochs=2, shuffle=False, verbose=0)
        trained.append(plain.get_weights())
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    before = network().get_weights()
    assert not np.allclose(trained[0][0], before[0])


def test_the_network_stays_what_is_exported() -> None:
    plain = network()
    before = plain.get_config()
    with_products(plain)(rows())
    assert plain.get_config() == before
    assert keras.models.clone_model(plain).count_params() == plain.count_params()


def test_the_penalty_on_a_kernel_is_counted_once() -> None:
    plain = network()
    quick = with_products(plain)
    assert len(quick.losses) == len(plain.losses) == 1
    np.testing.assert_allclose(float(quick.losses[0]), float(plain.losses[0]))


@pytest.mark.parametrize(
    "options", [{"strides": 2}, {"groups": 2}, {"frozen": True}], ids=["strided", "grouped", "frozen"]
)
def test_other_convolutions_stay_as_they_are(options: dict) -> None:
    plain = network(**options)
    quick = with_products(plain)
    assert "expand" not in products(quick)
    np.testing.assert_allclose(quick(rows())["answer"], plain(rows())["answer"], rtol=1e-5, atol=1e-5)
