"""``trainbox jobs``, ``logs``, ``stop`` and ``fetch``: from another machine, with nothing but a job's name."""

import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest

from amazon.aws import Aws
from amazon.books import Books
from trainbox import cli, tasks
from trainbox.platforms.prices import price
from trainbox.platforms.search import Search, space

Said = pytest.CaptureFixture[str]


@pytest.fixture
def jobs(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Books:
    monkeypatch.chdir(tmp_path)
    return Books(aws)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A model folder as far as fetching looks at it."""
    folder = tmp_path / "made-elsewhere"
    folder.mkdir()
    content = b"a model, as far as this test goes"
    (folder / "model.tflite").write_bytes(content)
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest = {"format": 1, "task": "drive", "files": {"model.tflite": entry}, "models": {"model.tflite": {}}}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "metrics": {}}))
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_jobs_are_listed_newest_first_with_what_they_cost(jobs: Books, capsys: Said) -> None:
    jobs.make("done", "Completed")
    jobs.make("cheap", "Stopped", EnableManagedSpotTraining=True).created += timedelta(minutes=1)
    jobs.make("under-way", "InProgress").created += timedelta(minutes=2)
    jobs.make("of-others", "Completed").request["HyperParameters"] = {}
    assert cli.run(["jobs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [job["job"] for job in listed] == ["under-way", "cheap", "done"]
    assert [job["status"] for job in listed] == ["InProgress: Starting", "Stopped", "Completed"]
    done, cheap = listed[2], listed[1]
    assert 300 <= done["billable_seconds"] <= 303
    hour = price("ml.m5.xlarge", "eu-west-1")
    assert hour and done["usd"] == pytest.approx(done["billable_seconds"] * hour.usd_per_hour / 3600)
    assert cheap["saved_percent"] == pytest.approx(70, abs=1)
    assert cli.run(["jobs", "--status", "Completed", "-n", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["job", "done"]
    assert cli.run(["jobs", "--status", "completed"]) == 2


def test_a_model_is_fetched_and_summed_up(jobs: Books, bundle: Path, tmp_path: Path, capsys: Said) -> None:
    jobs.put_model(jobs.make("done", "Completed", EnableManagedSpotTraining=True), bundle)
    assert cli.run(["fetch", "done", "--out", "pilot"]) == 0
    said = capsys.readouterr()
    assert "Model: pilot (model.tflite)." in said.out
    assert "Billed: 1 min 30 s, 0.0" in said.err
    assert "Spot instances saved 70 %: 5 min" in said.err
    assert names(tmp_path / "pilot") == {"manifest.json", "model.tflite"}
    assert cli.run(["fetch", "done", "--out", "pilot"]) == 2, "what stands there is not replaced"
    assert cli.run(["fetch", "done", "--out", "pilot", "--overwrite", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["bundle"], result["bill"]["billable_seconds"]) == ("pilot", 90)
    assert names(tmp_path) == {"pilot", "made-elsewhere"}


def test_a_model_that_is_not_what_its_manifest_says_is_not_put_in_place(
    jobs: Books, bundle: Path, tmp_path: Path, capsys: Said
) -> None:
    (bundle / "model.tflite").write_bytes(b"another")
    jobs.put_model(jobs.make("done", "Completed"), bundle)
    assert cli.run(["fetch", "done"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("s3://trainbox-tests/jobs/done/output/model.tar.gz is no model folder: ")
    assert "'model.tflite' is not the file of its manifest" in said
    assert not (tmp_path / "done").exists()


def test_a_stopped_job_gives_the_model_that_it_had(jobs: Books, bundle: Path, tmp_path: Path, capsys: Said) -> None:
    jobs.put_model(jobs.make("had-one", "Stopped", "MaxRuntimeExceeded"), bundle)
    assert cli.run(["fetch", "had-one"]) == 0
    assert (tmp_path / "had-one/model.tflite").exists()
    jobs.make("had-none", "Stopped", "MaxRuntimeExceeded")
    assert cli.run(["fetch", "had-none"]) == 1
    assert "stopped after its 600 s, before there was a model: give it more time" in capsys.readouterr().err
    wait = {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 700}
    jobs.make("waited", "Stopped", "MaxWaitTimeExceeded", StoppingCondition=wait)
    assert cli.run(["fetch", "waited"]) == 1
    assert "found no spot instance to finish on within 700 s" in capsys.readouterr().err
    for name in ("stray", ".incoming-model.tflite"):
        (tmp_path / name[-5:]).mkdir()
        (tmp_path / name[-5:] / name).write_text("a")
        jobs.put_model(jobs.make(name[-5:], "Stopped"), tmp_path / name[-5:])
        assert cli.run(["fetch", name[-5:], "--out", "out"]) == 1
        assert "was stopped before there was a model to save" in capsys.readouterr().err


def test_a_failed_job_says_why_and_its_last_lines(jobs: Books, capsys: Said) -> None:
    jobs.make("refused", "Failed", reason="AlgorithmError: There is no usable data. Give more., exit code: 2")
    jobs.log("refused", "Task 'drive' on channels train.", "There is no usable data. Give more.")
    assert cli.run(["fetch", "refused"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "Task 'drive' on channels train." in said
    assert said[-1] == "There is no usable data. Give more."
    assert cli.run(["logs", "refused"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "Task 'drive' on channels train."
    assert cli.run(["logs", "-f", "refused"]) == 2


def test_a_job_under_way_is_not_fetched_and_can_be_stopped(jobs: Books, capsys: Said) -> None:
    job = jobs.make("under-way", "InProgress")
    assert cli.run(["fetch", "under-way"]) == 1
    assert "has not ended. Watch it: trainbox logs -f under-way" in capsys.readouterr().err
    assert cli.run(["logs", "under-way"]) == 0
    assert "has said nothing yet (Starting)" in capsys.readouterr().err
    assert cli.run(["stop", "under-way", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"job": "under-way", "was_running": True, "status": "Stopping"}
    assert job.stop.is_set()
    assert cli.run(["stop", "under-way"]) == 0, "once more is no error, and not asked of AWS"
    assert capsys.readouterr().out.startswith("The training job 'under-way' is being stopped already. In two minutes")
    assert len(jobs.aws.sagemaker.asked("StopTrainingJob")) == 1
    job.finish("Stopped", "Stopped", 0.3)
    assert cli.run(["stop", "under-way"]) == 0
    assert "had ended already: Stopped" in capsys.readouterr().out


def test_a_stop_that_comes_too_late_is_no_error(jobs: Books, capsys: Said) -> None:
    job = jobs.make("under-way", "InProgress")
    jobs.aws.faults.hold("StopTrainingJob", lambda: job.finish("Completed", "Completed", 0.3))
    assert cli.run(["stop", "under-way"]) == 0
    assert capsys.readouterr().out == "The training job 'under-way' had ended already: Completed.\n"


def test_tuning_jobs_are_listed_and_stopped_by_name(jobs: Books, capsys: Said) -> None:
    done = {"0.5": (jobs.make("laps-001", "Completed"), 0.75), "1.5": (jobs.make("laps-002", "InProgress"), None)}
    job = jobs.tuning("laps", "InProgress", done)
    assert cli.run(["jobs", "--tuning", "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert listed.pop("created")
    assert listed == {
        "tuning_job": "laps",
        "task": "drive",
        "status": "InProgress",
        "done": 1,
        "trials": 5,
        "objective": "angle_mae",
        "best": 0.75,
        "best_job": "laps-001",
    }
    assert cli.run(["jobs", "--tuning", "--status", "Completed"]) == 0
    assert "laps" not in capsys.readouterr().out
    assert cli.run(["jobs", "--tuning"]) == 0
    assert "1 of 5" in capsys.readouterr().out
    assert cli.run(["fetch", "laps"]) == 1
    assert "The tuning job 'laps' has not ended." in capsys.readouterr().err
    assert cli.run(["stop", "laps"]) == 0
    assert capsys.readouterr().out.startswith("The tuning job 'laps' is being stopped. ")
    assert job.stop.is_set()
    assert cli.run(["stop", "laps", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"job": "laps", "was_running": True, "status": "Stopping"}


def test_the_best_model_of_a_tuning_job_is_fetched(jobs: Books, bundle: Path, tmp_path: Path, capsys: Said) -> None:
    worse, better = jobs.make("laps-001", "Completed"), jobs.make("laps-002", "Completed")
    jobs.tuning("laps", "Completed", {"1.5": (worse, 2.75), "0.5": (better, 0.75)})
    jobs.put_model(better, bundle)
    assert cli.run(["fetch", "laps", "--json"]) == 0
    said = capsys.readouterr()
    assert "The best is training job 'laps-002'." in said.err
    result = json.loads(said.out)
    assert (result["bundle"], result["job"]) == ("laps", "laps-002")
    assert (tmp_path / "laps/model.tflite").exists()


def test_a_tuning_job_of_others_is_refused_in_one_line(jobs: Books, capsys: Said) -> None:
    made = jobs.tuning("laps", "Completed", {"1.5": (jobs.make("laps-001", "Completed"), 2.75)})
    made.request["TrainingJobDefinition"]["StaticHyperParameters"] = {"depth": "3"}
    assert cli.run(["fetch", "laps"]) == 2
    assert capsys.readouterr().err == "The tuning job 'laps' was not made by Trainbox.\n"


def test_a_search_that_was_stopped_before_anything_was_scored_brings_a_model(
    jobs: Books, bundle: Path, tmp_path: Path, capsys: Said
) -> None:
    had_one, had_none = jobs.make("laps-001", "Stopped"), jobs.make("laps-002", "Stopped")
    jobs.tuning("laps", "Stopped", {"0.1": (had_one, None), "0.2": (had_none, None)})
    jobs.put_model(had_one, bundle)
    (tmp_path / "search").mkdir()
    ranges = space(tasks.get("drive").config, ["learning_rate"], {})
    wanted = Search("drive", {"train": "s3://laps/"}, {}, ranges, "angle_r2", "maximize")
    kept = {"name": "laps", "region": "eu-west-1", **wanted.description()}
    (tmp_path / "search/tuning-job.json").write_text(json.dumps(kept))
    search = ["tune", "drive", "s3://laps/", "--over", "learning_rate", "--on", "sagemaker", "--region", "eu-west-1"]
    assert cli.run([*search, "--out", "search", "--resume"]) == 0
    said = capsys.readouterr()
    assert (
        "No training was completed. Of those that were stopped, training job 'laps-001' has the best model." in said.err
    )
    assert [line.split()[:2] for line in said.out.splitlines()[1:3]] == [["1", "not"], ["2", "failed"]]
    assert "Stopped after 2 trials. A tuning job does not go on: search on with another --out." in said.out
    assert "Best: angle_r2 not scored with learning_rate=0.1. Model: search/best" in said.out
    assert names(tmp_path / "search/best") == {"manifest.json", "model.tflite"}


@pytest.mark.parametrize("command", ["logs", "stop", "fetch"])
def test_a_job_that_is_not_there_is_refused(jobs: Books, command: str, capsys: Said) -> None:
    assert cli.run([command, "nobody"]) == 2
    said = capsys.readouterr()
    other, listed = ("", "") if command == "logs" else (" and no tuning job", "; trainbox jobs --tuning")
    assert said.err == f"There is no training job{other} 'nobody' in eu-west-1. List them: trainbox jobs{listed}.\n"
    assert not said.out


def test_trainbox_toml_and_options_say_where(jobs: Books, tmp_path: Path, capsys: Said) -> None:
    jobs.make("here", "Completed")
    (tmp_path / "trainbox.toml").write_text('[sagemaker]\nregion = "us-east-1"\n')
    assert cli.run(["stop", "here"]) == 2
    assert "in us-east-1" in capsys.readouterr().err
    assert cli.run(["stop", "here", "--region", "eu-west-1"]) == 0
    assert cli.run(["jobs", "--profile", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err
