"""Data on its way to S3: to a place that its content names, nothing twice, nothing half."""

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from amazon.aws import Aws
from amazon.terminal import terminal
from trainbox.errors import ChannelError, DataError, UsageError
from trainbox.platforms.sagemaker.aws.failures import AwsRefused, LoggedOut
from trainbox.platforms.sagemaker.storage import contents, inputs, sending

SENDING = ("PutObject", "UploadPart", "CopyObject", "CreateMultipartUpload", "CompleteMultipartUpload")

UPLOAD = """
import sys
from pathlib import Path
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.storage import inputs
say = lambda line: print(line, file=sys.stderr, flush=True)
print(inputs.upload(Account.open(), sys.argv[1], "pre", {"train": Path(sys.argv[2])}, say)["train"])
"""


class Uploads:
    """Uploads of a test, and what they said and sent."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.said: list[str] = []

    def __call__(self, source: Path | str, prefix: str = "pre", kms_key: str | None = None) -> str:
        """Upload one channel, and return its address."""
        account = self.aws.account()
        return inputs.upload(account, self.aws.bucket, prefix, {"train": source}, self.said.append, kms_key)["train"]

    def sent(self) -> list[str]:
        """Return the operations that stored anything since the last time, and forget them."""
        operations = [asked.operation for asked in self.aws.traffic if asked.operation in SENDING]
        self.aws.traffic.clear()
        return operations


@pytest.fixture
def upload(aws: Aws) -> Uploads:
    return Uploads(aws)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "tub"
    (folder / "images").mkdir(parents=True)
    (folder / "images/1 ä.jpg").write_bytes(b"one")
    (folder / "images/2.jpg").write_bytes(b"two")
    (folder / "empty").write_bytes(b"")
    return folder


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "large.zip"
    path.write_bytes(os.urandom(2 * sending.PART + 5))
    yield path
    path.unlink(missing_ok=True)


def stored(aws: Aws, key: str) -> bytes:
    return aws.client("s3").get_object(Bucket=aws.bucket, Key=key)["Body"].read()


def unfinished(aws: Aws) -> list[str]:
    uploads = aws.client("s3").list_multipart_uploads(Bucket=aws.bucket).get("Uploads", [])
    return [upload["UploadId"] for upload in uploads]


def test_the_place_is_named_by_names_and_contents(aws: Aws, upload: Uploads, data: Path, tmp_path: Path) -> None:
    address = upload(data)
    assert address.startswith(f"s3://{aws.bucket}/pre/data/")
    digest = address.rstrip("/").rpartition("/")[2]
    assert len(digest) == 64
    where = f"pre/data/{digest}"
    assert aws.keys() == [f"{where}.complete", f"{where}/empty", f"{where}/images/1 ä.jpg", f"{where}/images/2.jpg"]
    assert stored(aws, f"{where}/images/1 ä.jpg") == b"one"
    marker = json.loads(stored(aws, f"{where}.complete"))
    assert marker["sha256"]["images/2.jpg"] == hashlib.sha256(b"two").hexdigest()
    assert upload.sent() == ["PutObject"] * 4
    data.rename(tmp_path / "elsewhere")
    assert upload(tmp_path / "elsewhere") == address
    assert upload.sent() == []
    assert upload.said[-1] == "Channel 'train': 3 files, 6 bytes in S3 already."
    (tmp_path / "elsewhere/images/2.jpg").rename(tmp_path / "elsewhere/images/3.jpg")
    assert upload(tmp_path / "elsewhere") != address


def test_a_file_is_a_channel_with_its_name(aws: Aws, upload: Uploads, data: Path) -> None:
    upload(data / "images/2.jpg")
    assert [key.rpartition("/")[2] for key in aws.keys("") if not key.endswith(".complete")] == ["2.jpg"]


def test_only_what_is_new_is_sent(aws: Aws, upload: Uploads, data: Path) -> None:
    upload(data)
    upload.sent()
    (data / "images/3.jpg").write_bytes(b"three")
    address = upload(data)
    assert sorted(upload.sent()) == ["CopyObject"] * 3 + ["PutObject"] * 2, "a new picture and the marker"
    assert upload.said[-1] == "Channel 'train': 1 file, 5 bytes sent, 3 files copied within S3."
    assert stored(aws, address.removeprefix(f"s3://{aws.bucket}/") + "images/1 ä.jpg") == b"one"


def test_every_object_has_the_checksum_of_its_file(aws: Aws, upload: Uploads, large: Path) -> None:
    address = upload(large)
    assert upload.sent().count("UploadPart") == 3
    key = address.removeprefix(f"s3://{aws.bucket}/") + "large.zip"
    assert stored(aws, key) == large.read_bytes()
    parts = [large.read_bytes()[at : at + sending.PART] for at in range(0, large.stat().st_size, sending.PART)]
    joined = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
    head = aws.client("s3").head_object(Bucket=aws.bucket, Key=key, ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"].split("-")[0] == base64.b64encode(joined).decode()
    assert unfinished(aws) == []


def test_an_upload_cut_off_goes_on_where_it_was(aws: Aws, upload: Uploads, large: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    large.rename(folder / "large.zip")
    (folder / "small").write_bytes(b"small")
    # The small file goes first, then parts of the large one: the credentials expire behind the first of these.
    aws.faults.fail("UploadPart", "ExpiredToken", times=2, after=1)
    with pytest.raises(LoggedOut, match=r"Cannot send channel 'train' .*Log in again"):
        upload(folder)
    assert upload.said[-1] == "What was sent is kept for 7 days: the same command goes on from there."
    assert not [key for key in aws.keys("") if key.endswith(".complete")]
    assert len(unfinished(aws)) == 1
    first = upload.sent()
    aws.faults.clear()
    address = upload(folder)
    second = upload.sent()
    assert (first.count("PutObject"), second.count("PutObject")) == (1, 1), "the small file, and the marker"
    assert second.count("UploadPart") == 2
    assert " there from the last try" in upload.said[-1]
    key = address.removeprefix(f"s3://{aws.bucket}/") + "large.zip"
    assert stored(aws, key) == (folder / "large.zip").read_bytes()
    assert unfinished(aws) == []


def test_progress_counts_every_byte_once(aws: Aws, upload: Uploads, large: Path, data: Path) -> None:
    upload(data)
    large.rename(data / "large.zip")
    found = contents.read("train", data, upload.said.append)
    files = {f"pre/{file.name}": file for file in found.files}
    copied = {file.sha256: aws.keys("pre/data/")[-1] for file in found.files if file.name == "images/2.jpg"}
    store = sending.Store(aws.account().s3, aws.bucket)
    told: list[int] = []
    aws.faults.fail("UploadPart", "AccessDenied", after=1)
    with pytest.raises(ClientError):
        sending.send(store, files, copied, told.append)
    assert 0 < sum(told) < found.size
    told.clear()
    counted = sending.send(store, files, copied, told.append)
    assert counted.copied == 1 and counted.resumed
    assert sum(told) == found.size


def test_off_a_terminal_a_long_upload_says_now_and_then_how_far_it_is() -> None:
    said: list[str] = []
    moment = 0.0
    sent = inputs.Lines("Channel 'train'", 40_000_000, said.append, lambda: moment)
    for moment in (10.0, 30.0, 59.0, 60.0):  # noqa: B007
        sent(10_000_000)
    assert said == ["Channel 'train': 20.0 MB of 40.0 MB sent.", "Channel 'train': 40.0 MB of 40.0 MB sent."]


def test_on_a_terminal_an_upload_has_a_bar(aws: Aws, data: Path) -> None:
    with terminal(UPLOAD, aws.bucket, str(data)) as uploading:
        uploading.read_until("Channel 'train'")
        uploading.read_until("3 files, 6 bytes sent.")
        assert uploading.ended().startswith(f"s3://{aws.bucket}/pre/data/")
    assert "6/6 bytes" in uploading.shown


def test_what_was_deleted_is_sent_again(aws: Aws, upload: Uploads, data: Path) -> None:
    address = upload(data)
    key = address.removeprefix(f"s3://{aws.bucket}/") + "images/2.jpg"
    aws.client("s3").delete_object(Bucket=aws.bucket, Key=key)
    upload.sent()
    upload(data)
    assert stored(aws, key) == b"two"


def test_parts_that_nobody_comes_back_for_are_thrown_away(aws: Aws, upload: Uploads, data: Path) -> None:
    s3 = aws.client("s3")
    # To moto every upload was begun in 2010.
    for key in ("pre/data/abc/large.zip", "pre/data/abc/wanted.zip", "of/others"):
        s3.create_multipart_upload(Bucket=aws.bucket, Key=key)
    store = sending.Store(aws.account().s3, aws.bucket)
    assert sending.forget_old(store, "pre/data/", {"pre/data/abc/wanted.zip"}) == 1
    left = {upload["Key"] for upload in s3.list_multipart_uploads(Bucket=aws.bucket)["Uploads"]}
    assert left == {"pre/data/abc/wanted.zip", "of/others"}
    upload(data)
    assert len(unfinished(aws)) == 1, "every upload looks after it"


def test_what_is_written_to_meanwhile_is_refused(aws: Aws, upload: Uploads, data: Path) -> None:
    found = contents.read("train", data, upload.said.append)
    (data / "images/2.jpg").write_bytes(b"new")
    store = sending.Store(aws.account().s3, aws.bucket)
    with pytest.raises(ChannelError, match=r"images/2.jpg was changed while it was sent"):
        sending.send(store, {file.name: file for file in found.files}, {}, lambda count: None)


def test_only_what_training_would_read_is_sent(aws: Aws, upload: Uploads, data: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not in the folder")
    (data / "link-out").symlink_to(tmp_path / "secret")
    (data / "link-in").symlink_to(data / "images/2.jpg")
    (data / ".DS_Store").write_bytes(b"litter")
    os.mkfifo(data / "fifo")
    address = upload(data)
    where = address.removeprefix(f"s3://{aws.bucket}/")
    names = {key.removeprefix(where) for key in aws.keys(where)}
    assert names == {"empty", "images/1 ä.jpg", "images/2.jpg", "link-in"}
    assert stored(aws, where + "link-in") == b"two"
    assert any("link leads out of the folder" in line for line in upload.said)


def test_what_no_channel_may_hold_is_refused(aws: Aws, upload: Uploads, data: Path, tmp_path: Path) -> None:
    (tmp_path / "hollow").mkdir()
    with pytest.raises(ChannelError, match="is empty"):
        upload(tmp_path / "hollow")
    with pytest.raises(ChannelError, match="does not exist"):
        upload(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ChannelError, match="neither a file nor a folder"):
        upload(tmp_path / "fifo")
    (data / os.fsdecode(b"\xff.jpg")).write_bytes(b"a")
    with pytest.raises(ChannelError, match=r"\\xff.jpg cannot be stored in S3"):
        upload(data)
    (data / os.fsdecode(b"\xff.jpg")).unlink()
    (data / "IMAGES").mkdir()
    (data / "IMAGES/2.jpg").write_bytes(b"a")
    with pytest.raises(DataError, match="differ only in case"):
        upload(data)
    assert upload.sent() == []


def test_addresses_are_used_in_place(aws: Aws, upload: Uploads, data: Path) -> None:
    address = aws.put(data, "mine/tub")
    assert upload(address) == address
    assert upload.sent() == []
    with pytest.raises(ChannelError, match="there is nothing at s3://"):
        upload(f"s3://{aws.bucket}/nothing")
    with pytest.raises(UsageError, match="s3://BUCKET/PREFIX"):
        upload("s3://")


def test_a_bucket_elsewhere_is_one_clear_line(aws: Aws, upload: Uploads, data: Path) -> None:
    aws.client("s3", "us-west-2").create_bucket(
        Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )
    line = r"Bucket 'far-away' is in us-west-2, and the job in eu-west-1: .* Give --region us-west-2"
    with pytest.raises(AwsRefused, match=line):
        inputs.upload(aws.account(), "far-away", "pre", {"train": data}, upload.said.append)
    with pytest.raises(AwsRefused, match=line):
        upload("s3://far-away/tub")
    with pytest.raises(AwsRefused, match=r"Bucket 'no-such-bucket' does not exist\. Make it: trainbox init"):
        inputs.upload(aws.account(), "no-such-bucket", "pre", {"train": data}, upload.said.append)
    assert upload.sent() == []


def test_all_is_encrypted_with_the_key_that_was_given(aws: Aws, upload: Uploads, data: Path, large: Path) -> None:
    large.rename(data / "large.zip")
    key = f"arn:aws:kms:{aws.region}:{aws.number}:key/12345678-1234-1234-1234-123456789012"
    upload(data, kms_key=key)
    for name in aws.keys(""):
        head = aws.client("s3").head_object(Bucket=aws.bucket, Key=name)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key), name


def test_parts_are_never_too_many() -> None:
    assert sending.part_size(1) == sending.PART
    for size in (sending.PART * sending.MOST_PARTS, sending.PART * sending.MOST_PARTS + 1, 5 << 40):
        assert -(-size // sending.part_size(size)) <= sending.MOST_PARTS
