"""The model that is hosted: sent once, found by the name of its job, refused where it is none."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from amazon.aws import Aws
from platforms.sagemaker.small_bundle import jpeg, write_small_bundle
from trainbox.errors import ModelFileError
from trainbox.platforms.sagemaker.aws.failures import AwsFailed
from trainbox.platforms.sagemaker.storage import artifact as artifacts


def test_a_model_is_sent_once_and_without_what_serving_does_not_read(aws: Aws, tmp_path: Path) -> None:
    said: list[str] = []
    folder = write_small_bundle(tmp_path / "pilot")
    for _ in range(2):
        with artifacts.opened(str(folder), aws.account, said.append) as artifact:
            address = artifact.place(aws.bucket, "trainbox")
            artifacts.send(aws.account(), artifact, address, said.append)
    assert aws.keys("trainbox/models") == [f"trainbox/models/{artifact.digest}/model.tar.gz"]
    assert len(aws.asked("PutObject")) == 1
    assert "already" in said[-1]
    body = aws.client("s3").get_object(Bucket=aws.bucket, Key=artifacts.split(address)[1])["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert archive.getnames() == ["labels.txt", "manifest.json", "model.tflite"]
    assert artifact.picture == jpeg()
    assert artifact.task == "drive"


def test_an_archive_is_the_same_model_as_its_folder(aws: Aws, tmp_path: Path) -> None:
    folder = write_small_bundle(tmp_path / "pilot")
    packed = tmp_path / "model.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, "model")
    digests = []
    for path in (folder, packed, write_small_bundle(tmp_path / "other", b"other")):
        with artifacts.opened(str(path), aws.account, print) as artifact:
            digests.append(artifact.digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_folder_wins_over_a_job_of_that_name_and_it_is_said(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small_bundle(tmp_path / "pilot")
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    with artifacts.opened("pilot", aws.account, said.append) as artifact:
        assert artifact.folder == Path("pilot")
    assert "'pilot' is the one on this machine" in said[0]
    assert not aws.traffic


def test_what_is_neither_a_folder_nor_a_job_is_said(aws: Aws, tmp_path: Path) -> None:
    with (
        pytest.raises(ModelFileError, match="neither a model folder here nor a training job in"),
        artifacts.opened("no-such-job", aws.account, print),
    ):
        pass
    with pytest.raises(ModelFileError, match="does not exist"), artifacts.opened("./nowhere", aws.account, print):
        pass


def test_a_bucket_that_is_missing_is_said(aws: Aws, tmp_path: Path) -> None:
    with artifacts.opened(str(write_small_bundle(tmp_path / "pilot")), aws.account, print) as artifact:
        address = artifact.place("no-such-bucket", "trainbox")
        with pytest.raises(AwsFailed, match="no-such-bucket"):
            artifacts.send(aws.account(), artifact, address, print)


def test_a_large_model_that_was_cut_off_is_gone_on_with(aws: Aws, tmp_path: Path) -> None:
    with artifacts.opened(str(write_small_bundle(tmp_path / "pilot", os.urandom(20 << 20))), aws.account, print) as one:
        address = one.place(aws.bucket, "trainbox")
        aws.faults.fail("UploadPart", "AccessDenied", times=9, after=2)
        with pytest.raises(AwsFailed, match="send the model to s3://"):
            artifacts.send(aws.account(), one, address, print)
        aws.faults.clear()
        sent = len(aws.asked("UploadPart"))
        artifacts.send(aws.account(), one, address, print)
    assert len(aws.asked("UploadPart")) - sent == 1, "the one of three parts that was not there"
    body = aws.client("s3").get_object(Bucket=aws.bucket, Key=artifacts.split(address)[1])["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert archive.getnames() == ["labels.txt", "manifest.json", "model.tflite"]


def test_an_upload_survives_what_passes(aws: Aws, tmp_path: Path) -> None:
    aws.faults.fail("PutObject", "SlowDown", times=2)
    aws.faults.drop("PutObject")
    with artifacts.opened(str(write_small_bundle(tmp_path / "pilot")), aws.account, print) as artifact:
        artifacts.send(aws.account(), artifact, artifact.place(aws.bucket, "trainbox"), print)
    assert len(aws.keys("trainbox/models")) == 1
