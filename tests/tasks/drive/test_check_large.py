"""20,000 records of 160x120 are checked within a minute on two cores, in less than 500 MB."""

import io
import json
import resource
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RECORDS = 20_000
PICTURES = 200

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc"),
]


def pictures() -> list[bytes]:
    """Pictures with as much detail as a camera's: about 5 kB each."""
    chance = np.random.default_rng(0)
    encoded = []
    for _ in range(PICTURES):
        coarse = Image.fromarray(chance.integers(0, 256, (15, 20, 3), np.uint8)).resize((160, 120))
        grain = np.clip(np.asarray(coarse) + chance.normal(0, 4, (120, 160, 3)), 0, 255).astype(np.uint8)
        content = io.BytesIO()
        Image.fromarray(grain).save(content, "JPEG", quality=85)
        encoded.append(content.getvalue())
    return encoded


@pytest.fixture(scope="module")
def large_tub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "tub.zip"
    encoded = pictures()
    names = [f"catalog_{number}.catalog" for number in range(RECORDS // 1000)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, name in enumerate(names):
            records = range(number * 1000, number * 1000 + 1000)
            archive.writestr(name, "".join(json.dumps(values(record)) + "\n" for record in records))
            for record in records:
                archive.writestr(f"images/{record}_cam_image_array_.jpg", encoded[record % PICTURES])
        lines = [[], [], {}, {}, {"paths": names, "deleted_indexes": []}]
        archive.writestr("manifest.json", "".join(json.dumps(line) + "\n" for line in lines))
    return path


def values(number: int) -> dict[str, object]:
    return {
        "_index": number,
        "_timestamp_ms": 1_700_000_000_000 + 50 * number,
        "cam/image_array": f"{number}_cam_image_array_.jpg",
        "user/angle": round(np.sin(number / 50), 4),
        "user/throttle": 0.3,
        "user/mode": "user",
    }


def family(pid: int) -> list[int]:
    """Return a process and all that it started."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(one for child in children for one in family(child))]


def resident_kilobytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)


def test_a_large_tub_takes_little_time_and_memory(large_tub: Path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "trainbox", "check", str(large_tub), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    peak = 0
    try:
        while process.poll() is None:
            peak = max(peak, sum(map(resident_kilobytes, family(process.pid))))
            time.sleep(0.05)
        out, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert json.loads(out)["usable"] == RECORDS
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Seconds of work rather than of the clock, which stretch with whatever else the machine does: two cores have 120.
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 60
    assert peak < 500_000
