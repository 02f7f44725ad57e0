"""Files sent to S3 in parallel: each checked by S3 as it comes, large ones in parts that a later try goes on from."""

import base64
import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from trainbox.data.text import printable
from trainbox.errors import ChannelError
from trainbox.platforms.sagemaker.storage.contents import InputFile

AT_ONCE = 10
"""Requests at a time: as many connections as botocore keeps."""

PART = 8 << 20
"""Bytes of a part, and of the largest file that is sent whole: each request holds as much in memory."""

MOST_PARTS = 10_000
LARGEST_COPY = 5 << 30
DAYS_KEPT = 7
"""How long the parts of an upload that was cut off wait for the next try."""

Sent = Callable[[int], None]
"""Is told of bytes that need not be sent any more."""


@dataclass(frozen=True)
class Store:
    """A bucket, and how objects in it are encrypted: with ``kms_key``, or as the bucket says."""

    s3: Any
    bucket: str
    kms_key: str | None = None

    @property
    def encryption(self) -> dict[str, str]:
        """What every request that makes an object says of it."""
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key} if self.kms_key else {}


@dataclass
class Counted:
    """What was done: files and bytes sent from here, files copied within S3, bytes of parts that were there."""

    files: int = 0
    bytes: int = 0
    copied: int = 0
    resumed: int = 0


def send(store: Store, files: Mapping[str, InputFile], copies: Mapping[bytes, str], sent: Sent) -> Counted:
    """Make an object of each file, by key, and return what it took.

    ``copies`` are keys of objects with the same content, by SHA-256. Raises ChannelError where a file is not any more
    what was digested, and whatever botocore raises; what was sent until then stays.
    """
    counted = Counted()
    with _pool() as pool:
        whole = {key: file for key, file in files.items() if file.size <= PART or file.sha256 in copies}
        rest: dict[str, InputFile] = {}
        work = {pool.submit(_copy_or_put, store, key, file, copies): key for key, file in whole.items()}
        for done in as_completed(work):
            how, key = done.result(), work[done]
            if how == "not copied":
                rest[key] = files[key]
                continue
            counted.copied += how == "copied"
            counted.files += how == "sent"
            counted.bytes += files[key].size if how == "sent" else 0
            sent(files[key].size)
        for key in sorted(files.keys() - whole.keys() | rest.keys()):
            _send_in_parts(store, key, files[key], pool, sent, counted)
            counted.files += 1
    return counted


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """Hold threads; where anything fails, what was not begun never is."""
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _copy_or_put(store: Store, key: str, file: InputFile, copies: Mapping[bytes, str]) -> str:
    source = copies.get(file.sha256)
    if source and file.size <= LARGEST_COPY and _copied(store, key, file, source):
        return "copied"
    if file.size > PART:
        return "not copied"
    content = file.path.read_bytes()
    if hashlib.sha256(content).digest() != file.sha256:
        raise _changed(file)
    with _refusing_changes(file):
        answer = store.s3.put_object(
            Bucket=store.bucket,
            Key=key,
            Body=content,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=_text(file.sha256),
            **store.encryption,
        )
    _refuse_other(answer, _text(file.sha256), file)
    return "sent"


def _copied(store: Store, key: str, file: InputFile, source: str) -> bool:
    """Copy within S3, which says the digest of what it copied; where that cannot be, or is another, it is sent."""
    from botocore.exceptions import ClientError

    try:
        answer = store.s3.copy_object(
            Bucket=store.bucket,
            Key=key,
            CopySource={"Bucket": store.bucket, "Key": source},
            ChecksumAlgorithm="SHA256",
            **store.encryption,
        )
    except ClientError:
        return False
    return bool(answer["CopyObjectResult"].get("ChecksumSHA256") == _text(file.sha256))


def _send_in_parts(
    store: Store, key: str, file: InputFile, pool: ThreadPoolExecutor, sent: Sent, counted: Counted
) -> None:
    from botocore.exceptions import ClientError

    size = part_size(file.size)
    upload, there = _unfinished(store, key)
    numbers = range(1, -(-file.size // size) + 1)
    work = {
        pool.submit(_send_part, store, key, upload, file, number, size, there.get(number)): number for number in numbers
    }
    parts: dict[int, dict[str, Any]] = {}
    try:
        for done in as_completed(work):
            part, was_there = done.result()
            parts[part["PartNumber"]] = part
            length = min(size, file.size - (part["PartNumber"] - 1) * size)
            counted.resumed += length if was_there else 0
            counted.bytes += 0 if was_there else length
            sent(length)
        _complete(store, key, upload, file, [parts[number] for number in numbers])
    except ChannelError:
        # A part that arrives behind the end of its upload would stay, and cost.
        _cancel(work)
        wait(work)
        store.s3.abort_multipart_upload(Bucket=store.bucket, Key=key, UploadId=upload)
        raise
    except ClientError as problem:
        _cancel(work)
        # Someone else sent the same and was ready first.
        if problem.response.get("Error", {}).get("Code") != "NoSuchUpload" or not _stands(store, key, file):
            raise


def part_size(size: int) -> int:
    """Return the bytes of a part: so many that there are no more parts than S3 takes."""
    return max(PART, -(-size // MOST_PARTS))


def _unfinished(store: Store, key: str) -> tuple[str, dict[int, Mapping[str, Any]]]:
    """Return the upload of this key that was cut off last and its parts by number, or a new one without parts."""
    found = [upload for upload in unfinished(store, key) if upload["Key"] == key]
    for upload in sorted(found, key=lambda upload: upload["Initiated"], reverse=True):
        pages = store.s3.get_paginator("list_parts").paginate(Bucket=store.bucket, Key=key, UploadId=upload["UploadId"])
        return upload["UploadId"], {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}
    made = store.s3.create_multipart_upload(
        Bucket=store.bucket, Key=key, ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE", **store.encryption
    )
    return made["UploadId"], {}


def unfinished(store: Store, prefix: str) -> list[dict[str, Any]]:
    """Return the uploads in parts below a prefix that were begun and not finished; none where we may not ask."""
    from botocore.exceptions import ClientError

    try:
        pages = store.s3.get_paginator("list_multipart_uploads").paginate(Bucket=store.bucket, Prefix=prefix)
        return [upload for page in pages for upload in page.get("Uploads", [])]
    except ClientError as problem:
        if problem.response.get("Error", {}).get("Code") == "AccessDenied":
            return []
        raise


def forget_old(store: Store, prefix: str, wanted: Container[str]) -> int:
    """Throw away parts that nobody came back for, which cost as much as what is whole; return of how many files.

    Those of the ``wanted`` keys stay: somebody has just come back for them.
    """
    before = datetime.now(UTC) - timedelta(days=DAYS_KEPT)
    old = [
        upload for upload in unfinished(store, prefix) if upload["Initiated"] < before and upload["Key"] not in wanted
    ]
    for upload in old:
        store.s3.abort_multipart_upload(Bucket=store.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return len(old)


def _send_part(
    store: Store, key: str, upload: str, file: InputFile, number: int, size: int, there: Mapping[str, Any] | None
) -> tuple[dict[str, Any], bool]:
    """Send a part where it is not there; return what completes the upload, and whether it was there."""
    with file.path.open("rb") as whole:
        whole.seek((number - 1) * size)
        content = whole.read(size)
    digest = _text(hashlib.sha256(content).digest())
    if there is not None and _is_part(there, content, digest):
        return {"PartNumber": number, "ETag": there["ETag"], "ChecksumSHA256": digest}, True
    with _refusing_changes(file):
        answer = store.s3.upload_part(
            Bucket=store.bucket,
            Key=key,
            UploadId=upload,
            PartNumber=number,
            Body=content,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=digest,
        )
    _refuse_other(answer, digest, file)
    return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": digest}, False


def _is_part(there: Mapping[str, Any], content: bytes, digest: str) -> bool:
    """Tell whether a part holds this: by its SHA-256, or by its MD5 in stores that keep no other."""
    if there.get("Size") != len(content):
        return False
    if there.get("ChecksumSHA256"):
        return bool(there["ChecksumSHA256"] == digest)
    return bool(there["ETag"].strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest())


def _complete(store: Store, key: str, upload: str, file: InputFile, parts: list[dict[str, Any]]) -> None:
    # What is put together is what was digested as a whole, or the file was changed between the two readings.
    if _digest_again(file) != file.sha256:
        raise _changed(file)
    answer = store.s3.complete_multipart_upload(
        Bucket=store.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    joined = hashlib.sha256(b"".join(base64.b64decode(part["ChecksumSHA256"]) for part in parts)).digest()
    said = answer.get("ChecksumSHA256", "")
    if said and said.split("-")[0] != _text(joined):
        store.s3.delete_object(Bucket=store.bucket, Key=key)
        raise _changed(file)


def _digest_again(file: InputFile) -> bytes:
    with file.path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()


def _stands(store: Store, key: str, file: InputFile) -> bool:
    from botocore.exceptions import ClientError

    try:
        return bool(store.s3.head_object(Bucket=store.bucket, Key=key)["ContentLength"] == file.size)
    except ClientError:
        return False


@contextmanager
def _refusing_changes(file: InputFile) -> Iterator[None]:
    """Say of a digest that does not fit what arrived that the file was changed meanwhile."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as problem:
        code = problem.response.get("Error", {}).get("Code")
        if code in {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}:
            raise _changed(file) from problem
        raise


def _refuse_other(answer: Mapping[str, Any], digest: str, file: InputFile) -> None:
    if answer.get("ChecksumSHA256", digest) != digest:
        raise _changed(file)


def _changed(file: InputFile) -> ChannelError:
    return ChannelError(f"{printable(file.name)} was changed while it was sent. Begin again when nothing writes to it.")


def _cancel(work: Iterable["Future[Any]"]) -> None:
    for future in work:
        future.cancel()


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
