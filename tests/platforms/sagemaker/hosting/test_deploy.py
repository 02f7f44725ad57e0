"""``trainbox deploy`` and ``undeploy`` where something is refused or fails: nothing is left, and one line says why."""

import json
from pathlib import Path

import pytest

from amazon.aws import Aws
from platforms.sagemaker.conftest import standing
from platforms.sagemaker.small_bundle import jpeg, write_small_bundle
from trainbox import cli
from trainbox.cli import hosting_options
from trainbox.export import tarball

Captured = pytest.CaptureFixture[str]


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


@pytest.mark.slow
def test_an_endpoint_that_does_not_come_up_is_removed_and_its_log_shown(aws: Aws, desk: Path, capsys: Captured) -> None:
    write_small_bundle(desk / "broken", b"no tflite")
    assert cli.run(["deploy", "broken", "pilot"]) == 1
    said = capsys.readouterr()
    assert "did not pass the ping health check" in last_line(said.err)
    assert "Its log" not in said.out
    assert "trainbox image test" in last_line(said.err)
    assert "Removing the endpoint 'pilot'" in said.err
    assert "The model does not run" in said.err, "the container's own last line"
    assert not standing(aws)
    assert not aws.sagemaker.costing


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("role", "arn:aws:iam::123456789012:role/nobody", "Could not assume role"),
        ("image", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/trainbox:none", "not found"),
        ("bucket", "no-such-bucket", "no-such-bucket"),
    ],
)
def test_what_is_not_there_is_said_and_nothing_is_left(
    aws: Aws, desk: Path, setting: str, value: str, says: str, capsys: Captured
) -> None:
    write_small_bundle(desk / "pilot")
    if setting == "image":
        value = f"{aws.image.rpartition(':')[0]}:none"
    aws.settings(desk, **{setting: value})
    assert cli.run(["deploy", "pilot", "pilot"]) in (1, 2)
    assert says in last_line(capsys.readouterr().err)
    assert not standing(aws)


def test_a_quota_of_nothing_leaves_nothing(aws: Aws, desk: Path, capsys: Captured) -> None:
    write_small_bundle(desk / "pilot")
    aws.sagemaker.house.quota = 0
    assert cli.run(["deploy", "pilot", "pilot", "--instance-type", "ml.m5.large"]) == 2
    assert "ml.m5.large for endpoint usage" in last_line(capsys.readouterr().err)
    assert not standing(aws)


@pytest.mark.parametrize("operation", ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"])
def test_a_refusal_on_the_way_leaves_nothing(aws: Aws, desk: Path, operation: str, capsys: Captured) -> None:
    write_small_bundle(desk / "pilot")
    aws.faults.fail(operation, "AccessDeniedException")
    assert cli.run(["deploy", "pilot", "pilot"]) == 2
    assert "AccessDeniedException" in last_line(capsys.readouterr().err)
    assert not standing(aws)


def make_theirs(aws: Aws, folder: Path) -> None:
    """Make a model and an endpoint configuration that are not of Trainbox's making."""
    sagemaker, key = aws.client("sagemaker"), "foreign/model.tar.gz"
    tarball.pack(folder, ["manifest.json", "model.tflite"], folder.parent / "model.tar.gz")
    aws.client("s3").upload_file(str(folder.parent / "model.tar.gz"), aws.bucket, key)
    inside = {"Image": aws.image, "ModelDataUrl": f"s3://{aws.bucket}/{key}"}
    sagemaker.create_model(ModelName="theirs", PrimaryContainer=inside, ExecutionRoleArn=aws.role)
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    variants = [{"VariantName": "AllTraffic", "ModelName": "theirs", "ServerlessConfig": serverless}]
    sagemaker.create_endpoint_config(EndpointConfigName="theirs", ProductionVariants=variants)


def test_an_endpoint_of_someone_else_is_neither_replaced_nor_removed(aws: Aws, desk: Path, capsys: Captured) -> None:
    aws.sagemaker.house.bare = True
    make_theirs(aws, write_small_bundle(desk / "pilot"))
    for name in ("pilot", "another"):
        aws.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName="theirs")
    stood = standing(aws)
    assert cli.run(["deploy", "pilot", "pilot"]) == 2
    assert "not of Trainbox's making" in last_line(capsys.readouterr().err)
    assert cli.run(["undeploy", "pilot"]) == 2
    assert "no tag 'trainbox'" in last_line(capsys.readouterr().err)
    assert standing(aws) == stood
    assert cli.run(["undeploy", "pilot", "--force", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["removed"] == ["endpoint 'pilot'"]
    assert done["kept"] == ["endpoint configuration 'theirs'", "model 'theirs'"]
    assert standing(aws) == ["another", "theirs", "theirs"]


def test_what_the_user_pointed_an_endpoint_to_is_not_removed_with_it(aws: Aws, desk: Path, capsys: Captured) -> None:
    aws.sagemaker.house.bare = True
    make_theirs(aws, write_small_bundle(desk / "pilot"))
    assert cli.run(["deploy", "./pilot", "pilot", "--no-wait"]) == 0
    aws.client("sagemaker").update_endpoint(EndpointName="pilot", EndpointConfigName="theirs")
    assert cli.run(["undeploy", "pilot"]) == 0
    said = capsys.readouterr().out
    assert "Kept, for it is yours: endpoint configuration 'theirs'\nKept, for it is yours: model 'theirs'\n" in said
    assert standing(aws) == ["theirs", "theirs"], "and nothing of what was made for the endpoint"


def test_where_nothing_stands_nothing_is_removed(aws: Aws, desk: Path, capsys: Captured) -> None:
    assert cli.run(["undeploy", "pilot"]) == 0
    assert capsys.readouterr().out == f"Nothing of 'pilot' is in {aws.region}.\n"


def test_a_dry_run_asks_nothing_and_tells_no_secret(aws: Aws, desk: Path, capsys: Captured) -> None:
    write_small_bundle(desk / "pilot")
    wanted = ["--instance-type", "ml.m5.large", "--autoscale", "1:3", "--capture", "20", "--tag", "team=cars"]
    assert cli.run(["deploy", "./pilot", "my-pilot", *wanted, "--dry-run"]) == 0
    said = capsys.readouterr()
    asked = json.loads(said.out)
    assert list(asked) == [
        *("region", "CreateModel", "CreateEndpointConfig", "CreateEndpoint"),
        *("RegisterScalableTarget", "PutScalingPolicy"),
    ]
    assert asked["CreateEndpointConfig"]["DataCaptureConfig"]["InitialSamplingPercentage"] == 20
    assert {"Key": "team", "Value": "cars"} in asked["CreateModel"]["Tags"]
    assert not aws.traffic
    assert not any(secret in said.out + said.err for secret in aws.secrets)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--memory", "1000"], "one of 1024"),
        (["--instances", "2"], "Serverless hosting has no --instances"),
        (["--autoscale", "1:2"], "Serverless hosting has no --autoscale"),
        (["--capture", "5"], "Serverless hosting has no --capture"),
        (["--instance-type", "ml.m5.large", "--memory", "2048"], "no GPU and no VPC"),
        (["--instance-type", "ml.m5.large", "--serverless"], "no GPU and no VPC"),
        (["--instance-type", "ml.m5.larg"], "Did you mean 'ml.m5.large'?"),
        (["--instance-type", "ml.m5.large", "--autoscale", "1-2"], "MIN:MAX, such as 1:4"),
        (["--instance-type", "ml.m5.large", "--autoscale", "1:2", "--no-wait"], "Leave out --no-wait"),
        (["--file", "model.keras"], "no 'model.keras' to serve. It has: model.tflite"),
        (["--picture", "pilot/labels.txt"], "--picture pilot/labels.txt cannot be read"),
        (["--picture", "nowhere.jpg"], "--picture nowhere.jpg cannot be read"),
        (["--tag", "cars"], "--tag must be NAME=VALUE"),
        (["--role", "me"], "A role is arn:aws:iam"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything(
    aws: Aws, desk: Path, options: list[str], says: str, capsys: Captured
) -> None:
    write_small_bundle(desk / "pilot")
    assert cli.run(["deploy", "./pilot", "my-pilot", *options]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.count("\n") == 1
    assert not aws.traffic


def test_without_role_image_or_bucket_it_says_what_to_give(aws: Aws, desk: Path, capsys: Captured) -> None:
    write_small_bundle(desk / "pilot")
    for missing in ("role", "image", "bucket"):
        path = aws.settings(desk)
        path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith(missing)))
        assert cli.run(["deploy", "./pilot", "my-pilot"]) == 2
        assert f"Give --{missing}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["predict", "pilot"], "Missing argument 'FILE...'"),
        (["predict", "pilot", "--batch", "s3://b/in/"], "given together"),
        (["predict", "pilot", "a.jpg", "--batch", "s3://b/in/", "--out", "s3://b/out/"], "Leave out FILE..."),
        (["predict", "./pilot", "--batch", "in", "--out", "s3://b/out/"], "s3://BUCKET/PREFIX. Received: 'in'"),
        (["predict", "./pilot", "--batch", "s3://b/in/", "--out", "s3://b/out/", "--threshold", "0.5"], "--threshold"),
        (["predict", "./pilot", "a.jpg", "--instance-type", "ml.m5.large"], "--instance-type is for --batch"),
        (["predict", "./pilot", "a.jpg", "--region", "eu-west-1"], "are for endpoint:NAME and --batch"),
        (["undeploy", "my_pilot"], "is not allowed"),
    ],
)
def test_predict_refuses_options_that_would_do_nothing(
    aws: Aws, desk: Path, arguments: list[str], says: str, capsys: Captured
) -> None:
    write_small_bundle(desk / "pilot")
    (desk / "a.jpg").write_bytes(jpeg())
    assert cli.run(arguments) == 2
    assert says in capsys.readouterr().err
    assert not aws.traffic


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("nowhere", "There is no model folder 'nowhere' here, and a training job cannot be looked for. No AWS region"),
        ("./nowhere", "nowhere does not exist"),
    ],
)
@pytest.mark.parametrize("command", ["deploy", "batch"])
def test_what_is_not_here_is_said_before_a_region_is_asked_for(
    aws: Aws, desk: Path, model: str, says: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (desk / "trainbox.toml").unlink()
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    there = ["--batch", f"s3://{aws.bucket}/in/", "--out", f"s3://{aws.bucket}/out/"]
    assert cli.run(["deploy", model, "pilot"] if command == "deploy" else ["predict", model, *there]) != 0
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_what_is_not_here_is_said_where_nobody_is_logged_in(aws: Aws, desk: Path, capsys: Captured) -> None:
    aws.faults.fail("DescribeTrainingJob", "ExpiredTokenException")
    assert cli.run(["deploy", "nowhere", "pilot"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("There is no model folder 'nowhere' here")
    assert "Log in again" in said


def test_a_picture_that_cannot_be_read_is_said_before_aws_is_asked(aws: Aws, desk: Path, capsys: Captured) -> None:
    assert cli.run(["deploy", "some-job", "pilot", "--picture", "nowhere.jpg"]) == 2
    assert "--picture nowhere.jpg cannot be read" in capsys.readouterr().err
    assert not aws.traffic


def test_an_endpoint_that_is_not_there_is_said(aws: Aws, desk: Path, capsys: Captured) -> None:
    (desk / "a.jpg").write_bytes(jpeg())
    assert cli.run(["predict", "endpoint:nobody", "a.jpg"]) == 2
    assert f"There is no endpoint 'nobody' in {aws.region}" in capsys.readouterr().err


def test_a_batch_of_nothing_is_refused_before_anything_is_made(aws: Aws, desk: Path, capsys: Captured) -> None:
    write_small_bundle(desk / "pilot")
    there = ["--batch", f"s3://{aws.bucket}/in/", "--out", f"s3://{aws.bucket}/out/"]
    assert cli.run(["predict", "./pilot", *there]) == 2
    assert "Nothing lies below" in capsys.readouterr().err
    aws.client("s3").put_object(Bucket=aws.bucket, Key="in/notes.txt", Body=b"no picture")
    assert cli.run(["predict", "./pilot", *there]) == 2
    assert "None of the 1 objects" in capsys.readouterr().err
    assert cli.run(["predict", "./pilot", *there, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["CreateTransformJob"]["BatchStrategy"] == "SingleRecord"
    assert not standing(aws)
    assert not aws.keys("trainbox/models")


def test_a_command_opens_one_account(aws: Aws, desk: Path) -> None:
    options = hosting_options.Given().chosen()
    assert options.account() is options.account(), "a second session would ask for a code of MFA again"
