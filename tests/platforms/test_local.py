"""The platform local: the container program in a process, in a folder laid out as /opt/ml."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opt_ml import tree_digest
from toy_job import ended
from trainbox.container.contract import channels, checkpoints, cluster, hyperparameters
from trainbox.container.contract.paths import Paths
from trainbox.errors import ChannelError, UsageError
from trainbox.platforms import local
from trainbox.platforms.job import JobFailed, TrainingJob

BUNDLE = '{"format": 1, "files": {}, "models": {}}'
RUN = """
import sys
from pathlib import Path
from trainbox.platforms import local
from trainbox.platforms.job import JobFailed, TrainingJob
data, out, linger, seconds = sys.argv[1:]
values = {"linger": linger, "linger_seconds": float(seconds), "epochs": 2}
try:
    job = TrainingJob("toy", {"train": Path(data)}, values, "toy-job")
    local.run(job, Path(out), say=lambda line: print("SAYS", line))
except JobFailed as failed:
    sys.exit(f"{failed} ({failed.exit_status}, {failed.said})")
"""


def test_the_tree_is_what_the_contract_reads(tmp_path: Path) -> None:
    (tmp_path / "tub").mkdir()
    (tmp_path / "tub/a.jpg").write_bytes(b"a")
    (tmp_path / "tub.zip").write_bytes(b"PK")
    job = TrainingJob("drive", {"train": tmp_path / "tub", "train-2": tmp_path / "tub.zip"}, {"with_slide": True})
    paths = Paths(tmp_path / "ml")
    local.lay_out(job, paths, checkpoints=tmp_path / "kept", logs=tmp_path / "logs")
    assert channels.read(paths) == {"train": tmp_path / "tub", "train-2": tmp_path / "tub.zip"}
    assert hyperparameters.read(paths) == {"task": "drive", "with_slide": True}
    assert cluster.read(paths).hosts == ("algo-1",)
    assert checkpoints.read(paths) == paths.checkpoints
    assert paths.checkpoints.resolve() == tmp_path / "kept"
    assert paths.output.resolve() == tmp_path / "logs"


def test_without_checkpoints_the_job_keeps_none(tmp_path: Path) -> None:
    (tmp_path / "tub.zip").write_bytes(b"PK")
    paths = Paths(tmp_path / "ml")
    local.lay_out(TrainingJob("drive", {"train": tmp_path / "tub.zip"}), paths)
    assert checkpoints.read(paths) is None


def test_data_that_is_no_file_or_folder_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, says in (("pipe", "neither a file nor a folder"), ("nothing", "does not exist")):
        with pytest.raises(ChannelError, match=says):
            local.lay_out(TrainingJob("drive", {"train": tmp_path / name}), Paths(tmp_path / f"ml-{name}"))


def test_what_stands_at_out_is_not_replaced_unasked(tmp_path: Path) -> None:
    local.refuse_taken(tmp_path / "new", overwrite=False)
    out = tmp_path / "out"
    out.mkdir()
    local.refuse_taken(out, overwrite=False)
    (out / "manifest.json").write_text(BUNDLE)
    with pytest.raises(UsageError, match=r"exists already.*--overwrite"):
        local.refuse_taken(out, overwrite=False)
    local.refuse_taken(out, overwrite=True)


def test_what_is_no_model_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_bytes(b"a")
    (tmp_path / "file").write_bytes(b"a")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/manifest.json").write_text(BUNDLE)
    (tmp_path / "tub").mkdir()
    # The manifest of a tub v2 is a file of that name as well.
    (tmp_path / "tub/manifest.json").write_text('["cam/image_array"]\n["image_array"]\n{}\n')
    (tmp_path / "list").mkdir()
    (tmp_path / "list/manifest.json").write_text("[]")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    for name in ("photos", "file", "link", "tub", "list"):
        with pytest.raises(UsageError, match="is no model folder"):
            local.refuse_taken(tmp_path / name, overwrite=True)


def test_an_out_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a")
    with pytest.raises(UsageError, match=r"pilot cannot be written: (Not a directory|File exists)"):
        local.refuse_unwritable(tmp_path / "file" / "pilot")


def test_it_trains_and_puts_the_bundle_in_place(toy: Callable[..., TrainingJob], tmp_path: Path) -> None:
    job, out = toy(), tmp_path / "out"
    before = tree_digest(job.channels["train"])
    out.mkdir()
    (out / "manifest.json").write_text(BUNDLE)
    (out / "model.h5").write_text("of the earlier model")
    assert local.run(job, out, overwrite=True, logs=tmp_path / "logs") == out
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["job"]["name"] == "toy-job"
    assert {"model.keras", "model.tflite", "report.html", "hyperparameters.json"} <= {p.name for p in out.iterdir()}
    assert not (out / "model.h5").exists(), "nothing of the earlier model stays"
    assert any((tmp_path / "logs").rglob("events*"))
    assert tree_digest(job.channels["train"]) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "logs", "out", "site"], "nothing is left behind"


def test_a_failed_job_says_why_and_leaves_nothing(
    toy: Callable[..., TrainingJob], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(JobFailed) as failed:
        local.run(toy(batch_size=49), tmp_path / "out")
    assert failed.value.exit_status == 2
    assert failed.value.said
    assert str(failed.value).startswith("Hyperparameter 'batch_size' is larger than the data: 49 > 48")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "site"]
    captured = capfd.readouterr()
    assert captured.err.splitlines()[-1] == str(failed.value)
    assert captured.out == "", "standard output is for data"


def test_a_job_that_is_killed_is_explained(toy: Callable[..., TrainingJob], tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"was killed.*out of memory") as failed:
        local.run(toy(exit_in="reading"), tmp_path / "out")
    assert failed.value.exit_status == 1
    assert not failed.value.said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "site"]


@contextlib.contextmanager
def started(
    toy: Callable[..., TrainingJob], tmp_path: Path, stage: str, seconds: float
) -> Iterator["subprocess.Popen[str]"]:
    """Run a job in a process of its own, and hold it from when it lingers in ``stage``."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(toy().channels["train"]), str(tmp_path / "out"), stage, str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with ended(process):
        assert process.stderr
        said = []
        for line in process.stderr:
            said.append(line)
            if f"lingering in {stage}" in line:
                break
        else:
            pytest.fail(f"ended before it lingered: {''.join(said)}")
        yield process


def descendants(process: "subprocess.Popen[str]") -> list[int]:
    """Return the processes that ``process`` started, and theirs."""
    found, wanted = [], [process.pid]
    while wanted:
        parent = wanted.pop()
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        found += map(int, children)
        wanted += map(int, children)
    return found


def wait_until_gone(pids: list[int], seconds: float) -> None:
    end = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() and not is_zombie(pid) for pid in pids):
        assert time.monotonic() < end, f"{pids} live on"
        time.sleep(0.05)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks processes up in /proc")


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_child_ends_when_we_are_ended(
    toy: Callable[..., TrainingJob], tmp_path: Path, number: signal.Signals
) -> None:
    with started(toy, tmp_path, "reading", 300) as process:
        children = descendants(process)
        assert children
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        wait_until_gone(children, seconds=30)
    assert not (tmp_path / "out").exists()
    if number == signal.SIGKILL:
        return
    assert process.returncode == 1
    assert "SAYS Stopping: the best model so far is being written." in out
    assert err.splitlines()[-1] == "Told to stop before there was a model to save. (1, True)"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "site"]


@needs_proc
@pytest.mark.slow
def test_told_to_stop_late_it_still_brings_the_bundle(toy: Callable[..., TrainingJob], tmp_path: Path) -> None:
    with started(toy, tmp_path, "deployables", 2) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads((tmp_path / "out/manifest.json").read_text())["models"]


@needs_proc
@pytest.mark.slow
def test_a_second_ctrl_c_ends_it_at_once(toy: Callable[..., TrainingJob], tmp_path: Path) -> None:
    with started(toy, tmp_path, "deployables", 300) as process:
        children = descendants(process)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(1)
        process.communicate(timeout=30)
        wait_until_gone(children, seconds=5)
    assert process.returncode == 1
    assert not (tmp_path / "out").exists()
