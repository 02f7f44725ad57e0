from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trainbox.data.problems import Problems
from trainbox.errors import ChannelError, DataError
from trainbox.tasks.detect.anchors import AnchorSpec, anchors_cyxhw
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.datasets import DetectDatasets, read_datasets, read_examples, sources_of
from trainbox.tasks.detect.targets import TargetAssigner


def read(tmp_path: Path, channels: dict[str, Path], **values: object) -> DetectDatasets:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return read_datasets(DetectConfig.parse({"image_size": 96, **values}), channels, scratch)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("testing",), {"testing": ""}),
        (("train",), {"train": ""}),
        (("train", "validation"), {"train": "train", "validation": "validation"}),
        (("training", "testing"), {"training": "train", "testing": "test"}),
        (("train", "checkpoint"), {"train": ""}),
        (("testing", "validation"), {"testing": "train", "validation": "validation"}),
    ],
)
def test_a_channel_says_its_split(names: tuple[str, ...], splits: dict[str, str]) -> None:
    sources = sources_of({name: Path(name) for name in names})
    assert {source.path.name: source.split for source in sources} == splits


@pytest.mark.parametrize("names", [("checkpoint",), ("validation",), ("test", "checkpoint")])
def test_nothing_to_train_on_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ChannelError, match="Channel 'train' is missing"):
        sources_of({name: Path(name) for name in names})


def test_channels_become_train_and_validation(make: SimpleNamespace, tmp_path: Path) -> None:
    held_back = tmp_path / "b"
    for number in range(100, 103):
        make.put(held_back / f"JPEGImages/{number}.jpg", make.picture(number))
        make.put(held_back / f"Annotations/{number}.xml", make.voc_xml(f"{number}.jpg", make.voc_object()))
    datasets = read(tmp_path, {"train": make.voc(tmp_path / "a", 6), "validation": held_back})
    assert (len(datasets.train), len(datasets.validation)) == (6, 3)
    assert datasets.labels == ("cat",)
    assert datasets.facts["splits"] == {"train": 6, "validation": 3, "test": 0}


def test_the_fingerprint_changes_with_the_checkpoint(make: SimpleNamespace, tmp_path: Path) -> None:
    data = make.voc(tmp_path / "a", 6)
    first = make.put(tmp_path / "one/model.ckpt.index", "1").parent
    other = make.put(tmp_path / "two/model.ckpt.index", "2").parent
    prints = []
    for number, folder in enumerate((first, first, other)):
        (tmp_path / str(number)).mkdir()
        prints.append(read(tmp_path / str(number), {"train": data, "checkpoint": folder}).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_an_empty_checkpoint_channel_is_refused(make: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    datasets = read(tmp_path, {"train": make.voc(tmp_path / "a", 6), "checkpoint": tmp_path / "empty"})
    with pytest.raises(DataError, match="holds no checkpoint"):
        _ = datasets.start


def test_a_batch_follows_from_its_indices_and_generator(make: SimpleNamespace, tmp_path: Path) -> None:
    datasets = read(tmp_path, {"train": make.voc(tmp_path / "a", 8)})
    anchors = anchors_cyxhw(AnchorSpec(), [(6, 6), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1)])
    train = replace(datasets.train, assign=TargetAssigner(anchors, 1))
    indices = np.arange(4)
    first, second = (train.batch(indices, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first[0]["image"], second[0]["image"])
    np.testing.assert_array_equal(first[1]["logits"], second[1]["logits"])
    assert first[0]["image"].shape == (4, 96, 96, 3)
    assert first[1]["encodings"].shape == (4, len(anchors), 5)
    plain = train.batch(indices, None)
    assert (plain[1]["logits"][..., 1:].sum(axis=(1, 2)) > 0).all(), "every box has an anchor"
    assert (plain[0]["image"] != first[0]["image"]).any()


def test_scored_pictures_have_the_classes_of_the_model(make: SimpleNamespace, tmp_path: Path) -> None:
    data = make.voc(tmp_path / "a", 4)
    (tmp_path / "s").mkdir()
    config = DetectConfig.parse({"image_size": 96})
    examples = read_examples(config, ["dog", "cat"], (96, 96), [data], tmp_path / "s", Problems())
    assert {int(label) for truth in examples.truths() for label in truth.classes} == {1}
    with pytest.raises(DataError, match="classes that the model does not know: cat"):
        read_examples(config, ["dog"], (96, 96), [data], tmp_path / "s", Problems())
