"""``trainbox init``: what it asks, shows, makes and writes."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainbox import cli
from trainbox.platforms.settings import FILE, Settings

BUCKET = "trainbox-123456789012-eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/trainbox-sagemaker"
BOTH = ["--create-bucket", "--create-role"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def buckets(aws: Any) -> list[str]:
    return [one["Name"] for one in aws.client("s3").list_buckets()["Buckets"]]


def roles(aws: Any) -> list[str]:
    return [one["RoleName"] for one in aws.client("iam").list_roles()["Roles"]]


def test_settings_alone_are_written_and_nothing_is_asked_of_aws(aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    values = ["--region", "eu-west-1", "--bucket", "mine-1", "--role", ROLE, "--instance-type", "ml.g5.xlarge"]
    assert cli.run(["init", *values, "--subnet", "subnet-1", "--subnet", "subnet-2", "--security-group", "sg-1"]) == 0
    settings = Settings.read().sagemaker
    assert (settings.region, settings.bucket, settings.role) == ("eu-west-1", "mine-1", ROLE)
    assert (settings.subnets, settings.security_groups) == (("subnet-1", "subnet-2"), ("sg-1",))
    assert settings.instance_type == "ml.g5.xlarge" and settings.profile is None
    assert aws.traffic == []
    assert "Wrote trainbox.toml" in capsys.readouterr().out


def test_a_bucket_and_a_role_are_shown_and_made(aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["init", *BOTH, "--yes", "--json"]) == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert result["bucket"] == {"name": BUCKET, "made": True, "differences": []}
    assert result["role"] == {"arn": ROLE, "made": True, "differences": []}
    assert '"aws:SecureTransport": "false"' in said.err and '"aws:SourceAccount": "123456789012"' in said.err
    assert BUCKET in buckets(aws) and "trainbox-sagemaker" in roles(aws)
    settings = Settings.read().sagemaker
    assert (settings.region, settings.bucket, settings.role) == ("eu-west-1", BUCKET, ROLE)
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    assert secret not in said.out + said.err + FILE.read_text()
    # The same command again finds all as it would make it.
    assert cli.run(["init", *BOTH, "--yes", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["bucket"] == {"name": BUCKET, "made": False, "differences": []}
    assert again["role"] == {"arn": ROLE, "made": False, "differences": []}


@pytest.mark.parametrize("option", ["--dry-run", "--show"])
def test_a_dry_run_prints_everything_and_makes_nothing(
    aws: Any, option: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (buckets(aws), roles(aws))
    arguments = ["--bucket", "mine-1", "--kms-key", "arn:aws:kms:eu-west-1:123456789012:key/1", "--subnet", "subnet-1"]
    assert cli.run(["init", *BOTH, *arguments, option]) == 0
    said = capsys.readouterr()
    shown = json.loads(said.out)
    assert shown["settings"]["bucket"] == "mine-1" and shown["bucket"]["Bucket"] == "mine-1"
    assert {one["Sid"] for one in shown["role"]["PolicyDocument"]["Statement"]} >= {"Key", "Network", "Objects"}
    assert (buckets(aws), roles(aws)) == before and list(folder.iterdir()) == []
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in said.out + said.err


def test_a_dry_run_needs_no_credentials(
    aws: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert cli.run(["init", *BOTH, "--region", "eu-west-1", "--dry-run"]) == 0
    said = capsys.readouterr()
    shown = json.loads(said.out)
    assert shown["bucket"]["Bucket"] == "trainbox-000000000000-eu-west-1"
    assert shown["settings"]["role"] == "arn:aws:iam::000000000000:role/trainbox-sagemaker"
    assert said.err.count("\n") == 1 and "no AWS credentials were found" in said.err
    assert "000000000000 stands here for the account's number" in said.err
    # The number that the role's ARN says is not supposed.
    assert cli.run(["init", *BOTH, "--region", "eu-west-1", "--role", ROLE, "--show"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["bucket"]["Bucket"] == BUCKET and said.err == ""
    # What nobody but AWS knows.
    assert cli.run(["init", "--role", "mine", "--region", "eu-west-1", "--dry-run"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("Cannot ask AWS who you are: no AWS credentials were found.")
    assert said.err.count("\n") == 1 and said.out == ""
    assert aws.traffic == [] and list(folder.iterdir()) == []
    # Making wants them.
    assert cli.run(["init", *BOTH, "--region", "eu-west-1", "--yes"]) == 1
    assert "Cannot ask AWS who you are: no AWS credentials were found." in capsys.readouterr().err


def test_without_a_terminal_nothing_is_made_unasked(aws: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["init", *BOTH]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "Nothing was made: there is no terminal to ask on. Add --yes" in said.err
    assert BUCKET not in buckets(aws) and list(folder.iterdir()) == []


def test_what_the_file_has_otherwise_is_replaced_only_where_asked(aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    FILE.write_text('# Ours.\n[sagemaker]\nregion = "eu-west-1"  # near\nbucket = "old-1"\n')
    assert cli.run(["init", "--bucket", "new-1", "--role", ROLE, "--create-bucket", "--yes"]) == 2
    assert (
        'trainbox.toml has bucket = "old-1" already, not "new-1". Replace it: --overwrite.' in capsys.readouterr().err
    )
    assert "new-1" not in buckets(aws) and Settings.read().sagemaker.role is None
    assert cli.run(["init", "--bucket", "new-1", "--role", ROLE, "--overwrite", "--yes"]) == 0
    assert Settings.read().sagemaker.bucket == "new-1"
    text = FILE.read_text()
    assert text.startswith("# Ours.\n[sagemaker]\n") and 'region = "eu-west-1"  # near\n' in text


def test_a_roles_name_becomes_its_arn(aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["init", "--role", aws.role.rpartition("/")[2]]) == 0
    assert Settings.read().sagemaker.role == aws.role
    # By its name or its ARN, it is the one that the file has.
    assert cli.run(["init", "--role", aws.role.rpartition("/")[2]]) == 0
    FILE.unlink()
    assert cli.run(["init", "--role", "nobody"]) == 1
    assert "Cannot look at the role 'nobody'" in capsys.readouterr().err
    assert not FILE.exists()


def test_a_failure_halfway_says_what_was_made(aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    aws.faults.fail("CreateRole", "AccessDenied")
    assert cli.run(["init", *BOTH, "--yes"]) == 2
    said = capsys.readouterr()
    assert f"The bucket '{BUCKET}' was made and stays; trainbox.toml was not written." in said.err
    assert said.err.strip().splitlines()[-1].startswith("Cannot create the role 'trainbox-sagemaker'")
    assert not FILE.exists() and BUCKET in buckets(aws)
    assert cli.run(["init", *BOTH, "--yes"]) == 0
    assert Settings.read().sagemaker.role == ROLE


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--yes"], "There is nothing to write. Say what"),
        (["--create-role", "--yes"], "The role is for one bucket. Name it with --bucket"),
        (["--bucket", "My_Bucket", "--create-bucket", "--yes"], "is no name of a bucket"),
        (["--role", "a b", "--bucket", "b-1", "--create-role", "--yes"], "neither a role's name nor its ARN"),
        (["--profile", "nobody", "--create-bucket", "--yes"], "nobody"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    aws: Any, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["init", *arguments]) in (1, 2)
    said = capsys.readouterr()
    assert says in said.err and said.err.count("\n") == 1 and not said.out
    assert not FILE.exists()


def test_on_a_terminal_it_asks(aws: Any) -> None:
    """Every question takes what it offers, but for the instance type; the last one makes it."""
    status, said = on_a_terminal(["init"], ["", "", "", "y", "", "y", "", "ml.g5.xlarge", "y"])
    assert status == 0, said
    settings = Settings.read().sagemaker
    assert (settings.region, settings.bucket, settings.role) == ("eu-west-1", BUCKET, ROLE)
    assert settings.instance_type == "ml.g5.xlarge" and settings.image is None
    assert BUCKET in buckets(aws) and "trainbox-sagemaker" in roles(aws)
    assert said.index("RefuseWithoutTls") < said.index("Make this?") < said.index("Made the bucket")


def test_on_a_terminal_a_space_leaves_out_bucket_and_role(aws: Any) -> None:
    status, said = on_a_terminal(["init"], ["", "", " ", " ", "", "ml.g5.xlarge"])
    assert status == 0 and "Make the" not in said, said
    settings = Settings.read().sagemaker
    assert settings.region == "eu-west-1" and settings.bucket is None and settings.role is None


@pytest.mark.slow
def test_on_a_terminal_no_makes_nothing(aws: Any) -> None:
    status, said = on_a_terminal(["init"], ["", "", "", "y", "", "y", "", "", "n"])
    assert status == 2 and "Nothing was made and nothing was written." in said
    assert BUCKET not in buckets(aws) and not FILE.exists()


def on_a_terminal(arguments: list[str], answers: list[str]) -> tuple[int, str]:
    """Run the command on a terminal of its own, and give an answer to each question."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trainbox", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    said, waiting = "", list(answers)
    try:
        while True:
            try:
                piece = os.read(ours, 4096).decode()
            except OSError:
                break
            if not piece:
                break
            said += piece
            if waiting and said.endswith((": ", "]: ")):
                os.write(ours, f"{waiting.pop(0)}\n".encode())
        return process.wait(60), said
    finally:
        process.kill()
        process.wait()
        os.close(ours)
