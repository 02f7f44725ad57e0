"""S3 and CloudWatch Logs as SageMaker itself uses them: what the fake fetches, stores and says."""

import contextlib
import json
import queue
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amazon.refusals import Refusal

GONE = {"NoSuchBucket", "404", "NoSuchKey"}


def split(address: str) -> tuple[str, str]:
    """Return bucket and key of an s3:// address."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


class Storage:
    """S3, asked as the fake itself. ``region`` is where SageMaker is: a bucket elsewhere is no good to it."""

    def __init__(self, client: Any, region: str) -> None:
        self.client, self.region = client, region

    def fetch(self, source: dict[str, Any], folder: Path, role: str) -> None:
        """Download what a channel's S3DataSource names, as SageMaker lays it out; raise Refusal where that fails."""
        bucket, prefix = split(source["S3Uri"])
        folder.mkdir(parents=True, exist_ok=True)
        with self._said("Data download failed"):
            self.refuse_elsewhere(bucket)
            if source["S3DataType"] == "ManifestFile":
                names = self._manifest(bucket, prefix)
            else:
                names = {key: _below(key, prefix) for key in self.keys(bucket, prefix)}
            if not names:
                raise Refusal(
                    "ClientError",
                    f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source. Please ensure '
                    f"that the bucket exists in the selected region ({self.region}), that objects exist under that S3 "
                    f'prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}".',
                )
            for key, name in names.items():
                self._download(bucket, key, folder / name)

    def _manifest(self, bucket: str, key: str) -> dict[str, str]:
        first, *rest = json.loads(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())
        prefix = split(first["prefix"])[1]
        return {prefix + name: name for name in rest}

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """Return all keys below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def refuse_elsewhere(self, bucket: str) -> None:
        """Raise Refusal where a bucket is in another region."""
        found = self.client.get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1"
        if found != self.region:
            raise Refusal(
                "ClientError",
                f"Data download failed:PermanentRedirect (301): The bucket is in this region: {found}. Please use this "
                "region to retry the request",
            )

    def _download(self, bucket: str, key: str, path: Path) -> None:
        if key.endswith("/"):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for piece in self.client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20):
                file.write(piece)

    def read(self, address: str) -> bytes:
        """Return one object; raise Refusal where there is none."""
        bucket, key = split(address)
        with self._said("Data download failed"):
            return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def has(self, address: str) -> bool:
        """Tell whether an object exists."""
        bucket, key = split(address)
        try:
            self.client.head_object(Bucket=bucket, Key=key)
        except self.client.exceptions.ClientError:
            return False
        return True

    def write(self, address: str, path: Path, kms_key: str | None = None) -> None:
        """Store a file; raise Refusal where that fails."""
        bucket, key = split(address)
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        with self._said("Artifact upload failed"), path.open("rb") as file:
            self.client.put_object(Bucket=bucket, Key=key, Body=file, **encryption)

    def write_folder(self, address: str, folder: Path, kms_key: str | None = None) -> None:
        """Store a folder's contents as a .tar.gz; nothing where it is empty."""
        if not folder.is_dir() or not any(folder.iterdir()):
            return
        with tempfile.TemporaryDirectory() as scratch:
            packed = Path(scratch) / "packed.tar.gz"
            with tarfile.open(packed, "w:gz", compresslevel=1) as archive:
                for path in sorted(folder.iterdir()):
                    archive.add(path, path.name)
            self.write(address, packed, kms_key)

    def unpack(self, address: str, folder: Path) -> None:
        """Fetch a .tar.gz and unpack it; raise Refusal where that fails."""
        with tempfile.TemporaryDirectory() as scratch:
            packed = Path(scratch) / "packed.tar.gz"
            packed.write_bytes(self.read(address))
            folder.mkdir(parents=True, exist_ok=True)
            with tarfile.open(packed) as archive:
                archive.extractall(folder, filter="data")

    @contextlib.contextmanager
    def _said(self, doing: str) -> Iterator[None]:
        try:
            yield
        except self.client.exceptions.ClientError as problem:
            error = problem.response["Error"]
            status = problem.response["ResponseMetadata"]["HTTPStatusCode"]
            said = f"{doing}:{error['Code']} ({status}): {error['Message']}"
            raise Refusal("ClientError", said) from problem


def _below(key: str, prefix: str) -> str:
    """Return the file below the channel that an object becomes; a prefix may end within a name."""
    if key == prefix:
        return key.rpartition("/")[2]
    rest = key[len(prefix) :]
    return rest.lstrip("/") if prefix.endswith("/") or rest.startswith("/") else prefix.rpartition("/")[2] + rest


class LogStream:
    """A stream of CloudWatch Logs that lines are put to, in order and soon."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client, self._group, self._stream = client, group, stream
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=group)
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        self._lines: queue.Queue[tuple[int, str] | None] = queue.Queue()
        self._writer = threading.Thread(target=self._write, name=f"logs {stream}", daemon=True)
        self._writer.start()

    def put(self, line: str) -> None:
        """Say a line; CloudWatch knows no empty ones."""
        if line:
            self._lines.put((int(time.time() * 1000), line))

    def close(self) -> None:
        """Wait until all is written."""
        self._lines.put(None)
        self._writer.join()

    def _write(self) -> None:
        line = self._lines.get()
        while line is not None:
            events = []
            while line is not None:
                events.append({"timestamp": line[0], "message": line[1]})
                if self._lines.empty():
                    break
                line = self._lines.get()
            self._client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=events)
            line = line and self._lines.get()
