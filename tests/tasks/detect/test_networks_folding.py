"""Batch norm folded into convolutions, unfolded, and estimated anew: the answers stay."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import keras
import numpy as np
import pytest

from trainbox.tasks.detect.networks import pretrained, ssd, tf1_checkpoint
from trainbox.tasks.detect.networks.folding import fold, fold_arrays, is_folded, unfold_arrays
from trainbox.tasks.detect.networks.statistics import reestimate

SPEC = ssd.SsdSpec(size=(96, 96), depth_multiplier=0.25, depthwise_extras=True, depthwise_predictors=True)


@cache
def trained(spec: ssd.SsdSpec = SPEC) -> keras.Model:
    """A network whose batch norms have values as training leaves them; no test changes it."""
    network, random = ssd.build(spec), np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights(
                [random.uniform(0.5, 2, shape), random.normal(0, 1, shape), random.normal(0, 0.2, shape),
                 random.uniform(0.05, 2, shape)]
            )  # fmt: skip
    return network


def photos(count: int = 4, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 96, 96, 3)).astype(np.float32)


def assert_same_answers(one: keras.Model, other: keras.Model, atol: float = 1e-5) -> None:
    answers = [model(photos()) for model in (one, other)]
    for name in ("encodings", "logits"):
        first, second = (keras.ops.convert_to_numpy(answer[name]) for answer in answers)
        scale = max(1.0, float(np.abs(first).max()))
        assert np.abs(first).max() > 0.01
        np.testing.assert_allclose(second / scale, first / scale, atol=atol)


@pytest.mark.parametrize(("backbone", "depthwise"), [("mobilenet_v1", False), ("mobilenet_v2", True)])
def test_a_folded_network_answers_the_same(backbone: str, depthwise: bool) -> None:
    spec = replace(SPEC, backbone=backbone, depthwise_extras=depthwise, depthwise_predictors=depthwise)
    network = trained(spec)
    folded = fold(network, spec)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    assert_same_answers(network, folded)
    assert_same_answers(folded, fold(folded, spec))


def test_unfolding_gives_a_batch_norm_that_only_adds() -> None:
    network = trained()
    folded = fold(network, SPEC)
    again = ssd.build(SPEC)
    imported = pretrained.start_from(again, tf1_checkpoint.named_arrays(folded))
    assert imported.folded and not imported.fresh
    assert_same_answers(network, again)
    arrays = tf1_checkpoint.named_arrays(again)
    assert is_folded(arrays) and not is_folded(tf1_checkpoint.named_arrays(network))
    folded_again = fold_arrays(arrays)
    for name, array in tf1_checkpoint.named_arrays(folded).items():
        np.testing.assert_allclose(folded_again[name], array, atol=1e-6)


def test_arrays_without_bias_are_not_unfolded() -> None:
    arrays = tf1_checkpoint.named_arrays(ssd.build(SPEC))
    assert unfold_arrays(arrays).keys() == arrays.keys()


def test_a_checkpoint_fills_a_network_without_batch_norm() -> None:
    network = trained()
    folded = ssd.build(replace(SPEC, batch_norm=False))
    imported = pretrained.start_from(folded, tf1_checkpoint.named_arrays(network))
    assert not imported.fresh and not imported.folded
    assert_same_answers(network, folded)


@cache
def revived() -> tuple[keras.Model, keras.Model]:
    """A network filled from folded arrays, and the same one estimated anew on some pictures."""
    arrays = tf1_checkpoint.named_arrays(fold(trained(), SPEC))
    folded, network = ssd.build(SPEC), ssd.build(SPEC)
    for each in (folded, network):
        pretrained.start_from(each, arrays)
    reestimate(network, [photos(4, seed=2), photos(3, seed=3)])
    return folded, network


def test_reestimated_statistics_leave_the_answers() -> None:
    folded, network = revived()
    assert_same_answers(folded, network, atol=1e-4)
    assert not is_folded(tf1_checkpoint.named_arrays(network))
    assert all(layer.trainable for layer in network.layers)


def test_reestimated_statistics_are_those_of_the_pictures() -> None:
    _, network = revived()
    norm = network.get_layer("FeatureExtractor.MobilenetV2.Conv.BatchNorm")
    seen = keras.ops.convert_to_numpy(
        keras.Model(network.input, norm.input)(np.concatenate([photos(4, seed=2), photos(3, seed=3)]))
    )
    np.testing.assert_allclose(norm.moving_mean, seen.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, seen.var((0, 1, 2)), rtol=1e-4, atol=1e-6)


def test_training_mode_starts_from_the_answers_that_inference_gives() -> None:
    folded, network = revived()
    pictures = np.concatenate([photos(4, seed=2), photos(3, seed=3)])
    wanted = keras.ops.convert_to_numpy(folded(pictures)["encodings"])
    gaps = [
        np.abs(keras.ops.convert_to_numpy(each(pictures, training=True)["encodings"]) - wanted).mean()
        for each in (folded, network)
    ]
    assert gaps[1] < gaps[0] / 3


def test_fresh_layers_are_normalised_and_the_others_keep_their_answers() -> None:
    arrays = tf1_checkpoint.named_arrays(fold(trained(), SPEC))
    network = ssd.build(SPEC)
    backbone = {name: array for name, array in arrays.items() if name.startswith("FeatureExtractor/MobilenetV2/e")}
    imported = pretrained.start_from(network, backbone)
    before = network.get_layer("FeatureExtractor.MobilenetV2.expanded_conv_5.project.BatchNorm").get_weights()
    batches = [photos(8, seed=2)]
    reestimate(network, batches, imported.fresh)
    extra = next(layer for layer in network.layers if layer.name.endswith("_2_Conv2d_2_3x3_s2_128.BatchNorm"))
    answer = keras.ops.convert_to_numpy(keras.Model(network.input, extra.output)(batches[0]))
    np.testing.assert_allclose(answer.mean((0, 1, 2)), 0, atol=0.05)
    gamma, beta, _, _ = extra.get_weights()
    assert (gamma == 1).all() and (beta == 0).all()
    after = network.get_layer("FeatureExtractor.MobilenetV2.expanded_conv_5.project.BatchNorm").get_weights()
    assert not np.allclose(before[3], after[3])


def test_no_pictures_change_nothing() -> None:
    network = trained()
    before = tf1_checkpoint.named_arrays(network)

    def none() -> Iterator[np.ndarray]:
        yield from ()

    reestimate(network, none())
    for name, array in tf1_checkpoint.named_arrays(network).items():
        np.testing.assert_array_equal(array, before[name])
