import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from trainbox import cli, tasks
from trainbox.cli.sagemaker_options import SageMakerOptions, seconds
from trainbox.errors import UsageError
from trainbox.platforms.settings import SageMakerSettings

ROLE = "arn:aws:iam::123456789012:role/trainbox"
IMAGE = "123456789012.dkr.ecr.us-west-2.amazonaws.com/trainbox:train"
GIVEN = ["--role", ROLE, "--image", IMAGE, "--bucket", "my-bucket", "--region", "us-west-2"]
SECRETS = {"AWS_ACCESS_KEY_ID": "AKIASECRETSECRETSECR", "AWS_SECRET_ACCESS_KEY": "very/secret+key"}


@pytest.fixture(scope="module")
def tub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tub."""
    folder = tmp_path_factory.mktemp("data") / "tub"
    tasks.get("drive").write_demo(folder, seed=1, size=200)
    return folder


@pytest.fixture(autouse=True)
def _desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A desk that is logged in nowhere, with no trainbox.toml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", *SECRETS, "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "no-such-file"))
    # Whoever is asked anything all the same does not answer.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return what a dry run prints, which must be one JSON document."""
    assert cli.run(["train", "drive", *arguments, "--on", "sagemaker", "--dry-run"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_a_dry_run_needs_no_credentials_and_asks_nothing(tub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(capsys, str(tub), "-p", "epochs=3", "--name", "lap-1", *GIVEN, "--spot", "--max-cost", "0.5")
    assert set(said) == {"platform", "request", "command", "estimate", "not_checked"}
    request = said["request"]
    assert request["TrainingJobName"] == "lap-1"
    assert request["HyperParameters"] == {"task": "drive", "epochs": "3"}
    assert request["ResourceConfig"]["InstanceType"] == tasks.get("drive").instance_type
    address = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    assert address.startswith("s3://my-bucket/trainbox/data/")
    assert shlex.split(said["command"])[:3] == ["aws", "sagemaker", "create-training-job"]
    assert address in said["command"]
    assert said["estimate"]["at_most_usd"] <= 0.5
    assert said["estimate"]["price_as_of"] == "2026-09-01"
    assert 0 < said["estimate"]["usd"][0] < said["estimate"]["usd"][1] < 0.5
    assert "credentials" in said["not_checked"]
    assert not Path("lap-1").exists()


def test_nothing_secret_is_in_a_dry_run(
    tub: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    assert cli.run(["train", "drive", str(tub), *GIVEN, "--on", "sagemaker", "--dry-run", "--env", "X=1"]) == 0
    said = capsys.readouterr()
    assert not [value for value in SECRETS.values() if value in said.out + said.err]
    for secret in ("TOKEN=hunter2", "X=AKIAIOSFODNN7EXAMPLE"):
        assert cli.run(["train", "drive", str(tub), *GIVEN, "--on", "sagemaker", "--dry-run", "--env", secret]) == 2
        said = capsys.readouterr()
        assert "looks like a secret" in said.err
        assert secret.partition("=")[2] not in said.out + said.err


def test_data_in_s3_is_named_and_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(capsys, "s3://laps/tubs/", "validation=s3://laps/friday=last.zip", *GIVEN)
    channels = {
        one["ChannelName"]: one["DataSource"]["S3DataSource"]["S3Uri"] for one in said["request"]["InputDataConfig"]
    }
    assert channels == {"train": "s3://laps/tubs/", "validation": "s3://laps/friday=last.zip"}
    assert said["estimate"]["billed_seconds"] is None
    assert "whether there is anything at s3://laps/tubs/" in said["not_checked"]


def test_every_option_reaches_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    further = ["--instance-type", "ml.m5.xlarge", "--max-runtime", "2h", "--keep-alive", "10m", "--volume", "77"]
    further += ["--subnet", "subnet-1", "--subnet", "subnet-2", "--security-group", "sg-1", "--kms-key", "alias/k"]
    further += ["--tag", "team=cars", "--env", "A=b=c", "--instances", "1"]
    request = shown(capsys, "s3://laps/tubs/", *GIVEN, *further)["request"]
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.m5.xlarge",
        "InstanceCount": 1,
        "VolumeSizeInGB": 77,
        "VolumeKmsKeyId": "alias/k",
        "KeepAlivePeriodInSeconds": 600,
    }
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200}
    assert request["VpcConfig"] == {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert request["Environment"] == {"A": "b=c"}
    assert {"Key": "team", "Value": "cars"} in request["Tags"]
    waiting = shown(capsys, "s3://laps/tubs/", *GIVEN, "--spot", "--max-runtime", "1h", "--max-wait", "3h")["request"]
    assert waiting["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 10800}


def test_every_option_of_a_search_reaches_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    further = ["--instance-type", "ml.m5.xlarge", "--spot", "--max-runtime", "1h", "--max-wait", "3h", "--volume", "77"]
    further += ["--subnet", "subnet-1", "--subnet", "subnet-2", "--security-group", "sg-1", "--kms-key", "alias/k"]
    further += ["--tag", "team=cars", "--env", "A=b=c", "--over", "dropout", "--on", "sagemaker", "--dry-run"]
    assert cli.run(["tune", "drive", "s3://laps/tubs/", *GIVEN, *further]) == 0
    request = json.loads(capsys.readouterr().out)["request"]
    definition = request["TrainingJobDefinition"]
    resources = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 77}
    assert definition["ResourceConfig"] == {**resources, "VolumeKmsKeyId": "alias/k"}
    assert definition["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 10800}
    assert definition["VpcConfig"] == {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert definition["Environment"] == {"A": "b=c"}
    assert {"Key": "team", "Value": "cars"} in request["Tags"]


def test_what_is_not_given_comes_from_trainbox_toml(capsys: pytest.CaptureFixture[str]) -> None:
    Path("trainbox.toml").write_text(
        f'[sagemaker]\nrole = "{ROLE}"\nimage = "{IMAGE}"\nbucket = "of-the-file"\nregion = "us-west-2"\n'
        'instance_type = "ml.m5.large"\ntags = {team = "cars", who = "me"}\n'
    )
    request = shown(capsys, "s3://laps/tubs/", "--instance-type", "ml.m5.xlarge", "--tag", "who=you")["request"]
    assert request["OutputDataConfig"]["S3OutputPath"] == "s3://of-the-file/trainbox/jobs"
    assert request["ResourceConfig"]["InstanceType"] == "ml.m5.xlarge"
    assert {one["Key"]: one["Value"] for one in request["Tags"]} == {"team": "cars", "who": "you", "trainbox": "drive"}


@pytest.mark.parametrize(
    "option",
    [
        *[["--instance-type", "ml.m5.large"], ["--instances", "1"], ["--spot"], ["--max-runtime", "1h"]],
        *[["--max-wait", "1h"], ["--max-cost", "0"], ["--keep-alive", "0"], ["--volume", "0"], ["--role", ROLE]],
        *[["--bucket", "b"], ["--region", "r"], ["--profile", "p"], ["--subnet", "s"], ["--security-group", "g"]],
        *[["--kms-key", "k"], ["--tag", "a=b"], ["--env", "a=b"], ["--detach"], ["--refresh-prices"]],
    ],
    ids=lambda option: option[0],
)
@pytest.mark.parametrize("platform", ["local", "docker"])
def test_an_option_of_sagemakers_is_refused_elsewhere(
    option: list[str], platform: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["train", "drive", ".", "--on", platform, *option]) == 2
    assert capsys.readouterr().err == f"{option[0]} is for --on sagemaker. Received: --on {platform}.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["s3://laps/tubs/", "--on", "local"], "Channel 'train' is s3://laps/tubs/, which only --on sagemaker reads."),
        (["s3://laps/tubs/", "--on", "local", "--dry-run"], "which only --on sagemaker reads."),
        (["s3://laps/tubs/", "--on", "sagemaker", "--checkpoints", "c"], "--checkpoints and --logs are folders here"),
        (["s3://laps/tubs/", "--on", "sagemaker"], "No AWS region is known. Give --region"),
        (["s3://laps/tubs/", "--on", "sagemaker", "--region", "us-west-2"], "No role is known. Give --role"),
        (["s3://x/", "--on", "sagemaker", *GIVEN, "--instances", "2"], "Training runs on one machine"),
        (["s3://x/", "--on", "sagemaker", *GIVEN, "--max-cost", "0"], "--max-cost is an amount in US dollars"),
        (["s3://x/", "--on", "sagemaker", *GIVEN, "--max-cost", "0.01"], "--max-cost 0.01 pays for 88 s"),
        (["s3://x/", "--on", "sagemaker", *GIVEN, "--max-cost", "1", "--region", "eu-north-1"], "needs a price"),
        (["s3://x/", "--on", "sagemaker", *GIVEN, "--max-runtime", "soon"], "--max-runtime is a time such as 90s"),
        (["s3://x/", "--on", "sagemaker", *GIVEN, "--tag", "team"], "--tag must be NAME=VALUE"),
        (["s3://x/", "--on", "sagemaker", *GIVEN, "--volume", "0"], "--volume must be 1 to 16384 GB"),
        (["notes", "--on", "sagemaker", *GIVEN, "--dry-run"], "notes"),
        (["s3://x/", "--on", "sagemaker", *GIVEN], "no AWS credentials were found"),
    ],
)
def test_refused_in_one_line_before_anything_is_spent(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("notes").mkdir()
    Path("notes/notes.txt").write_text("no records here")
    status = cli.run(["train", "drive", *arguments])
    assert status == (1 if "credentials" in says else 2)
    said = capsys.readouterr()
    assert says in said.err.splitlines()[-1]
    assert not said.out


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400), (None, 7)]
)
def test_times(text: str | None, value: int) -> None:
    assert seconds("--max-runtime", text, 7) == value


@pytest.mark.parametrize("text", ["", "h", "-1", "1w", "1h30m", "nan"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match=f"Received: '{text}'"):
        seconds("--max-runtime", text)


def test_options_win_over_the_file() -> None:
    settings = SageMakerSettings(region="eu-west-1", subnets=("subnet-1",), kms_key="k")
    joined = SageMakerOptions(region="us-west-2").over(settings)
    assert (joined.region, joined.subnet, joined.kms_key) == ("us-west-2", ("subnet-1",), "k")


def test_a_detached_job_is_priced_checked_begun_and_named(
    tub: Path, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    # It never comes to training: that it was begun is enough.
    aws.sagemaker.house.pause_seconds = 600
    aws.settings(Path.cwd(), instance_type="ml.m5.xlarge")
    arguments = ["--on", "sagemaker", "--name", "lap-1", "--spot", "--max-cost", "0.5", "--refresh-prices", "--detach"]
    assert cli.run(["train", "drive", str(tub), *arguments, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"bundle": None, "job": "lap-1"}
    assert "Prices of 6 kinds of machine in eu-west-1 are kept for you." in said.err
    assert "Estimate: " in said.err
    [request] = aws.sagemaker.asked("CreateTrainingJob")
    address = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    sent = aws.keys(address.removeprefix(f"s3://{aws.bucket}/"))
    assert any(key.endswith("manifest.json") for key in sent)
    # The dry run shows what was then asked.
    assert cli.run(["train", "drive", str(tub), *arguments, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["request"] == request
    assert not [secret for secret in aws.secrets if secret in said.out + said.err]


def test_nothing_is_sent_where_the_job_could_not_run(tub: Path, aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    aws.settings(Path.cwd(), instance_type="ml.m5.xlarge")
    aws.sagemaker.house.quotas["ml.m5.xlarge for training job usage"] = 0
    assert cli.run(["train", "drive", str(tub), "--on", "sagemaker"]) == 2
    assert "The quota 'ml.m5.xlarge for training job usage' is 0" in capsys.readouterr().err.splitlines()[-1]
    assert not aws.asked("PutObject", "CreateMultipartUpload", "CreateTrainingJob")
    assert aws.keys() == []
