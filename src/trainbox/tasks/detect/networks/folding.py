"""Batch norm folded into the convolution before it, and back: kernels by names, as ``tf1_checkpoint`` gives them.

At inference batch norm multiplies each channel and adds to it, which the convolution can do by itself. A folded network
trains faster, has fewer arrays, and is what integer kernels compute.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import keras
import numpy as np

from trainbox.tasks.detect.networks import tf1_checkpoint
from trainbox.tasks.detect.networks.blocks import EPSILON, Blocks
from trainbox.tasks.detect.networks.ssd import SsdSpec, build

NORM = "/BatchNorm/"
EXTRA = re.compile(r"_[12]_Conv2d_\d")
MARKS = ("moving_mean", "moving_variance")
LIKE_IDENTITY = 0.002
"""How far folded statistics may be from 0 and 1: tools round them, and leave epsilon in or out of the variance."""


def fold(network: keras.Model, spec: SsdSpec) -> keras.Model:
    """Return a network of the same answers that has biases in place of batch norm; ``network`` stays as it is.

    ``spec`` is what ``network`` was built from; ``replace(spec, batch_norm=False)`` is what is returned.
    """
    folded = build(replace(spec, batch_norm=False), Blocks())
    tf1_checkpoint.assign(folded, fold_arrays(tf1_checkpoint.named_arrays(network)))
    return folded


def fold_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays with each batch norm in its convolution's kernel and bias."""
    folded = {name: array for name, array in arrays.items() if NORM not in name}
    for scope in scopes(arrays):
        kernel = _kernel(arrays, scope)
        if kernel is None:
            continue
        mean, variance = (np.asarray(arrays[f"{scope}{NORM}{mark}"], np.float64) for mark in MARKS)
        factor = _or(arrays, f"{scope}{NORM}gamma", np.ones_like(mean)) / np.sqrt(variance + EPSILON)
        shift = _or(arrays, f"{scope}{NORM}beta", np.zeros_like(mean))
        before = _or(arrays, f"{scope}/biases", np.zeros_like(mean))
        shape = (len(factor), 1) if kernel.endswith("depthwise_weights") else (len(factor),)
        folded[kernel] = (arrays[kernel] * factor.reshape(shape)).astype(np.float32)
        folded[f"{scope}/biases"] = ((before - mean) * factor + shift).astype(np.float32)
    return folded


def unfold_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays with a batch norm that changes nothing but adds the bias, where a convolution has a bias.

    The predictors have a bias of their own and no batch norm behind it.
    """
    unfolded = dict(arrays)
    for name, bias in arrays.items():
        scope, _, last = name.rpartition("/")
        if last != "biases" or scope.endswith("Predictor") or f"{scope}{NORM}{MARKS[0]}" in arrays:
            continue
        del unfolded[name]
        ones = np.ones_like(bias)
        norm = {"gamma": ones, "beta": bias, "moving_mean": 0 * ones, "moving_variance": ones * (1 - EPSILON)}
        unfolded |= {f"{scope}{NORM}{mark}": array for mark, array in norm.items()}
    return unfolded


def scopes(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return the convolutions that a batch norm follows."""
    return [name.removesuffix(f"{NORM}{MARKS[1]}") for name in arrays if name.endswith(f"{NORM}{MARKS[1]}")]


def is_folded(arrays: Mapping[str, np.ndarray]) -> bool:
    """Tell whether the backbone's batch norms do nothing: someone folded them into the kernels before."""
    norms = [scope for scope in scopes(arrays) if "Mobilenet" in scope and not EXTRA.search(scope)]
    return bool(norms) and all(_is_identity(arrays, scope) for scope in norms)


def _is_identity(arrays: Mapping[str, np.ndarray], scope: str) -> bool:
    wanted = {"moving_mean": 0.0, "moving_variance": 1.0, "gamma": 1.0}
    return all(
        np.allclose(_or(arrays, f"{scope}{NORM}{mark}", np.array(value)), value, rtol=0, atol=LIKE_IDENTITY)
        for mark, value in wanted.items()
    )


def _kernel(arrays: Mapping[str, np.ndarray], scope: str) -> str | None:
    names = (f"{scope}/depthwise_weights", f"{scope}/weights")
    return next((name for name in names if name in arrays), None)


def _or(arrays: Mapping[str, np.ndarray], name: str, default: np.ndarray) -> np.ndarray:
    return np.asarray(arrays.get(name, default), np.float64)
