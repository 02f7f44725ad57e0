"""What a training job made, brought here: its model artifact fetched, unpacked, verified and put in place."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from trainbox.errors import ModelFileError
from trainbox.export.bundle import Bundle
from trainbox.export.tarball import LARGEST_SUM
from trainbox.platforms import place
from trainbox.platforms.job import JobFailed
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import said_by_aws
from trainbox.platforms.sagemaker.running import advice
from trainbox.platforms.sagemaker.running.bill import Bill
from trainbox.platforms.sagemaker.running.kinds import ENDED, Description, server_time
from trainbox.platforms.sagemaker.running.watching import how_to_go_on
from trainbox.platforms.sagemaker.storage.inputs import split

Say = Callable[[str], None]


def fetch(account: Account, description: Description, out: Path, say: Say, last_lines: Sequence[str] = ()) -> Path:
    """Bring an ended job's bundle to ``out`` and return that; say what it cost.

    A job that was stopped early, by its time limit too, has the best model that it had. Raises JobFailed where there
    is none, saying why; AwsFailed where S3 cannot be read; ModelFileError where what was fetched is no sound bundle.
    """
    job = description["TrainingJobName"]
    if description["TrainingJobStatus"] not in ENDED:
        raise JobFailed(f"The training job '{job}' has not ended. {how_to_go_on(job)}", 1, False)
    for line in bill_of(description).in_the_end():
        say(line)
    if description["TrainingJobStatus"] == "Failed":
        raise advice.failed(description, last_lines)
    with tempfile.TemporaryDirectory(prefix="trainbox-model-", ignore_cleanup_errors=True) as scratch:
        packed = Path(scratch) / "model.tar.gz"
        if not _download(account, description, packed):
            raise advice.stopped(description)
        with _opened(packed, description) as bundle:
            place.put(bundle.folder, out)
    return out


def bill_of(description: Description) -> Bill:
    """Return what a job cost, or has cost when it was described."""
    return Bill.of(description, server_time(description))


def artifact(description: Description) -> str:
    """Return the s3:// address of a job's model.tar.gz, "" where SageMaker names none."""
    return str(description.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""))


def _download(account: Account, description: Description, target: Path) -> bool:
    """Fetch the model artifact, and return whether there is one; raise ModelFileError where it is too large."""
    from botocore.exceptions import ClientError

    address = artifact(description)
    if not address:
        return False
    bucket, key = split(address)
    with said_by_aws(f"fetch {address}"):
        try:
            size = account.s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
        except ClientError as problem:
            if problem.response.get("Error", {}).get("Code") in {"404", "NoSuchKey"}:
                return False
            raise
        if size > LARGEST_SUM:
            raise ModelFileError(f"{address} is larger than {LARGEST_SUM} bytes: that is no model folder of ours.")
        account.s3.download_file(bucket, key, str(target))
    return True


def _opened(packed: Path, description: Description) -> Bundle:
    """Unpack and verify; a stopped job may have left an archive without a model in it."""
    try:
        return Bundle.open(packed)
    except ModelFileError as problem:
        unfinished = "manifest.json" in str(problem) or "a name that no bundle has" in str(problem)
        if description["TrainingJobStatus"] == "Stopped" and unfinished:
            raise advice.stopped(description) from problem
        line = f"{artifact(description)} is no model folder: {str(problem).replace(str(packed), 'in it')}"
        raise ModelFileError(line) from problem
