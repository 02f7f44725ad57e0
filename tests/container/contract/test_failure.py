import os
from pathlib import Path

from trainbox.container.contract import failure
from trainbox.errors import ChannelError


def test_our_errors_are_their_message() -> None:
    assert failure.one_line(ChannelError("Channel 'train' is missing.")) == "Channel 'train' is missing."


def test_other_errors_say_their_kind_and_are_never_empty() -> None:
    assert failure.one_line(OSError(28, "No space left on device")) == "OSError: [Errno 28] No space left on device"
    assert failure.one_line(ValueError()) == "ValueError"
    assert failure.one_line(MemoryError()).startswith("Memory ran out.")


def test_it_is_one_printable_line() -> None:
    name = os.fsdecode(b"caf\xff.jpg")
    assert failure.one_line(ChannelError(f"a\nb\r\n\tc \x1b[31m {name}")) == "a b c [31m caf\\udcff.jpg"


def test_it_is_cut_to_what_sagemaker_shows() -> None:
    line = failure.one_line(ChannelError("cause first " + "x" * 5000))
    assert len(line) == 1024
    assert line.startswith("cause first x")


def test_file_is_written_read_and_cleared(tmp_path: Path) -> None:
    path = tmp_path / "output/failure"
    assert failure.read(path) is None
    failure.write(path, "the cause")
    assert path.read_text() == "the cause"
    assert failure.read(path) == "the cause"
    failure.clear(path)
    assert not path.exists()
    failure.clear(path)


def test_a_folder_that_cannot_be_written_hides_no_cause(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file where a folder should be")
    failure.write(tmp_path / "output/failure", "the cause")
    failure.clear(tmp_path / "output/failure")
    assert failure.read(tmp_path / "output/failure") is None
