"""What a channel is on this machine: its files, their digests, and that of the whole, which is its place in S3."""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trainbox.data.files import FolderTree
from trainbox.data.problems import Problems
from trainbox.data.text import printable
from trainbox.errors import ChannelError

LONGEST_KEY = 1024
"""Bytes of an object's key."""

LONGEST_PLACE = 256
"""Bytes that are left of it for where the channel goes."""


@dataclass(frozen=True)
class InputFile:
    """A file of a channel: its name in it, where it lies, its bytes and the SHA-256 of its content."""

    name: str
    path: Path
    size: int
    sha256: bytes


@dataclass(frozen=True)
class Contents:
    """All files of a channel, by name; ``digest`` is the SHA-256, in hexadecimal, of their names and contents."""

    files: tuple[InputFile, ...]
    digest: str

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)


def read(channel: str, source: Path, say: Callable[[str], None]) -> Contents:
    """Read and digest all files of a channel, as training would find them: what it would skip is left out and said.

    Raises ChannelError where there is nothing, or a name that cannot be a key in S3; DataError where names differ only
    in case.
    """
    found = _found(channel, source, say)
    if not found:
        raise ChannelError(f"Channel '{channel}' is empty: {printable(str(source))} holds no file. Check the path.")
    for name, _ in found:
        _refuse_name(channel, name)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        files = tuple(pool.map(lambda pair: _digested(channel, *pair), found))
    return Contents(files, digest_of(files))


def digest_of(files: Iterable[InputFile]) -> str:
    """Return the digest of names and contents: the same for the same files, wherever they lie."""
    whole = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        whole.update(file.name.encode() + b"\x00" + file.sha256)
    return whole.hexdigest()


def _found(channel: str, source: Path, say: Callable[[str], None]) -> list[tuple[str, Path]]:
    if source.is_file():
        return [(source.name, source)]
    problems = Problems()
    tree = FolderTree(source, problems=problems)
    for sentence in problems.sentences():
        say(f"Channel '{channel}' is sent without what training would not read. {sentence}")
    return [(name, tree.root / name) for name in tree.names()]


def _refuse_name(channel: str, name: str) -> None:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        length = 0
    if not length or not name.isprintable():
        raise ChannelError(f"Channel '{channel}': the name {printable(name)} cannot be stored in S3. Rename the file.")
    if length > LONGEST_KEY - LONGEST_PLACE:
        raise ChannelError(f"Channel '{channel}': the name {printable(name)} is too long for S3. Rename the file.")


def _digested(channel: str, name: str, path: Path) -> InputFile:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            return InputFile(name, path, file.tell(), digest)
    except OSError as problem:
        said = f"Channel '{channel}': {printable(name)} cannot be read: {problem.strerror}."
        raise ChannelError(said) from problem
