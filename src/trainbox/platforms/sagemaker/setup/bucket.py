"""The bucket for data, models and checkpoints: private, encrypted, versioned, and tidied up by S3 itself."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused, said_by_aws, was_asked_again
from trainbox.platforms.sagemaker.aws.likeness import compact, includes
from trainbox.platforms.sagemaker.aws.names import OUR_TAG
from trainbox.platforms.sagemaker.setup import making
from trainbox.platforms.sagemaker.setup.making import Say

DAYS_TO_UPLOAD = 7
DAYS_OF_OLD_VERSIONS = 30
WITHOUT_LOCATION = "us-east-1"
"""The one region that S3 refuses to be told."""
NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class _Part:
    """One property of a bucket: what S3 calls it, the verbs' common ending, and what it does."""

    key: str
    ending: str
    does: str


PARTS = (
    _Part("PublicAccessBlockConfiguration", "public_access_block", "blocks all public access"),
    _Part("OwnershipControls", "bucket_ownership_controls", "makes the account the owner of all objects"),
    _Part("ServerSideEncryptionConfiguration", "bucket_encryption", "encrypts objects as asked"),
    _Part("VersioningConfiguration", "bucket_versioning", "keeps old versions of objects"),
    _Part("LifecycleConfiguration", "bucket_lifecycle_configuration", "throws away old versions and cut-off uploads"),
    _Part("Tagging", "bucket_tagging", f"has the tag '{OUR_TAG}'"),
    _Part("Policy", "bucket_policy", "refuses connections without TLS"),
)
NEVER_BY_ITSELF = ("LifecycleConfiguration", "Tagging", "Policy")
"""What S3 sets for no bucket that is just made: where one has it, somebody has begun to use it."""


@dataclass(frozen=True)
class Found:
    """What became of a bucket: made just now, or there already and in ``differences`` unlike what would be made."""

    name: str
    made: bool
    differences: tuple[str, ...] = ()


def default_name(account: Account) -> str:
    """Return a name that nobody else has."""
    return f"trainbox-{account.number}-{account.region}"


def refuse_name(name: str) -> None:
    """Raise UsageError where S3 would not take the name. Dots are left out: they break TLS."""
    if not NAME.fullmatch(name):
        raise UsageError(f"--bucket {name!r} is no name of a bucket: 3 to 63 small letters, digits and '-'.")


def document(account: Account, name: str, kms_key: str | None = None) -> dict[str, Any]:
    """Return all that is set for a bucket that is made, in S3's own words."""
    return {
        "Bucket": name,
        "Region": account.region,
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "ServerSideEncryptionConfiguration": {"Rules": [_encryption(kms_key)]},
        "VersioningConfiguration": {"Status": "Enabled"},
        "LifecycleConfiguration": {"Rules": [_lifecycle()]},
        "Tagging": {"TagSet": [{"Key": OUR_TAG, "Value": "bucket"}]},
        "Policy": policy(account.partition, name),
    }


def policy(partition: str, name: str) -> dict[str, Any]:
    """Return the bucket's policy: nobody may ask for anything without TLS."""
    address = f"arn:{partition}:s3:::{name}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "RefuseWithoutTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [address, f"{address}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def _encryption(kms_key: str | None) -> dict[str, Any]:
    if not kms_key:
        return {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms_key}
    # A key of the bucket's own, for a while: asking KMS for every object is slow and billed.
    return {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}


def _lifecycle() -> dict[str, Any]:
    return {
        "ID": "trainbox",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": DAYS_TO_UPLOAD},
        "NoncurrentVersionExpiration": {"NoncurrentDays": DAYS_OF_OLD_VERSIONS},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    }


def ensure(account: Account, wanted: Mapping[str, Any], say: Say) -> Found:
    """Make the bucket that ``document`` describes; one that is there already is compared with it and left as it is.

    Raises AwsRefused where the name is somebody else's or the bucket is in another region, AwsFailed otherwise. A
    bucket that cannot be finished is taken back.
    """
    name = wanted["Bucket"]
    what = f"bucket '{name}'"
    if exists(account, name) or not _created(account, name):
        return Found(name, made=False, differences=making.left_as_it_is(what, compare(account, wanted), say))
    making.finish(what, lambda: _finish(account, wanted), lambda: account.s3.delete_bucket(Bucket=name), say)
    say(f"Made the {what} in {account.region}.")
    return Found(name, made=True)


def exists(account: Account, name: str) -> bool:
    """Tell whether a bucket of this account's has the name; raise AwsRefused where it is elsewhere or another's."""
    try:
        with said_by_aws(f"look at the bucket '{name}'"):
            seen = account.s3.head_bucket(Bucket=name, ExpectedBucketOwner=account.number)
    except AwsFailed as problem:
        if problem.code == "404":
            return False
        if problem.code == "403":
            raise _of_somebody_else(name, problem.code) from problem
        raise
    region = seen.get("BucketRegion") or account.region
    if region != account.region:
        raise AwsRefused(
            f"The bucket '{name}' is in {region}, and jobs in {account.region} need one there. Give another --bucket."
        )
    return True


def _of_somebody_else(name: str, code: str) -> AwsRefused:
    return AwsRefused(
        f"The bucket '{name}' belongs to another account, or you may not look at it ({code}). Give another --bucket.",
        code,
    )


def _created(account: Account, name: str) -> bool:
    """Create the bucket, which was not there; False where it is there meanwhile and ours, as after two at once."""
    place = {} if account.region == WITHOUT_LOCATION else {"LocationConstraint": account.region}
    request = {"Bucket": name, **({"CreateBucketConfiguration": place} if place else {})}
    try:
        with said_by_aws(f"create the bucket '{name}'"):
            account.s3.create_bucket(**request)
    except AwsFailed as problem:
        if problem.code == "BucketAlreadyOwnedByYou":
            return was_asked_again(problem) and _is_bare(account, name)
        if problem.code == "BucketAlreadyExists":
            raise _of_somebody_else(name, problem.code) from problem
        raise
    return True


def _finish(account: Account, wanted: Mapping[str, Any]) -> None:
    with said_by_aws(f"see the bucket '{wanted['Bucket']}' after it was made"):
        account.s3.get_waiter("bucket_exists").wait(
            Bucket=wanted["Bucket"], WaiterConfig={"Delay": 2, "MaxAttempts": 15}
        )
    for part in PARTS:
        value = wanted[part.key]
        with said_by_aws(f"set {part.key} of the bucket '{wanted['Bucket']}'"):
            put = getattr(account.s3, f"put_{part.ending}")
            put(Bucket=wanted["Bucket"], **{part.key: compact(value) if part.key == "Policy" else value})


def _is_bare(account: Account, name: str) -> bool:
    """Tell whether nobody has set anything for a bucket yet; False where that cannot be seen."""
    try:
        return all(_there(account, name, part) is None for part in PARTS if part.key in NEVER_BY_ITSELF)
    except AwsFailed:
        return False


def _there(account: Account, name: str, part: _Part) -> Any:
    """Return what a property of a bucket is set to, None where it is not set; raise AwsFailed."""
    try:
        with said_by_aws(f"look at {part.key} of the bucket '{name}'"):
            answer = getattr(account.s3, f"get_{part.ending}")(Bucket=name)
    except AwsFailed as problem:
        if problem.code.startswith("NoSuch") or problem.code.endswith("NotFoundError"):
            return None
        raise
    return json.loads(answer["Policy"]) if part.key == "Policy" else answer.get(part.key, answer)


def compare(account: Account, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what a bucket that is there differs from ``wanted``: "it does not ..."."""
    for part in PARTS:
        try:
            there = _there(account, wanted["Bucket"], part)
        except AwsFailed as problem:
            yield f"it could not be seen whether it {part.does} ({problem.code})"
            continue
        if there is None:
            yield f"it is not set that it {part.does}"
        elif not includes(there, _without_names(wanted[part.key])):
            yield f"it is set otherwise, not so that it {part.does}"


def _without_names(value: Any) -> Any:
    """Return a setting without the names that somebody else would have chosen otherwise."""
    if isinstance(value, dict):
        return {key: _without_names(one) for key, one in value.items() if key not in ("ID", "Sid", "Filter")}
    return [_without_names(one) for one in value] if isinstance(value, list) else value
