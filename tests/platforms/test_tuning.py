"""A search on this machine: its trials are real training jobs of the toy task."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from platforms.conftest import Platform, descendants
from toy_job import ended
from toy_task import ToyConfig
from trainbox import tasks
from trainbox.errors import UsageError
from trainbox.platforms import study, tuning
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.asking.request import metric_definitions
from trainbox.platforms.search import Search, space

Toy = Callable[..., TrainingJob]


@pytest.fixture
def search(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a maker of searches on the toy's data, which this process knows too."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    tasks.places.cache_clear()

    def make(over: list[str], fixed: dict[str, Any] | None = None, **changes: Any) -> Search:
        values = {"epochs": 1, **(fixed or {})}
        return Search("toy", toy().channels, values, space(ToyConfig, over, values), "mae", "minimize", **changes)

    yield make
    tasks.places.cache_clear()


def test_a_folder_that_is_taken_is_refused_before_anything_starts(search: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/cat.jpg").write_bytes(b"a")
    for out, resume, says in (
        (tmp_path / "taken", False, "exists already. Give a new folder"),
        (tmp_path / "taken", True, "holds no search to resume"),
        (tmp_path / "new", True, "holds no search to resume"),
    ):
        with pytest.raises(UsageError, match=says):
            tuning.run(search(["off=0,1"]), out, resume=resume, say=print)
    study.Study.open(search(["off=0,1"]), tmp_path, resume=False)
    with pytest.raises(UsageError, match=r"holds a search already\. Go on with it with --resume"):
        tuning.refuse(tmp_path, resume=False)


def test_reasons_are_counted() -> None:
    records = [study.Record(1, {}, failed="No."), study.Record(2, {}, failed="Why."), study.Record(3, {}, failed="No.")]
    said = str(tuning.nothing_found(records, "Logs are there."))
    assert said == "All 3 trials failed: 2 x No.; 1 x Why. Logs are there."


@pytest.mark.slow
def test_the_best_of_a_few_is_kept_with_all_scores(search: Any, platform: Platform, tmp_path: Path) -> None:
    if platform.name not in {"local", "docker"}:
        pytest.skip("SageMaker searches by tuning jobs of its own: tests/platforms/sagemaker/test_tuning.py")
    out, said = tmp_path / "out", []
    wanted = search(["off=0,1,2"], parallel=2)
    found = tuning.run(wanted, out, on=platform.name, image=platform.image or None, say=said.append)
    assert [record.score for record in found.records if record.failed] == []
    assert sorted(record.score for record in found.records) == pytest.approx([0.5, 1.5, 4.5])
    assert found.best.hyperparameters == {"off": 0} and not found.stopped
    manifest = json.loads((out / "best/manifest.json").read_text())
    assert manifest["hyperparameters"]["off"] == 0
    kept = json.loads((out / "trials.json").read_text())
    assert kept["best"] == found.best.number and len(kept["trials"]) == 3
    assert sorted(path.name for path in (out / "trials" / "001").iterdir()) == ["log.txt"]
    # SageMaker would read the same score in the same log.
    regex = next(one["Regex"] for one in metric_definitions("toy") if one["Name"] == "mae")
    log = (out / "trials" / f"{found.best.number:03d}" / "log.txt").read_text()
    import re

    assert [float(value) for value in re.findall(regex, log)] == [found.best.score]
    # Resumed, there is nothing left to do.
    again = tuning.run(wanted, out, on=platform.name, image=platform.image or None, resume=True, say=said.append)
    assert again.records == found.records


@pytest.mark.slow
def test_a_trial_that_fails_is_counted_and_where_all_do_the_search_fails(search: Any, tmp_path: Path) -> None:
    found = tuning.run(search(["batch_size=8,49"]), tmp_path / "some", say=print)
    failed = [record for record in found.records if record.failed]
    assert len(failed) == 1 and "larger than the data" in str(failed[0].failed)
    with pytest.raises(tuning.TuningFailed, match=r"All 2 trials failed: 2 x .*the toy failed"):
        tuning.run(search(["off=0,1"], {"fail_in": "reading"}), tmp_path / "all", say=print)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_search_leaves_nothing_running_and_goes_on(
    search: Any, toy: Toy, tmp_path: Path, number: signal.Signals
) -> None:
    out, data = tmp_path / "out", toy().channels["train"]
    words = ["tune", "toy", str(data), "-p", "epochs=1", "--over", "off=0,1", "--over", "linger=nowhere,batch"]
    command = [sys.executable, "-m", "trainbox", *words, "-p", "linger_seconds=300", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with ended(process):
        deadline = time.monotonic() + 300
        while not list(out.glob("trials/*/log.txt")) or not (found := descendants(process.pid)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(number)
        process.communicate(timeout=120)
        Platform("local").wait_until_gone([str(pid) for pid in found], seconds=60)
    assert not list(out.glob("trials/*/model"))
    done = subprocess.run([*command, "--resume", "--json"], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    kept = json.loads(done.stdout)
    assert len(kept["trials"]) == 4 and kept["over"]["off"] == "0,1"
