"""Small tubs of both versions, written as donkeycar writes them, for tests to spoil."""

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trainbox.data.problems import Problems
from trainbox.tasks.drive.tubs import Tub, read_tubs

Values = Mapping[str, Any]


def picture(number: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (16, 12), (number % 256, 50, 100)).save(content, "JPEG")
    return content.getvalue()


def v1_values(number: int) -> dict[str, Any]:
    return {
        "user/angle": round(number % 7 / 10 - 0.3, 3),
        "user/throttle": 0.3,
        "user/mode": "user",
        "cam/image_array": f"{number}_cam-image_array_.jpg",
        "timestamp": None,
    }


def v2_values(number: int) -> dict[str, Any]:
    return {
        "_index": number,
        "_session_id": "24-01-25_0",
        "_timestamp_ms": 1_706_111_016_186 + 50 * number,
        "cam/image_array": f"{number}_cam_image_array_.jpg",
        "user/angle": round(number % 7 / 10 - 0.3, 3),
        "user/mode": "user",
        "user/throttle": 0.3,
    }


@pytest.fixture
def v1(tmp_path: Path) -> Callable[..., Path]:
    """Write a tub v1: ``v1(range(5))``."""

    def write(numbers: Iterable[int] = range(5), folder: str = "tub", **changes: Any) -> Path:
        root = tmp_path / folder
        root.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            (root / f"record_{number}.json").write_text(json.dumps({**v1_values(number), **changes}))
            (root / f"{number}_cam-image_array_.jpg").write_bytes(picture(number))
        (root / "meta.json").write_text('{"inputs": ["cam/image_array"], "types": ["image_array"]}')
        return root

    return write


@pytest.fixture
def v2(tmp_path: Path) -> Callable[..., Path]:
    """Write a tub v2 of the given values a record, ``per_catalog`` records a catalog."""

    def write(
        records: Sequence[Values] | int = 10,
        deleted: Sequence[Any] = (),
        folder: str = "tub",
        per_catalog: int = 4,
    ) -> Path:
        values = [v2_values(number) for number in range(records)] if isinstance(records, int) else records
        root = tmp_path / folder
        (root / "images").mkdir(parents=True)
        names = []
        for number, start in enumerate(range(0, len(values), per_catalog)):
            lines = [json.dumps(record) + "\n" for record in values[start : start + per_catalog]]
            names.append(f"catalog_{number}.catalog")
            (root / names[-1]).write_text("".join(lines))
            lengths = {"line_lengths": [len(line) for line in lines], "start_index": start}
            (root / f"{names[-1]}_manifest").write_text(json.dumps(lengths))
        for record in values:
            if "cam/image_array" in record:
                (root / "images" / record["cam/image_array"]).write_bytes(picture(record["_index"]))
        write_manifest(root, names, deleted, len(values))
        return root

    return write


def write_manifest(root: Path, names: Sequence[str], deleted: Sequence[Any], current: int) -> None:
    keys = ["cam/image_array", "user/angle", "user/throttle", "user/mode"]
    catalogs = {"paths": list(names), "current_index": current, "max_len": 4, "deleted_indexes": list(deleted)}
    lines = [keys, ["image_array", "float", "float", "str"], {}, {"created_at": 1.0}, catalogs]
    (root / "manifest.json").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def rewrite_manifest() -> Callable[..., None]:
    """Write a manifest over the one there is."""
    return write_manifest


@pytest.fixture
def zip_folder() -> Callable[..., Path]:
    """Zip a folder beside itself, its content under ``prefix``."""

    def write(folder: Path, name: str, prefix: str = "") -> Path:
        path = folder.parent / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    archive.write(file, prefix + str(file.relative_to(folder)))
        return path

    return write


class Reading:
    """What reading gave: tubs, and the counts of what was left out or odd."""

    def __init__(self, *paths: Path) -> None:
        self.problems = Problems()
        self.tubs: list[Tub] = read_tubs(paths, self.problems)
        self.records = [record for tub in self.tubs for record in tub.records]
        self.skips = {reason: tally.count for reason, tally in self.problems.skips.items()}
        self.warnings = {reason: tally.count for reason, tally in self.problems.warnings.items()}

    @property
    def indices(self) -> list[int]:
        return [record.index for record in self.records]

    @property
    def accounted(self) -> bool:
        """Whether every record is either usable or left out with a reason."""
        return sum(tub.found for tub in self.tubs) == len(self.records) + self.problems.skipped


@pytest.fixture
def read() -> Callable[..., Reading]:
    """Read tubs: ``read(path, ...)``."""
    return Reading


@pytest.fixture
def values_of() -> Callable[[int], dict[str, Any]]:
    """Return the values of one tub v2 record, to be changed."""
    return v2_values
