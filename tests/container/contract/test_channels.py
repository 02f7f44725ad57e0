import os
import socket
from pathlib import Path
from typing import Any

import pytest

from trainbox.container.contract import channels
from trainbox.errors import ChannelError

FILE = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}


def refusal(tree) -> str:
    with pytest.raises(ChannelError) as caught:
        channels.read(tree.paths)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_channels_come_from_the_configuration_not_from_a_listing(tree) -> None:
    train = tree.channel("train")
    tree.channel("other")
    (tree.paths.data / "training-manifest").write_text("seen beside a channel")
    tree.channels(train={**FILE, "ContentType": "application/zip", "SomethingNew": 1})
    assert channels.read(tree.paths) == {"train": train}


@pytest.mark.parametrize(
    "description", [{}, {"TrainingInputMode": "FastFile"}, {"TrainingInputMode": None, "RecordWrapperType": None}]
)
def test_modes_that_give_files_are_read(tree, description: dict[str, Any]) -> None:
    train = tree.channel("train")
    tree.channels(train=description)
    assert channels.read(tree.paths) == {"train": train}


def test_channels_are_sorted(tree) -> None:
    for name in ("b", "a", "c"):
        tree.channel(name)
    tree.channels(b=FILE, a=FILE, c=FILE)
    assert list(channels.read(tree.paths)) == ["a", "b", "c"]


def test_a_linked_folder_is_resolved(tree, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.jpg").write_bytes(b"a")
    (tree.paths.data / "train").symlink_to(tmp_path / "mine")
    tree.channels(train=FILE)
    assert channels.read(tree.paths) == {"train": tmp_path / "mine"}


def test_a_single_linked_file_is_the_channel(tree, tmp_path: Path) -> None:
    (tmp_path / "tub.zip").write_bytes(b"PK")
    tree.channel("train", {})
    (tree.paths.data / "train/tub.zip").symlink_to(tmp_path / "tub.zip")
    tree.channels(train=FILE)
    assert channels.read(tree.paths) == {"train": tmp_path / "tub.zip"}


def test_a_users_own_link_is_not_followed_here(tree, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/link").symlink_to(tmp_path / "secret")
    (tree.paths.data / "train").symlink_to(tmp_path / "mine")
    tree.channels(train=FILE)
    assert channels.read(tree.paths) == {"train": tmp_path / "mine"}


def test_missing_channel_names_those_received(tree) -> None:
    tree.channel("test")
    tree.channels(train=FILE)
    assert refusal(tree).startswith("Channel 'train' is missing below ")
    assert refusal(tree).endswith("Received: 'test'.")


@pytest.mark.parametrize("written", [None, {}])
def test_no_channels_at_all(tree, written: dict | None) -> None:
    if written is not None:
        tree.write("inputdataconfig.json", written)
    assert refusal(tree).startswith("No channels: inputdataconfig.json is ")


def test_empty_channel(tree) -> None:
    tree.channel("train", {})
    (tree.paths.data / "train/deep/er").mkdir(parents=True)
    tree.channels(train=FILE)
    assert refusal(tree).startswith("Channel 'train' is empty")


def test_pipe_mode(tree) -> None:
    os.mkfifo(tree.paths.data / "train_0")
    tree.channels(train={**FILE, "TrainingInputMode": "Pipe"})
    assert refusal(tree) == "Channel 'train' is in Pipe mode, which is not read. Use File or FastFile."


def test_record_wrapper(tree) -> None:
    tree.channel("train")
    tree.channels(train={**FILE, "RecordWrapperType": "RecordIO"})
    assert "wrapped in RecordIO" in refusal(tree)


def test_channel_that_is_a_fifo_is_refused_without_waiting(tree) -> None:
    os.mkfifo(tree.paths.data / "train")
    tree.channels(train=FILE)
    assert "is a FIFO, not a folder" in refusal(tree)


def test_channel_that_holds_only_a_fifo_is_empty(tree) -> None:
    os.mkfifo(tree.channel("train", {}) / "pipe")
    tree.channels(train=FILE)
    assert "is empty" in refusal(tree)


def test_channel_that_is_a_socket(tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.paths.data)  # The names of sockets are short.
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("train")
        tree.channels(train=FILE)
        assert "is a socket, not a folder" in refusal(tree)


def test_channel_that_is_a_file(tree) -> None:
    (tree.paths.data / "train").write_bytes(b"a")
    tree.channels(train=FILE)
    assert "is a file, not a folder" in refusal(tree)


def test_channel_that_is_a_device(tree) -> None:
    (tree.paths.data / "train").symlink_to("/dev/null")
    tree.channels(train=FILE)
    assert "is a device, not a folder" in refusal(tree)


def test_link_loop(tree) -> None:
    (tree.paths.data / "train").symlink_to(tree.paths.data / "train")
    tree.channels(train=FILE)
    assert "'train' cannot be read" in refusal(tree)


def test_dangling_link_is_missing(tree) -> None:
    (tree.paths.data / "train").symlink_to(tree.paths.data / "nowhere")
    tree.channels(train=FILE)
    assert "'train' is missing" in refusal(tree)


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../train", "", "x" * 65, "tr\nain", "café"])
def test_names_that_lead_elsewhere(tree, name: str) -> None:
    tree.channels(**{name: FILE})
    assert "is not allowed" in refusal(tree)


def test_names_that_differ_only_in_case(tree) -> None:
    tree.channels(train=FILE, Train=FILE)
    assert "differ only in case" in refusal(tree)


@pytest.mark.parametrize("description", ["File", ["File"], None])
def test_description_that_is_no_object(tree, description: Any) -> None:
    tree.channel("train")
    tree.channels(train=description)
    assert "must be described by a JSON object" in refusal(tree)


def test_duplicate_channel(tree) -> None:
    tree.write("inputdataconfig.json", '{"train": {}, "train": {}}')
    assert "'train' occurs twice" in refusal(tree)


def test_a_read_only_channel_is_read(tree) -> None:
    train = tree.channel("train")
    train.chmod(0o500)
    tree.channels(train=FILE)
    assert channels.read(tree.paths) == {"train": train}


def test_names_that_are_not_utf8_are_no_hindrance(tree) -> None:
    train = tree.channel("train", {})
    Path(os.fsdecode(os.fsencode(train) + b"/\xff.jpg")).write_bytes(b"a")
    tree.channels(train=FILE)
    assert channels.read(tree.paths) == {"train": train}
