"""A tree as SageMaker lays it out, written file by file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from toy_job import ToyJob
from toy_task import register
from trainbox.container.contract.paths import Paths


class Tree:
    """A base folder whose configuration files a test writes as it likes."""

    def __init__(self, base: Path) -> None:
        self.paths = Paths(base)
        self.paths.config.mkdir(parents=True)
        self.paths.data.mkdir(parents=True)

    def write(self, name: str, content: Any) -> "Tree":
        """Write a configuration file: bytes and text as they are, anything else as JSON."""
        data = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content))
        (self.paths.config / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        return self

    def channel(self, name: str, files: Mapping[str, bytes] | None = None) -> Path:
        """Deliver a channel with these files."""
        folder = self.paths.data / name
        folder.mkdir()
        for file, content in ({"a.bin": b"a"} if files is None else files).items():
            (folder / file).write_bytes(content)
        return folder

    def channels(self, **described: Any) -> "Tree":
        """Write inputdataconfig.json."""
        return self.write("inputdataconfig.json", described)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An empty tree."""
    return Tree(tmp_path / "opt-ml")


@pytest.fixture(scope="session")
def toy_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PYTHONPATH on which the toy task is installed."""
    return register(tmp_path_factory.mktemp("installed") / "site")


@pytest.fixture
def toy_job(tmp_path: Path, toy_path: str) -> ToyJob:
    """A job of the toy task."""
    return ToyJob(tmp_path, toy_path)
