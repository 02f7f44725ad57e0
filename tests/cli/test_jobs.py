"""``trainbox jobs``, ``logs``, ``stop`` and ``fetch``: from another machine, with nothing but a job's name."""

import hashlib
import io
import json
import tarfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from amazon.training import Job, now
from trainbox import cli
from trainbox.platforms.prices import price

Said = pytest.CaptureFixture[str]
LOGS = "/aws/sagemaker/TrainingJobs"


class Jobs:
    """Jobs as they stand when another machine asks: no program runs here."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def make(self, name: str, status: str, secondary: str = "", reason: str = "", **further: Any) -> Job:
        """Put a job into SageMaker's books, 10 minutes old, 5 of them trained."""
        request = {
            "TrainingJobName": name,
            "RoleArn": self.aws.role,
            "AlgorithmSpecification": {"TrainingImage": self.aws.image, "TrainingInputMode": "File"},
            "HyperParameters": {"task": "drive"},
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.aws.bucket}/jobs"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **further,
        }
        training = self.aws.sagemaker.training
        job = Job(request, training.house.arn("training-job", name))
        job.created = now() - timedelta(minutes=10)
        job.started = now() - timedelta(minutes=5)
        job.enter("Starting", "InProgress")
        training.jobs[name] = job
        if status != "InProgress":
            job.finish(secondary or status, status, 0.3, reason)
        return job

    def put_model(self, job: Job, folder: Path) -> None:
        """Store a folder as the job's model artifact."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
            for path in sorted(folder.iterdir()):
                archive.add(path, path.name)
        bucket, _, key = job.model.removeprefix("s3://").partition("/")
        self.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=packed.getvalue())

    def log(self, name: str, *lines: str) -> None:
        """Put lines into the job's log."""
        logs = self.aws.client("logs")
        stream = f"{name}/algo-1-1"
        logs.create_log_group(logGroupName=LOGS)
        logs.create_log_stream(logGroupName=LOGS, logStreamName=stream)
        moment = int(now().timestamp() * 1000)
        events = [{"timestamp": moment, "message": line} for line in lines]
        logs.put_log_events(logGroupName=LOGS, logStreamName=stream, logEvents=events)


@pytest.fixture
def jobs(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.chdir(tmp_path)
    return Jobs(aws)


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


def test_jobs_are_listed_newest_first_with_what_they_cost(jobs: Jobs, capsys: Said) -> None:
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


def test_a_model_is_fetched_and_summed_up(jobs: Jobs, bundle: Path, tmp_path: Path, capsys: Said) -> None:
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
    jobs: Jobs, bundle: Path, tmp_path: Path, capsys: Said
) -> None:
    (bundle / "model.tflite").write_bytes(b"another")
    jobs.put_model(jobs.make("done", "Completed"), bundle)
    assert cli.run(["fetch", "done"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("s3://trainbox-tests/jobs/done/output/model.tar.gz is no model folder: ")
    assert "'model.tflite' is not the file of its manifest" in said
    assert not (tmp_path / "done").exists()


def test_a_stopped_job_gives_the_model_that_it_had(jobs: Jobs, bundle: Path, tmp_path: Path, capsys: Said) -> None:
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


def test_a_failed_job_says_why_and_its_last_lines(jobs: Jobs, capsys: Said) -> None:
    jobs.make("refused", "Failed", reason="AlgorithmError: There is no usable data. Give more., exit code: 2")
    jobs.log("refused", "Task 'drive' on channels train.", "There is no usable data. Give more.")
    assert cli.run(["fetch", "refused"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "Task 'drive' on channels train." in said
    assert said[-1] == "There is no usable data. Give more."
    assert cli.run(["logs", "refused"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "Task 'drive' on channels train."
    assert cli.run(["logs", "-f", "refused"]) == 2


def test_a_job_under_way_is_not_fetched_and_can_be_stopped(jobs: Jobs, capsys: Said) -> None:
    job = jobs.make("under-way", "InProgress")
    assert cli.run(["fetch", "under-way"]) == 1
    assert "has not ended. Watch it: trainbox logs -f under-way" in capsys.readouterr().err
    assert cli.run(["logs", "under-way"]) == 0
    assert "has said nothing yet (Starting)" in capsys.readouterr().err
    assert cli.run(["stop", "under-way", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"job": "under-way", "was_running": True, "status": "Stopping"}
    assert job.stop.is_set()
    job.finish("Stopped", "Stopped", 0.3)
    assert cli.run(["stop", "under-way"]) == 0
    assert "had ended already: Stopped" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["logs", "stop", "fetch"])
def test_a_job_that_is_not_there_is_refused(jobs: Jobs, command: str, capsys: Said) -> None:
    assert cli.run([command, "nobody"]) == 2
    said = capsys.readouterr()
    assert said.err == "There is no training job 'nobody' in eu-west-1. List them: trainbox jobs.\n"
    assert not said.out


def test_trainbox_toml_and_options_say_where(jobs: Jobs, tmp_path: Path, capsys: Said) -> None:
    jobs.make("here", "Completed")
    (tmp_path / "trainbox.toml").write_text('[sagemaker]\nregion = "us-east-1"\n')
    assert cli.run(["stop", "here"]) == 2
    assert "in us-east-1" in capsys.readouterr().err
    assert cli.run(["stop", "here", "--region", "eu-west-1"]) == 0
    assert cli.run(["jobs", "--profile", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err
