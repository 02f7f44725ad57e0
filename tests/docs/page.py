"""The fenced blocks of a page, and a place to run them in: the page is the only source of what is run."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SECONDS = 900


@dataclass(frozen=True)
class Block:
    """A fenced block: what it is written in, and its text."""

    language: str
    text: str


def blocks(page: str) -> dict[str, Block]:
    """Return the blocks of a page by name; each has one, and no two have the same."""
    found: dict[str, Block] = {}
    for language, name, text in _FENCE.findall(page):
        assert name and name not in found, f"this block has no name of its own: {text[:60]!r}"
        found[name] = Block(language, text)
    return found


@dataclass(frozen=True)
class Place:
    """A folder in which blocks are run, with ``words`` of this machine in the place of those of the page."""

    folder: Path
    blocks: Mapping[str, Block]
    words: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def saying(self, **words: str) -> "Place":
        """Return the same place with more words: ``saying(**{"the page's": "this machine's"})``."""
        return replace(self, words={**self.words, **words})

    @property
    def variables(self) -> dict[str, str]:
        """The environment of what is run."""
        return {**os.environ, **self.environment}

    def text(self, name: str) -> str:
        """Return a block with this machine's words."""
        if not self.words:
            return self.blocks[name].text
        longest_first = sorted(self.words, key=len, reverse=True)
        pattern = "|".join(map(re.escape, longest_first))
        return re.sub(pattern, lambda found: self.words[found[0]], self.blocks[name].text)

    def write(self, name: str) -> Path:
        """Write a block that is a file into the folder."""
        path = self.folder / name
        path.write_text(self.text(name))
        return path

    def run(self, name: str, folder: Path | None = None) -> str:
        """Run a block of commands, each of which must succeed; return what they print."""
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", self.text(name)],
            cwd=folder or self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stdout[-1500:]}\n{done.stderr[-3000:]}"
        return done.stdout

    @contextlib.contextmanager
    def started(self, name: str) -> Iterator["subprocess.Popen[str]"]:
        """Hold what a block of one command starts; it is over afterwards."""
        with held(self.text(name), self.folder, self.variables) as process:
            yield process


@contextlib.contextmanager
def held(command: str, folder: Path, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Hold what one command starts; it is over afterwards. What it says goes into ``said.txt``."""
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(40)
        process.kill()
        process.wait()
