import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from trainbox.data.files import FileReference, FolderTree
from trainbox.data.survey import survey_images
from trainbox.data.workers import FEW_IMAGES, available_processors, in_processes
from trainbox.errors import DataError


@pytest.fixture
def images(tmp_path: Path, encoded: Callable[..., bytes]) -> Sequence[FileReference]:
    contents = [encoded("JPEG"), b"", encoded("PNG", "RGBA"), b"<html>", encoded("GIF")]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    tree = FolderTree(tmp_path)
    return [FileReference(tree, f"{number}.jpg") for number in range(len(contents))] + [FileReference(tree, "gone.jpg")]


def test_says_what_each_image_is_like(images):
    survey = survey_images(images)
    assert survey.readable.tolist() == [True, False, True, False, True, False]
    assert dict(survey.sizes) == {(24, 32): 3}
    assert survey.unreadable == [
        (1, "image is empty"),
        (3, "image is an HTML or XML page"),
        (5, "file cannot be opened"),
    ]
    assert survey.odd == [(2, "transparency laid over white")]


def test_processes_say_the_same(images):
    many = list(images) * (FEW_IMAGES // len(images) + 20)
    one, two = survey_images(many, workers=1), survey_images(many, workers=2)
    assert (one.readable == two.readable).all()
    assert (one.sizes, one.unreadable, one.odd) == (two.sizes, two.unreadable, two.odd)


def test_no_images_are_no_problem():
    assert survey_images([]).readable.shape == (0,)


@dataclass
class Pids:
    """Work that tells which process did it, and that dies at one chunk."""

    deadly: int = -1

    def __call__(self, chunk: range) -> list[int]:
        if chunk.start == self.deadly:
            os._exit(9)
        return [os.getpid()] * len(chunk)


CHUNKS = [range(start, start + 100) for start in range(0, FEW_IMAGES + 400, 100)]


def test_much_work_is_done_in_other_processes():
    pids = {pid for part in in_processes(Pids(), CHUNKS, workers=2) for pid in part}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2
    # None of them is left behind.
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_little_work_is_done_here():
    assert {pid for part in in_processes(Pids(), CHUNKS[:2], workers=2) for pid in part} == {os.getpid()}
    assert {pid for part in in_processes(Pids(), CHUNKS, workers=1) for pid in part} == {os.getpid()}


def test_a_killed_process_is_an_error_and_no_hang():
    with pytest.raises(DataError, match="A process that decodes images was killed"):
        list(in_processes(Pids(deadly=300), CHUNKS, workers=2))


def test_there_is_always_a_processor():
    assert available_processors() >= 1
