"""An endpoint that really answers, from its deployment to its removal; and a prefix of S3 that is asked about."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amazon.aws import Aws
from amazon.training import Job
from platforms.sagemaker.conftest import standing
from platforms.sagemaker.small_bundle import jpeg, write_small_bundle
from serving.conftest import picture
from trainbox import cli
from trainbox.export import tarball
from trainbox.tasks import get

Captured = pytest.CaptureFixture[str]
Model = Callable[[str], Path]

pytestmark = pytest.mark.slow


def deploy(capsys: Captured, *arguments: str) -> dict:
    assert cli.run(["deploy", *arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_from_a_folder_to_an_answer_and_away(
    aws: Aws, desk: Path, model: Model, task_name: str, capsys: Captured
) -> None:
    folder = str(model(task_name))
    (desk / "a.jpg").write_bytes(picture(300, 200))
    (desk / "b.jpg").write_bytes(b"no picture")
    first = deploy(capsys, folder, "mine", "--memory", "1024")
    assert (first["outcome"], first["status"]) == ("created", "InService")
    assert first["said"]
    assert standing(aws) == sorted(["mine", first["model"], first["configuration"]])

    more = ["--threshold", "0.05"] if get(task_name).service().takes_threshold else []
    said = []
    for source in (folder, "endpoint:mine"):
        assert cli.run(["predict", source, "a.jpg", "b.jpg", *more]) == 1
        words = capsys.readouterr()
        said.append((words.out, words.err))
    assert said[0] == said[1]
    assert "b.jpg cannot be read: image is of no known format." in said[1][1]
    assert cli.run(["predict", "endpoint:mine", "a.jpg", "--draw", "drawn", "--json", *more]) == 0
    assert Path(json.loads(capsys.readouterr().out)["drawn"]).is_file()

    asked = len(aws.sagemaker.asked("CreateModel"))
    assert deploy(capsys, folder, "mine", "--memory", "1024")["outcome"] == "unchanged"
    assert len(aws.sagemaker.asked("CreateModel")) == asked
    assert len(aws.asked("PutObject", "CompleteMultipartUpload")) == 1

    second = deploy(capsys, folder, "mine", "--memory", "2048")
    assert second["outcome"] == "updated"
    assert (second["model"], second["configuration"]) != (first["model"], first["configuration"])
    assert standing(aws) == sorted(["mine", second["model"], second["configuration"]])

    assert cli.run(["undeploy", "mine"]) == 0
    assert not standing(aws)
    assert not aws.sagemaker.costing
    assert cli.run(["undeploy", "mine"]) == 0
    assert "Nothing of 'mine'" in capsys.readouterr().out


def test_an_update_that_fails_leaves_the_old_model_answering(
    aws: Aws, desk: Path, model: Model, capsys: Captured
) -> None:
    machines = ["--instance-type", "ml.m5.large", "--autoscale", "1:3"]
    first = deploy(capsys, str(model("drive")), "mine", *machines)
    stood = standing(aws)
    write_small_bundle(desk / "broken", b"no tflite")
    assert cli.run(["deploy", "./broken", "mine", "--instance-type", "ml.m5.xlarge"]) == 1
    said = capsys.readouterr().err
    assert "has the model that it had before" in said
    assert "ping health check" in said.strip().splitlines()[-1]
    assert standing(aws) == stood, "scaling too"
    assert aws.sagemaker.endpoint("mine").configuration == first["configuration"]
    (desk / "a.jpg").write_bytes(picture())
    assert cli.run(["predict", "endpoint:mine", "a.jpg"]) == 0


def test_machines_scale_capture_and_stop_doing_both(aws: Aws, desk: Path, model: Model, capsys: Captured) -> None:
    folder, machine = str(model("drive")), ["--instance-type", "ml.m5.large"]
    first = deploy(capsys, folder, "mine", *machine, "--autoscale", "2:3", "--capture", "100")
    assert "costs 2 ml.m5.large" in first["idle_cost"]
    target = next(iter(aws.sagemaker.scaling.targets.values()))
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 3)
    assert len(aws.sagemaker.scaling.policies) == 1
    (desk / "a.jpg").write_bytes(picture())
    assert cli.run(["predict", "endpoint:mine", "a.jpg"]) == 0
    assert aws.keys("trainbox/captures/mine")
    capsys.readouterr()
    assert deploy(capsys, folder, "mine", *machine, "--instances", "1")["outcome"] == "updated"
    assert not aws.sagemaker.scaling.targets
    deploy(capsys, folder, "mine", *machine, "--autoscale", "1:2", "--capture", "100")
    assert cli.run(["undeploy", "mine"]) == 0
    said = capsys.readouterr().out
    assert f"Kept, for it is yours: s3://{aws.bucket}/trainbox/captures/mine" in said
    assert not standing(aws)
    assert not aws.sagemaker.scaling.policies


def test_who_did_not_wait_may_wait_later_and_throttling_passes(
    aws: Aws, desk: Path, model: Model, capsys: Captured
) -> None:
    folder = str(model("drive"))
    assert deploy(capsys, folder, "mine", "--no-wait")["outcome"] == "created"
    aws.faults.fail("DescribeEndpoint", "ThrottlingException", times=3, after=1)
    aws.faults.fail("DescribeEndpoint", "InternalFailure", times=2, after=1)
    aws.faults.drop("DescribeEndpoint", after=1)
    late = deploy(capsys, folder, "mine")
    assert (late["outcome"], late["status"]) in {("created", "InService"), ("unchanged", "InService")}
    assert len(aws.sagemaker.asked("CreateEndpoint")) == 1


def test_credentials_that_expire_end_the_waiting_and_not_the_endpoint(
    aws: Aws, desk: Path, model: Model, capsys: Captured
) -> None:
    aws.faults.fail("DescribeEndpoint", "ExpiredTokenException", times=20, after=2)
    assert cli.run(["deploy", str(model("drive")), "mine"]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert "goes on by itself" in said[-2]
    assert "Log in again" in said[-1]
    aws.faults.clear()
    assert deploy(capsys, str(model("drive")), "mine")["status"] == "InService"


def test_an_endpoint_says_what_it_does_not_take(aws: Aws, desk: Path, model: Model, capsys: Captured) -> None:
    deploy(capsys, str(model("drive")), "mine")
    (desk / "large.jpg").write_bytes(jpeg() + b"\0" * (4 << 20))
    (desk / "a.jpg").write_bytes(picture())
    invoked = len(aws.asked("InvokeEndpoint"))
    assert cli.run(["predict", "endpoint:mine", "large.jpg"]) == 1
    assert "large.jpg is too large: 4.0 MB, and a request to this endpoint is of 4 MB" in capsys.readouterr().err
    assert len(aws.asked("InvokeEndpoint")) == invoked
    assert cli.run(["predict", "endpoint:mine", "a.jpg", "--threshold", "0.5"]) == 2
    assert "have no scores" in capsys.readouterr().err
    aws.faults.fail("InvokeEndpoint", "ModelNotReadyException", times=2, status=429)
    aws.faults.fail("InvokeEndpoint", "ThrottlingException", times=2)
    assert cli.run(["predict", "endpoint:mine", "a.jpg"]) == 0
    aws.faults.fail("InvokeEndpoint", "AccessDeniedException")
    capsys.readouterr()
    assert cli.run(["predict", "endpoint:mine", "a.jpg"]) == 2
    assert "AccessDeniedException" in capsys.readouterr().err


def test_all_pictures_of_a_prefix_are_answered(
    aws: Aws, desk: Path, model: Model, task_name: str, capsys: Captured
) -> None:
    for number in range(3):
        key = f"in/deep/{number}.jpg" if number else "in/0.jpg"
        aws.client("s3").put_object(Bucket=aws.bucket, Key=key, Body=picture(200, 150, seed=number))
    there = ["--batch", f"s3://{aws.bucket}/in/", "--out", f"s3://{aws.bucket}/out"]
    assert cli.run(["predict", str(model(task_name)), *there, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["objects"], result["answered"], result["unanswered"]) == (3, 3, [])
    assert aws.keys("out/") == ["out/0.jpg.out", "out/deep/1.jpg.out", "out/deep/2.jpg.out"]
    assert not standing(aws)
    answer = json.loads(aws.client("s3").get_object(Bucket=aws.bucket, Key="out/0.jpg.out")["Body"].read())
    assert set(answer) in ({"angle", "throttle"}, {"width", "height", "detections"})


def test_a_batch_with_something_else_fails_and_says_how_many_were_answered(
    aws: Aws, desk: Path, model: Model, capsys: Captured
) -> None:
    for key, body in (("in/a.jpg", picture()), ("in/b.jpg", picture(seed=1)), ("in/notes.txt", b"none")):
        aws.client("s3").put_object(Bucket=aws.bucket, Key=key, Body=body)
    there = ["--batch", f"s3://{aws.bucket}/in/", "--out", f"s3://{aws.bucket}/out"]
    assert cli.run(["predict", str(model("drive")), *there]) == 1
    said = capsys.readouterr().err
    assert "1 are not named as pictures are, such as in/notes.txt" in said
    assert "2 of 3 objects were answered" in said
    assert "notes.txt" in said and "image is of no known format" in said, "the job's data log"
    assert "failed: ClientError" in said.strip().splitlines()[-1]
    assert not standing(aws)


def test_a_jobs_model_is_deployed_where_it_lies_with_the_jobs_role_and_image(
    aws: Aws, desk: Path, model: Model, capsys: Captured
) -> None:
    folder = model("drive")
    tarball.pack(folder, ["manifest.json", "model.tflite", "report.html"], desk / "model.tar.gz")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{aws.bucket}/data/"}}
    request = {
        "TrainingJobName": "pilot-1",
        "RoleArn": aws.role,
        "AlgorithmSpecification": {"TrainingImage": aws.image, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{aws.bucket}/jobs"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "HyperParameters": {},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": source}],
    }
    job = Job(request, "arn:aws:sagemaker:eu-west-1:123456789012:training-job/pilot-1", None)
    aws.sagemaker.training.jobs["pilot-1"] = job
    (desk / "trainbox.toml").unlink()
    assert cli.run(["deploy", "pilot-1", "mine"]) == 2
    assert "Training job 'pilot-1' is " in capsys.readouterr().err
    key = "jobs/pilot-1/output/model.tar.gz"
    aws.client("s3").upload_file(str(desk / "model.tar.gz"), aws.bucket, key)
    job.finish("Completed", "Completed", 0.3)
    assert deploy(capsys, "pilot-1", "mine")["status"] == "InService"
    inside = aws.sagemaker.asked("CreateModel")[0]["PrimaryContainer"]
    assert (inside["ModelDataUrl"], inside["Image"]) == (f"s3://{aws.bucket}/{key}", aws.image)
    assert deploy(capsys, "pilot-1", "mine")["outcome"] == "unchanged"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_told_to_stop_says_what_goes_on(
    aws: Aws, desk: Path, model: Model, number: int, capsys: Captured
) -> None:
    aws.sagemaker.house.pause_seconds = 6
    command = [sys.executable, "-m", "trainbox", "deploy", str(model("drive")), "mine"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            assert any("Creating" in line for line in process.stderr)
            process.send_signal(number)
            said = process.stderr.read()
            assert process.wait(30) == 130
        finally:
            process.kill()
    assert "goes on by itself" in said
    assert said.strip().splitlines()[-1] == "Interrupted."
    assert "Traceback" not in said
    assert "trainbox undeploy mine removes it" in said
    assert cli.run(["undeploy", "mine"]) == 0
    assert not standing(aws)
