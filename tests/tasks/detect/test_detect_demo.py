"""The synthetic data set: the same in every format, and the same every time."""

import pytest

from trainbox.errors import UsageError
from trainbox.tasks.detect.demo import write_demo
from trainbox.tasks.detect.demo.scenes import Painter
from trainbox.tasks.detect.demo.writers import WRITERS

IMAGES = 12


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    for data_format in WRITERS:
        write_demo(folder / data_format, 5, IMAGES, data_format)
    return folder


@pytest.mark.parametrize("data_format", WRITERS)
def test_every_format_holds_the_same(demos, read, skips, warnings, data_format):
    reference, data = read(demos / "coco"), read(demos / data_format)
    assert data.labels == ("disc", "square", "star", "triangle") and skips() == {}
    assert set(warnings()) <= {"class has no box"}
    expected = {image.file_name: image for image in reference.images}
    assert len(data.images) == len(expected) == IMAGES
    for image in data.images:
        same = expected[image.file_name]
        assert image.digest == same.digest and image.split == same.split and (image.classes == same.classes).all()
        # YOLO has six decimals.
        assert abs(image.boxes_yxyx - same.boxes_yxyx).max(initial=0) < 2e-6
    assert {image.split for image in data.images} == {"train", "validation", "test"}


def test_the_same_seed_writes_the_same_bytes(demos, tmp_path):
    write_demo(tmp_path / "again", 5, IMAGES, "voc")
    written = sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.*"))
    assert written == sorted(path.relative_to(demos / "voc") for path in (demos / "voc").rglob("*.*"))
    assert all((tmp_path / "again" / name).read_bytes() == (demos / "voc" / name).read_bytes() for name in written)
    write_demo(tmp_path / "other", 6, IMAGES, "voc")
    other = tmp_path / "other/JPEGImages/shapes-0000.jpg"
    assert other.read_bytes() != (demos / "voc/JPEGImages/shapes-0000.jpg").read_bytes()


def test_there_is_background_and_every_shape():
    painter = Painter(0)
    scenes = [painter.draw(number) for number in range(40)]
    names = [name for scene in scenes for name in scene.names]
    assert set(names) == {"disc", "square", "star", "triangle"}
    assert any(not scene.names for scene in scenes)
    for scene in scenes:
        sides = scene.boxes_yxyx[:, 2:] - scene.boxes_yxyx[:, :2]
        assert (
            (sides >= 10).all() and (scene.boxes_yxyx >= 0).all() and (scene.boxes_yxyx <= [240, 320, 240, 320]).all()
        )


def test_a_demo_is_left_as_it_is_and_other_files_too(demos, make, tmp_path):
    before = (demos / "voc/JPEGImages/shapes-0000.jpg").stat().st_mtime_ns
    assert "already holds" in write_demo(demos / "voc", 5, IMAGES, "voc")
    assert (demos / "voc/JPEGImages/shapes-0000.jpg").stat().st_mtime_ns == before
    make.put(tmp_path / "mine.txt", "mine")
    with pytest.raises(UsageError, match="empty or new folder"):
        write_demo(tmp_path, 5, IMAGES, "voc")


@pytest.mark.parametrize(("images", "data_format"), [(9, "voc"), (100, "tub")])
def test_a_demo_that_cannot_be_is_refused(tmp_path, images, data_format):
    with pytest.raises(UsageError, match="10 images or more, in one of the formats voc, coco, yolo, tfrecord"):
        write_demo(tmp_path / "demo", 0, images, data_format)


@pytest.mark.parametrize("data_format", WRITERS)
def test_scars_are_skipped_or_said(tmp_path, read, skips, warnings, data_format):
    """The torn picture has its header, so that only decoding it tells: check and training do."""
    assert "with scars: a picture of no bytes" in write_demo(tmp_path / "demo", 5, IMAGES, data_format, scars=True)
    data = read(tmp_path / "demo")
    # TFRecords are written from pictures that can be decoded; fractions beyond 1 mean something else than pixels do.
    records, fractions = data_format == "tfrecord", data_format in ("tfrecord", "yolo")
    assert skips() == {
        **({} if records else {"image is empty": 1}),
        "box has no area": 1,
        **({"box lies beyond the image": 1} if fractions else {}),
    }
    assert warnings().get("box reaches beyond the image and is clipped", 0) == (0 if fractions else 1)
    assert len(data.images) == IMAGES - (2 if records else 1)
