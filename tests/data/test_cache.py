import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainbox.data.cache import build_cache
from trainbox.data.files import UnreadableFile
from trainbox.data.problems import Problems
from trainbox.errors import DataError

SIZE = (12, 16)


@dataclass(frozen=True)
class Picture:
    """An image file in memory; none at all where its content is None."""

    content: bytes | None
    name: str = "picture"

    def read(self) -> bytes:
        if self.content is None:
            raise UnreadableFile("file is missing")
        return self.content

    def __str__(self) -> str:
        return self.name


def png(value: int, size: tuple[int, int] = SIZE) -> bytes:
    target = io.BytesIO()
    Image.fromarray(np.full((*size, 3), value % 256, np.uint8)).save(target, "PNG")
    return target.getvalue()


def test_reads_what_was_decoded_in_any_order(tmp_path: Path):
    cache = build_cache([Picture(png(i)) for i in range(20)], SIZE, tmp_path, Problems())
    images = cache.read(np.array([7, 0, 19, 7]))
    assert images.shape == (4, *SIZE, 3)
    assert images.dtype == np.uint8
    assert images[:, 3, 5, 1].tolist() == [7, 0, 19, 7]
    images[:] = 0
    assert cache.read(np.array([7])).max() == 7


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's account of mapped memory")
def test_reading_everything_leaves_no_pages_mapped(tmp_path: Path):
    count, size = 400, (120, 160)
    cache = build_cache([Picture(png(3, size))] * count, size, tmp_path, Problems())
    for start in range(0, count, 50):
        cache.read(np.arange(start, start + 50))
    assert resident_kilobytes(cache.path) < 1000


def resident_kilobytes(path: Path) -> int:
    """Memory that this process counts for its map of a file."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith(str(path)))
    return next(int(line.split()[1]) for line in lines[at:] if line.startswith("Rss:"))


def test_skips_and_counts_what_cannot_be_read(tmp_path: Path):
    problems = Problems()
    pictures = [Picture(png(1)), Picture(b"", "empty"), Picture(None, "gone"), Picture(png(9, (24, 32)), "large")]
    cache = build_cache(pictures, SIZE, tmp_path, problems)
    assert cache.usable.tolist() == [True, False, False, True]
    assert problems.skips["image is empty"].examples == ["empty"]
    assert problems.skips["file is missing"].examples == ["gone"]
    assert problems.warnings["image resized"].examples == ["large"]
    assert cache.read(np.arange(4))[:, 0, 0, 0].tolist() == [1, 0, 0, 9]


def test_digests_are_equal_where_files_are(tmp_path: Path):
    cache = build_cache([Picture(png(1)), Picture(png(2)), Picture(png(1)), Picture(b"")], SIZE, tmp_path, Problems())
    first, second, third, none = cache.digests
    assert first == third != second
    assert none == b""


def test_processes_give_the_same_as_none(tmp_path: Path):
    pictures = [Picture(png(i) if i % 50 else b"x" * 40, str(i)) for i in range(1000)]
    here, there = Problems(), Problems()
    one = build_cache(pictures, SIZE, tmp_path / "one", here, workers=1)
    two = build_cache(pictures, SIZE, tmp_path / "two", there, workers=2)
    assert one.path.read_bytes() == two.path.read_bytes()
    assert (one.usable == two.usable).all()
    assert one.digests == two.digests
    assert here.as_dict() == there.as_dict()


def test_no_images_give_an_empty_cache(tmp_path: Path):
    cache = build_cache([], SIZE, tmp_path, Problems())
    assert cache.read(np.array([], np.int64)).shape == (0, *SIZE, 3)


def test_refuses_what_the_disk_cannot_hold(tmp_path: Path):
    class Endless(list):
        def __len__(self) -> int:
            return 1 << 40

    with pytest.raises(DataError, match="GB are free"):
        build_cache(Endless(), (480, 640), tmp_path, Problems())


SOURCE = """
    import os, time
    from pathlib import Path
    from trainbox.data.files import FileReference

    class Slow(FileReference):
        def read(self):
            Path({started!r}, str(os.getpid())).touch()
            time.sleep({seconds})
            return FileReference.read(self)
"""
PROGRAM = """
    import sys
    from pathlib import Path
    from reader import Slow
    from trainbox.data.cache import build_cache
    from trainbox.data.files import FolderTree
    from trainbox.data.problems import Problems

    if __name__ == "__main__":
        source, target = map(Path, sys.argv[1:])
        images = [Slow(FolderTree(source), "a.png")] * 1000
        cache = build_cache(images, (12, 16), target, Problems(), workers=2)
        print(int(cache.usable.sum()))
"""


@pytest.fixture
def program(tmp_path: Path):
    """Write a program that decodes in two processes, as a module that runs with ``python -m reader``."""
    (tmp_path / "source").mkdir()
    (tmp_path / "started").mkdir()
    (tmp_path / "source" / "a.png").write_bytes(png(3))

    running: list[subprocess.Popen] = []

    def write(seconds: float) -> subprocess.Popen:
        package = tmp_path / "reader"
        package.mkdir()
        source = textwrap.dedent(SOURCE).format(started=str(tmp_path / "started"), seconds=seconds)
        (package / "__init__.py").write_text(source)
        (package / "__main__.py").write_text(textwrap.dedent(PROGRAM))
        process = subprocess.Popen(
            [sys.executable, "-m", "reader", tmp_path / "source", tmp_path / "target"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield write
    for process in running:
        process.kill()
        process.communicate()


def test_works_under_python_dash_m_without_stdin(program):
    process = program(seconds=0)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    assert int(out) == 1000


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_workers_end_when_the_parent_is_killed(program, tmp_path: Path):
    process = program(seconds=0.2)
    wait_until(lambda: len(list((tmp_path / "started").iterdir())) == 2)
    process.kill()
    process.communicate(timeout=20)
    workers = [int(path.name) for path in (tmp_path / "started").iterdir()]
    assert process.pid not in workers
    wait_until(lambda: not any(map(alive, workers)))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan whose new parent has not collected it yet is no longer running.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(holds, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
