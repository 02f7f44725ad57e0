"""The model artifact that is hosted: a bundle of this machine, sent once, or what a training job left in S3."""

import base64
import hashlib
import json
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import error as ZlibError

from trainbox.errors import ModelFileError, UsageError
from trainbox.export import tarball
from trainbox.export.bundle import LARGEST_MANIFEST, Bundle
from trainbox.platforms import job as jobs
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, LoggedOut, said_by_aws
from trainbox.platforms.sagemaker.storage import sending
from trainbox.platforms.sagemaker.storage.contents import InputFile
from trainbox.platforms.sagemaker.storage.inputs import split
from trainbox.platforms.sagemaker.storage.sending import Store

Say = Callable[[str], None]

MANIFEST, REPORT = "manifest.json", "report.html"
SERVED = (".tflite", ".txt", ".pbtxt")
"""What serving reads beside the manifest: the rest of a bundle only makes an endpoint start later."""

_PICTURE = re.compile(rb"data:image/jpeg;base64,([A-Za-z0-9+/=]+)")
_FOUND_MISSING = {"404", "NotFound", "NoSuchKey"}


@dataclass(frozen=True)
class Artifact:
    """A model to host. ``digest`` (sha256, hex) says which; ``picture`` is one that its report shows, JPEG.

    ``address`` is where it lies in S3, "" for a bundle of this machine, which lies in ``folder``. ``image`` and
    ``role`` are those of the training job, where it is one's.
    """

    digest: str
    manifest: Mapping[str, Any] = field(repr=False)
    picture: bytes | None = field(default=None, repr=False)
    address: str = ""
    folder: Path | None = None
    image: str | None = None
    role: str | None = None

    @property
    def task(self) -> str:
        """The name of the task that the model was trained for."""
        return str(self.manifest.get("task"))

    def place(self, bucket: str | None, prefix: str) -> str:
        """Return where in S3 it lies, or will: below the digest, so that the same model is sent once."""
        if self.address:
            return self.address
        if not bucket:
            raise UsageError(
                "A model on this machine goes to S3 first. Give --bucket, or write bucket into trainbox.toml."
            )
        return f"s3://{bucket}/{prefix}/models/{self.digest}/model.tar.gz"

    def refuse_unserved(self, file: str) -> None:
        """Raise ModelFileError where ``file`` is none of the model's .tflite files."""
        there = [name for name in self.manifest.get("models", {}) if name.endswith(".tflite")]
        if file not in there:
            raise ModelFileError(f"The model has no '{file}' to serve. It has: {', '.join(there) or 'no .tflite'}.")


@contextmanager
def opened(named: str, account: Callable[[], Account], say: Say) -> Iterator[Artifact]:
    """Hold the model that is named: a bundle's folder or archive, else a training job; a folder of that name wins.

    Raises ModelFileError where it is neither or no bundle, UsageError for a job that has no model, AwsFailed.
    """
    path = Path(named)
    if path.exists() or not jobs.NAME.fullmatch(named):
        if jobs.NAME.fullmatch(named):
            say(f"'{named}' is the one on this machine. A training job of that name is not looked for.")
        with Bundle.open(path) as bundle:
            yield _of_bundle(bundle)
    else:
        yield _of_job_of_that_name(account, named)


def send(account: Account, artifact: Artifact, address: str, say: Say, kms_key: str | None = None) -> None:
    """Bring a bundle of this machine to ``address``, unless it is there; raise AwsFailed."""
    if artifact.folder is None:
        return
    bucket, key = split(address)
    if _is_there(account, bucket, key):
        say(f"The model is in {address} already.")
        return
    with tempfile.TemporaryDirectory(prefix="trainbox-model-") as scratch:
        packed = Path(scratch) / "model.tar.gz"
        tarball.pack(artifact.folder, _served(artifact), packed)
        say(f"Sending the model, {packed.stat().st_size / 1e6:.1f} MB, to {address}.")
        with packed.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").digest()
        file = InputFile(packed.name, packed, packed.stat().st_size, digest)
        with said_by_aws(f"send the model to {address}"):
            sending.send(Store(account.s3, bucket, kms_key), {key: file}, {}, lambda count: None)


def _of_bundle(bundle: Bundle) -> Artifact:
    content = (bundle.folder / MANIFEST).read_bytes()
    report = bundle.folder / REPORT
    picture = _first_picture(report.read_bytes()) if report.is_file() else None
    # The manifest has the digest of every other file.
    return Artifact(hashlib.sha256(content).hexdigest(), bundle.manifest, picture, folder=bundle.folder)


def of_job(account: Account, name: str) -> Artifact:
    """Return the model that a training job left in S3; raise UsageError where it has none, and as ``opened``."""
    return _left_by(account, _described(account, name))


def _of_job_of_that_name(asked: Callable[[], Account], name: str) -> Artifact:
    not_here = f"There is no model folder '{name}' here, and a training job cannot be looked for."
    try:
        account = asked()
        job = _described(account, name)
    except UsageError as problem:
        raise UsageError(f"{not_here} {problem}") from problem
    except LoggedOut as problem:
        raise LoggedOut(f"{not_here} {problem}", problem.code) from problem
    return _left_by(account, job)


def _described(account: Account, name: str) -> Mapping[str, Any]:
    try:
        with said_by_aws(f"find the training job '{name}'"):
            return account.sagemaker.describe_training_job(TrainingJobName=name)
    except AwsFailed as problem:
        if problem.code not in ("ValidationException", "ResourceNotFound"):
            raise
        raise ModelFileError(
            f"'{name}' is neither a model folder here nor a training job in {account.region}. Check its spelling."
        ) from problem


def _left_by(account: Account, job: Mapping[str, Any]) -> Artifact:
    name = job["TrainingJobName"]
    address = job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
    if job["TrainingJobStatus"] not in ("Completed", "Stopped") or not address:
        raise UsageError(
            f"Training job '{name}' is {job['TrainingJobStatus']} and has no model. Give one that has ended with one."
        )
    manifest, picture, tag = _read(account, address)
    digest = hashlib.sha256(f"{address} {tag}".encode()).hexdigest()
    image = job.get("AlgorithmSpecification", {}).get("TrainingImage")
    return Artifact(digest, manifest, picture, address, image=image, role=job.get("RoleArn"))


def _read(account: Account, address: str) -> tuple[Mapping[str, Any], bytes | None, str]:
    """Return the manifest, a picture and the entity tag of an artifact in S3, read as it comes and never stored."""
    bucket, key = split(address)
    wanted: dict[str, bytes] = {}
    with said_by_aws(f"read {address}"):
        answer = account.s3.get_object(Bucket=bucket, Key=key)
        try:
            with tarfile.open(fileobj=answer["Body"], mode="r|gz") as archive:
                for member in archive:
                    name, file = member.name.removeprefix("./"), archive.extractfile(member)
                    if file and name in (MANIFEST, REPORT) and member.size <= LARGEST_MANIFEST:
                        wanted[name] = file.read()
                    if len(wanted) == 2:
                        break
        except (tarfile.TarError, EOFError, ZlibError) as error:
            raise ModelFileError(f"{address} is no sound .tar.gz: {error}. Train again.") from error
        finally:
            answer["Body"].close()
    return _parsed(wanted.get(MANIFEST, b""), address), _first_picture(wanted.get(REPORT, b"")), answer["ETag"]


def _parsed(content: bytes, address: str) -> Mapping[str, Any]:
    try:
        manifest = json.loads(content)
        if isinstance(manifest, dict) and isinstance(manifest["models"], dict) and manifest["task"]:
            return manifest
    except (ValueError, KeyError, RecursionError):
        pass
    raise ModelFileError(f"{address} holds no model of Trainbox's: it has no {MANIFEST} of one.")


def _first_picture(page: bytes) -> bytes | None:
    """Return the first picture that a report shows."""
    found = _PICTURE.search(page)
    return base64.b64decode(found[1]) if found else None


def _served(artifact: Artifact) -> list[str]:
    return [MANIFEST, *(name for name in artifact.manifest["files"] if "/" not in name and name.endswith(SERVED))]


def _is_there(account: Account, bucket: str, key: str) -> bool:
    try:
        with said_by_aws(f"look into the bucket '{bucket}'"):
            account.s3.head_object(Bucket=bucket, Key=key)
    except AwsFailed as problem:
        if problem.code in _FOUND_MISSING:
            return False
        raise
    return True
