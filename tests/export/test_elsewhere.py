from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.conftest import FILES, deployables, small_inputs
from trainbox.errors import ExportError, ProofError
from trainbox.export import elsewhere
from trainbox.export.bundle import Bundle, Deployable
from trainbox.export.keras_native import float32_copy


def test_the_other_process_writes_and_proves_the_same(network: Any, bundle: Bundle, tmp_path: Path) -> None:
    inputs, made = small_inputs(), bundle.file("model_quantized.tflite").read_bytes()
    rows = [{name: array[i] for name, array in inputs.items()} for i in range(4)]
    wanted = [
        *deployables("model.h5", "model.tflite"),
        Deployable("model_quantized.tflite", "tflite_int8", inputs, None, iter(rows)),
        Deployable("made.tflite", "tflite_int8", inputs, None, content=made),
    ]
    models = elsewhere.write_and_prove(float32_copy(network), wanted, tmp_path)
    assert list(models) == ["model.h5", "model.tflite", "model_quantized.tflite", "made.tflite"]
    assert {path.name for path in tmp_path.iterdir()} == set(models) < {*FILES, "made.tflite"}
    assert (tmp_path / "made.tflite").read_bytes() == made
    assert models["made.tflite"]["proof"]["examples"] == 6
    assert models["model.tflite"]["proof"]["largest_difference"] < 1e-5
    assert models["model.tflite"]["proof"]["examples"] == 6


def test_its_refusals_are_raised_here(network: Any, tmp_path: Path) -> None:
    [deployable] = deployables("model.h5")
    strict = Deployable(deployable.file, deployable.kind, deployable.inputs, -1.0)
    with pytest.raises(ProofError, match=r"model.h5 answers up to 0 away"):
        elsewhere.write_and_prove(float32_copy(network), [strict], tmp_path)


@pytest.mark.slow
def test_its_failures_are_errors_here(network: Any, tmp_path: Path) -> None:
    no_folder = tmp_path / "none"
    with pytest.raises(ExportError, match="No such file or directory"):
        elsewhere.write_and_prove(float32_copy(network), deployables("model.h5"), no_folder)
    broken = Deployable("model.h5", "h5", {"img_in": np.zeros((1, 2))}, 1.0)
    with pytest.raises(ProofError, match=r"model.h5 does not load or run"):
        elsewhere.write_and_prove(float32_copy(network), [broken], tmp_path)
