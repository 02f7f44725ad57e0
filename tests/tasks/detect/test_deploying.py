from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tasks.detect.test_completion import PIPELINE
from trainbox.export.bundle import write_bundle
from trainbox.export.elsewhere import write_and_prove
from trainbox.tasks.detect.completion import completed
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.datasets import DetectDatasets, read_datasets
from trainbox.tasks.detect.deploying import deployables, deployed, ending_of, sizes_of_manifest, spec_of
from trainbox.tasks.detect.networks import ssd
from trainbox.tasks.detect.scoring import QUANTIZED_FILE, answer_all, open_files

NARROW = PIPELINE.replace('type: "ssd_mobilenet_v2"', 'type: "ssd_mobilenet_v2" depth_multiplier: 0.25')


@pytest.fixture
def read(make: SimpleNamespace, tmp_path: Path) -> tuple[DetectConfig, DetectDatasets]:
    folder = make.voc(tmp_path / "data", 12)
    make.put(folder / "pipeline.config", NARROW)
    (tmp_path / "scratch").mkdir()
    config = DetectConfig.parse({"quantize": True, "image_size": 96})
    datasets = read_datasets(config, {"testing": folder}, tmp_path / "scratch")
    return completed(config, datasets, print), datasets


@pytest.mark.slow
def test_the_quantized_file_sees_pictures_of_image_size(
    read: tuple[DetectConfig, DetectDatasets], tmp_path: Path
) -> None:
    config, datasets = read
    spec = spec_of(config, datasets)
    network = deployed(ssd.build(spec))
    [quantized] = [one for one in deployables(config, datasets, network) if one.file == QUANTIZED_FILE]
    bundle = write_bundle(network, [quantized], {"labels": ["cat"]}, tmp_path / "model")
    assert sizes_of_manifest(bundle.manifest) == {QUANTIZED_FILE: (96, 96)}
    models = open_files({QUANTIZED_FILE: bundle.file(QUANTIZED_FILE)}, None, trusted=True)
    ending = ending_of(config, spec, datasets.labels)
    found = answer_all(models, datasets.validation, ending, sizes_of_manifest(bundle.manifest))
    assert len(found[QUANTIZED_FILE]) == len(datasets.validation)
    # A training whose Keras does not run on TensorFlow hands its networks to another process.
    (tmp_path / "again").mkdir()
    models_again: Mapping[str, Any] = write_and_prove(network, [quantized], tmp_path / "again")
    assert models_again[QUANTIZED_FILE]["inputs"]["image"] == [None, 96, 96, 3]
    assert (tmp_path / "again" / QUANTIZED_FILE).read_bytes() == bundle.file(QUANTIZED_FILE).read_bytes()


def test_training_pictures_keep_the_size_of_the_pipeline_config(read: tuple[DetectConfig, DetectDatasets]) -> None:
    config, datasets = read
    assert datasets.validation.network_inputs(np.array([0]))["image"].shape == (1, 128, 160, 3)
    assert spec_of(config, datasets).size == (128, 160)
