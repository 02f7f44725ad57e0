import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from trainbox.tasks.drive.config import DriveConfig
from trainbox.tasks.drive.datasets import read_datasets
from trainbox.tasks.drive.examples import DriveExamples
from trainbox.tasks.drive.pilots import KINDS, build
from trainbox.tasks.drive.start import start_well


def examples_of(pilot: str, write_tub, scratch: Path, augment: bool = False) -> DriveExamples:
    tub = write_tub("tub", np.linspace(-0.2, 0.6, 40).round(3).tolist())
    config = DriveConfig.parse({"pilot": pilot, "min_records": 20, "validation": "random", "augment": augment})
    return read_datasets(config, {"train": tub}, scratch).train


@pytest.mark.parametrize("pilot", KINDS)
def test_hidden_layers_answer_with_size_one_and_outputs_with_the_average(pilot: str, write_tub, tmp_path: Path) -> None:
    examples = examples_of(pilot, write_tub, tmp_path / "scratch")
    network = build(pilot)
    start_well(network, examples, seed=1)
    inputs, targets, _ = examples.batch(np.arange(len(examples)), None)
    fed = [inputs["image"].astype(np.float32) / 255, *([inputs["mem_in"]] if "mem_in" in inputs else [])]
    hidden = [layer for layer in network.layers if layer.weights and layer.name not in targets]
    for answers in keras.Model(network.inputs, [layer.output for layer in hidden])(fed):
        assert np.sqrt(np.mean(np.square(answers))) == pytest.approx(1, rel=0.01)
    answered = network(fed)
    answered = answered if isinstance(answered, list) else [answered]
    for name, answers in zip(network.output_names, answered, strict=True):
        assert np.asarray(answers).mean(axis=0) == pytest.approx(targets[name].mean(axis=0), abs=0.3)


def test_start_is_that_of_its_seed(write_tub, tmp_path: Path) -> None:
    examples = examples_of("linear", write_tub, tmp_path / "scratch")
    kernels = []
    for seed in (1, 1, 2):
        network = build("linear")
        start_well(network, examples, seed)
        kernels.append(network.get_layer("dense_1").get_weights()[0])
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).any()


def test_where_half_the_frames_are_mirrored_steering_starts_straight(write_tub, tmp_path: Path) -> None:
    biases = []
    for augment in (False, True):
        examples = examples_of("linear", write_tub, tmp_path / f"scratch-{augment}", augment)
        network = build("linear")
        start_well(network, examples, seed=1)
        biases.append(network.get_layer("n_outputs0").get_weights()[1][0])
        shutil.rmtree(tmp_path / "tub")
    assert biases == pytest.approx([float(examples.angle.mean()), 0.0], abs=1e-6)
