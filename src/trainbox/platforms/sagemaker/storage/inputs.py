"""A job's data in S3: at a place that its content names, so that nothing is sent twice."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from trainbox import __version__
from trainbox.errors import ChannelError, UsageError
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused, said_by_aws
from trainbox.platforms.sagemaker.storage import contents, sending
from trainbox.platforms.sagemaker.storage.contents import Contents, InputFile
from trainbox.platforms.sagemaker.storage.sending import Store

Say = Callable[[str], None]

SCHEME = "s3://"
COMPLETE = ".complete"
"""What is appended to the place of a channel for the object that says that all of it is there, written last."""

EARLIER = 5
"""How many earlier channels are looked through for files that can be copied within S3."""

LARGEST_MARKER = 64 << 20
SECONDS_BETWEEN_LINES = 30.0


def upload(
    account: Account,
    bucket: str,
    prefix: str,
    channels: Mapping[str, "Path | str"],
    say: Say,
    kms_key: str | None = None,
) -> dict[str, str]:
    """Bring every channel to S3 and return its address, "s3://bucket/prefix/data/<digest>/", by its name.

    What is there is not sent again, whether from another job or from an upload that was cut off, and files that an
    earlier channel holds are copied within S3. A str that begins with s3:// is used where it is. Raises ChannelError
    for data that no channel may hold, AwsRefused for a bucket that is missing or elsewhere, AwsFailed where S3 fails.
    """
    addresses: dict[str, str] = {}
    store = Store(account.s3, bucket, kms_key)
    local = {name: Path(source) for name, source in channels.items() if not is_address(source)}
    for name in channels.keys() - local.keys():
        addresses[name] = str(channels[name])
        refuse_empty(account, name, addresses[name])
    if local:
        refuse_other_region(account, bucket)
    read = {name: contents.read(name, _existing(name, source), say) for name, source in local.items()}
    for name, found in read.items():
        addresses[name] = f"{SCHEME}{bucket}/{place(prefix, found)}"
        with _kept_for_the_next_try(say), said_by_aws(f"send channel '{name}' to {addresses[name]}"):
            _bring(store, prefix, name, found, say)
    return {name: addresses[name] for name in channels}


def addresses(bucket: str, prefix: str, channels: Mapping[str, "Path | str"], say: Say) -> dict[str, str]:
    """Return the addresses that ``upload`` would return, and send nothing; raises ChannelError as it does."""
    found = {}
    for name, source in channels.items():
        if is_address(source):
            found[name] = str(source)
        else:
            found[name] = f"{SCHEME}{bucket}/{place(prefix, contents.read(name, _existing(name, Path(source)), say))}"
    return found


def is_address(source: "Path | str") -> bool:
    """Tell whether a channel is already in S3."""
    return isinstance(source, str) and source.startswith(SCHEME)


def place(prefix: str, found: Contents) -> str:
    """Return the key prefix of a channel's files, ending in "/"."""
    return f"{data_prefix(prefix)}{found.digest}/"


def data_prefix(prefix: str) -> str:
    """Return the key prefix of all channels' data."""
    return "/".join([*filter(None, prefix.split("/")), "data", ""])


def split(address: str) -> tuple[str, str]:
    """Return bucket and key of an s3:// address; raise UsageError where it names no bucket."""
    bucket, _, key = address.removeprefix(SCHEME).partition("/")
    if not address.startswith(SCHEME) or not bucket:
        raise UsageError(f"An address in S3 is s3://BUCKET/PREFIX. Received: {address!r}.")
    return bucket, key


def refuse_other_region(account: Account, bucket: str) -> None:
    """Raise AwsRefused where a bucket does not exist, is not ours to use, or lies in another region than the job."""
    region = _region(account, bucket)
    if region and region != account.region:
        raise AwsRefused(
            f"Bucket '{bucket}' is in {region}, and the job in {account.region}: SageMaker reads no other region. "
            f"Give --region {region}, or a bucket in {account.region}."
        )


def _region(account: Account, bucket: str) -> str:
    """Return where a bucket is, which S3 says even where it refuses to show it; "" where it does not say."""
    from botocore.exceptions import ClientError

    with said_by_aws(f"look at the bucket '{bucket}'"):
        try:
            answer = account.s3.head_bucket(Bucket=bucket)
        except ClientError as problem:
            answer = problem.response
            code = answer.get("Error", {}).get("Code")
            if code == "404":
                raise AwsRefused(
                    f"Bucket '{bucket}' does not exist. Make it: trainbox init, or give another."
                ) from None
            if code not in {"301", "400"} or not _header(answer):
                raise
    return _header(answer)


def _header(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region", ""))


def refuse_empty(account: Account, name: str, address: str) -> None:
    """Raise where an address has nothing below it, or SageMaker could not read it from the job's region."""
    bucket, key = split(address)
    refuse_other_region(account, bucket)
    with said_by_aws(f"look at channel '{name}' at {address}"):
        answer = account.s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    if not answer.get("Contents"):
        raise ChannelError(f"Channel '{name}' is empty: there is nothing at {address}. Check the address.")


def _existing(name: str, source: Path) -> Path:
    if source.is_dir() or source.is_file():
        return source
    if source.exists():
        raise ChannelError(f"Channel '{name}': {source} is neither a file nor a folder.")
    raise ChannelError(f"Channel '{name}': {source} does not exist. Give a file or folder on this machine, or s3://...")


@contextmanager
def _kept_for_the_next_try(say: Say) -> Iterator[None]:
    try:
        yield
    except (AwsFailed, KeyboardInterrupt):
        say(f"What was sent is kept for {sending.DAYS_KEPT} days: the same command goes on from there.")
        raise


def _bring(store: Store, prefix: str, name: str, found: Contents, say: Say) -> None:
    where = place(prefix, found)
    marker = where.rstrip("/") + COMPLETE
    present, complete = _there(store, where, marker)
    missing = {where + file.name: file for file in found.files if present.get(where + file.name) != file.size}
    if complete and not missing:
        say(f"Channel '{name}': {_amount(len(found.files), found.size)} in S3 already.")
        return
    sending.forget_old(store, data_prefix(prefix), missing)
    size = sum(file.size for file in missing.values())
    with _progress(f"Channel '{name}'", size, say) as sent:
        counted = sending.send(store, missing, _copies(store, prefix, missing) if missing else {}, sent)
    _write_marker(store, marker, found)
    _say_what_was_done(name, found, len(missing), counted, say)


def _there(store: Store, where: str, marker: str) -> tuple[dict[str, int], bool]:
    """Return the objects of a channel with their bytes, and whether the marker says that these are all."""
    pages = store.s3.get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix=where.rstrip("/"))
    objects = {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}
    return objects, marker in objects


def _copies(store: Store, prefix: str, missing: Mapping[str, InputFile]) -> dict[bytes, str]:
    """Return keys of objects with the content of missing files, by SHA-256, from the newest complete channels."""
    wanted = {file.sha256 for file in missing.values()}
    pages = store.s3.get_paginator("list_objects_v2").paginate(
        Bucket=store.bucket, Prefix=data_prefix(prefix), Delimiter="/"
    )
    markers = [entry for page in pages for entry in page.get("Contents", []) if entry["Key"].endswith(COMPLETE)]
    copies: dict[bytes, str] = {}
    for entry in sorted(markers, key=lambda entry: entry["LastModified"])[-EARLIER:]:
        where = entry["Key"].removesuffix(COMPLETE) + "/"
        for file, digest in _marked(store, entry):
            if digest in wanted:
                copies[digest] = where + file
    return copies


def _marked(store: Store, entry: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """Return names and digests of an earlier channel's files; nothing where its marker is none of ours."""
    if entry["Size"] > LARGEST_MARKER:
        return []
    document = store.s3.get_object(Bucket=store.bucket, Key=entry["Key"])["Body"].read()
    try:
        return [(str(name), bytes.fromhex(digest)) for name, digest in json.loads(document)["sha256"].items()]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


def _write_marker(store: Store, marker: str, found: Contents) -> None:
    document = {
        "trainbox": __version__,
        "completed": datetime.now(UTC).isoformat(timespec="seconds"),
        "bytes": found.size,
        "sha256": {file.name: file.sha256.hex() for file in found.files},
    }
    body = json.dumps(document, ensure_ascii=False).encode()
    store.s3.put_object(Bucket=store.bucket, Key=marker, Body=body, ContentType="application/json", **store.encryption)


def _say_what_was_done(name: str, found: Contents, missing: int, counted: sending.Counted, say: Say) -> None:
    parts = [f"{_amount(counted.files, counted.bytes)} sent"]
    if counted.copied:
        parts.append(f"{_files(counted.copied)} copied within S3")
    if counted.resumed:
        parts.append(f"{_bytes(counted.resumed)} there from the last try")
    if len(found.files) > missing:
        parts.append(f"{_files(len(found.files) - missing)} there already")
    say(f"Channel '{name}': {', '.join(parts)}.")


def _amount(files: int, size: int) -> str:
    return f"{_files(files)}, {_bytes(size)}"


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _bytes(size: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


@contextmanager
def _progress(name: str, size: int, say: Say) -> Iterator[sending.Sent]:
    """Show what is sent: a bar where standard error is a terminal, a line now and then elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield Lines(name, size, say)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=size)
        yield lambda count: bar.advance(task, count)


class Lines:
    """Says how much of ``size`` bytes was sent, every half minute."""

    def __init__(self, name: str, size: int, say: Say, clock: Callable[[], float] = monotonic) -> None:
        self._name, self._size, self._say, self._clock = name, size, say, clock
        self._done, self._last = 0, clock()

    def __call__(self, count: int) -> None:
        """Count bytes that need not be sent any more."""
        self._done += count
        if self._clock() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = self._clock()
            self._say(f"{self._name}: {_bytes(self._done)} of {_bytes(self._size)} sent.")
