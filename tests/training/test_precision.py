from pathlib import Path

import keras
import numpy as np
import pytest
from small import StopAfter, config, recipe

from trainbox.training.device import Device
from trainbox.training.fit import fit
from trainbox.training.precision import has_native_bfloat16, policy_for


@pytest.mark.parametrize(
    ("flags", "native"),
    [("fpu avx512f avx512_bf16", True), ("fpu amx_bf16 amx_tile", True), ("fpu avx2 avx512f avx512_vnni", False)],
)
def test_native_where_the_processor_says_so(flags: str, native: bool, tmp_path: Path):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: bf16\nflags\t\t: {flags}\n")
    assert has_native_bfloat16("cpu", tmp_path / "cpuinfo") is native


def test_native_on_a_gpu_and_not_where_nothing_is_known(tmp_path: Path):
    assert has_native_bfloat16("gpu", tmp_path / "missing")
    assert not has_native_bfloat16("cpu", tmp_path / "missing")


def test_auto_takes_bfloat16_only_where_it_is_native():
    assert policy_for("auto", native=True)[0] == "mixed_bfloat16"
    assert policy_for("auto", native=False)[0] == "float32"
    assert policy_for("float32", native=True)[0] == "float32"
    policy, reason = policy_for("bfloat16", native=False)
    assert policy == "mixed_bfloat16"
    assert "slower" in reason


def test_bfloat16_loses_nothing_on_validation():
    losses = {}
    for policy in ("float32", "mixed_bfloat16"):
        with Device("cpu", "tensorflow", "", policy).arithmetic():
            made = recipe(train=256, validation=128)
        assert keras.config.dtype_policy().name == "float32"
        assert made.model.layers[1].compute_dtype == policy.removeprefix("mixed_")
        history = fit(made, config(epochs=8), checkpoints=None, logs=None, stop=StopAfter(), say=lambda line: None)
        losses[policy] = min(epoch["val_loss"] for epoch in history.epochs)
        assert {str(weight.dtype) for weight in made.model.weights} == {"float32"}
    guess = float(np.var(recipe(train=16, validation=128).validation.targets))
    assert losses["float32"] < 0.5 * guess
    assert losses["mixed_bfloat16"] < 1.15 * losses["float32"] + 0.02 * guess
