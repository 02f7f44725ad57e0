"""The bucket: what it is set to, what becomes of one that is there, and what is left where it fails."""

import json
import os
from functools import cache
from typing import Any

import boto3
import pytest

from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused
from trainbox.platforms.sagemaker.setup import bucket


@cache
def session(region: str, key: str, secret: str) -> boto3.Session:
    """Return one session for all tests: it reads the services' models, which takes most of a test's time, once."""
    return boto3.Session(key, secret, region_name=region)


def opened(aws: Any, region: str | None = None) -> Account:
    region = region or aws.region
    return Account(session(region, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]), region)


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_a_bucket_is_private_encrypted_versioned_and_tidied_up(aws: Any, region: str) -> None:
    account = opened(aws, region)
    said: list[str] = []
    found = bucket.ensure(account, bucket.document(account, "mine-1"), said.append)
    assert found == bucket.Found("mine-1", made=True)
    s3 = account.client("s3")
    assert s3.head_bucket(Bucket="mine-1")["BucketRegion"] == region
    assert all(s3.get_public_access_block(Bucket="mine-1")["PublicAccessBlockConfiguration"].values())
    rule = s3.get_bucket_encryption(Bucket="mine-1")["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert s3.get_bucket_versioning(Bucket="mine-1")["Status"] == "Enabled"
    owner = s3.get_bucket_ownership_controls(Bucket="mine-1")["OwnershipControls"]["Rules"]
    assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    statement = json.loads(s3.get_bucket_policy(Bucket="mine-1")["Policy"])["Statement"][0]
    assert statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == ["arn:aws:s3:::mine-1", "arn:aws:s3:::mine-1/*"]
    tidying = s3.get_bucket_lifecycle_configuration(Bucket="mine-1")["Rules"][0]
    assert tidying["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert tidying["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert s3.get_bucket_tagging(Bucket="mine-1")["TagSet"] == [{"Key": "trainbox", "Value": "bucket"}]
    assert said == [f"Made the bucket 'mine-1' in {region}."]


def test_a_key_encrypts_it(aws: Any) -> None:
    account = opened(aws)
    bucket.ensure(account, bucket.document(account, "mine-1", "arn:aws:kms:eu-west-1:123456789012:key/k"), print)
    rule = account.s3.get_bucket_encryption(Bucket="mine-1")["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": "arn:aws:kms:eu-west-1:123456789012:key/k",
    }
    assert rule["BucketKeyEnabled"] is True


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_one_of_ours_that_is_there_is_as_it_would_be_made(aws: Any, region: str) -> None:
    account = opened(aws, region)
    wanted = bucket.document(account, "mine-1")
    bucket.ensure(account, wanted, print)
    said: list[str] = []
    assert bucket.ensure(account, wanted, said.append) == bucket.Found("mine-1", made=False)
    assert said == []


def test_one_that_is_there_is_compared_and_left_as_it_is(aws: Any) -> None:
    account = opened(aws)
    account.s3.create_bucket(Bucket="mine-1", CreateBucketConfiguration={"LocationConstraint": aws.region})
    account.s3.put_bucket_versioning(Bucket="mine-1", VersioningConfiguration={"Status": "Suspended"})
    said: list[str] = []
    found = bucket.ensure(account, bucket.document(account, "mine-1"), said.append)
    assert not found.made
    assert "it is set otherwise, not so that it keeps old versions of objects" in found.differences
    assert "it is not set that it refuses connections without TLS" in found.differences
    assert len(said) == len(found.differences) >= 5
    assert account.s3.get_bucket_versioning(Bucket="mine-1")["Status"] == "Suspended"


def test_a_bucket_in_another_region_is_refused(aws: Any) -> None:
    elsewhere = opened(aws, "us-west-2")
    bucket.ensure(elsewhere, bucket.document(elsewhere, "mine-1"), print)
    account = opened(aws)
    with pytest.raises(
        AwsRefused, match=r"is in us-west-2, and jobs in eu-west-1 need one there\. Give another --bucket"
    ):
        bucket.ensure(account, bucket.document(account, "mine-1"), print)


@pytest.mark.parametrize(("seen", "status"), [("by a look", 403), ("when it is created", 404)])
def test_somebody_elses_bucket_is_refused(aws: Any, seen: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 says 403 of another account's bucket, which moto does not; it does refuse to create one."""
    mine = opened(aws)
    role = {"RoleArn": "arn:aws:iam::210987654321:role/other", "RoleSessionName": "other"}
    other = aws.client("sts").assume_role(**role)["Credentials"]
    bucket.ensure(mine, bucket.document(mine, "taken-1"), print)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", other["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", other["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", other["SessionToken"])
    theirs = aws.account()
    assert theirs.number == "210987654321"
    aws.faults.fail("HeadBucket", str(status), status=status)
    with pytest.raises(AwsRefused, match="'taken-1' belongs to another account") as refused:
        bucket.ensure(theirs, bucket.document(theirs, "taken-1"), print)
    assert refused.value.exit_status == 2 and "\n" not in str(refused.value)
    assert refused.value.code == {403: "403", 404: "BucketAlreadyExists"}[status]


def test_one_made_by_another_at_the_same_time_is_ours(aws: Any) -> None:
    account = opened(aws)
    bucket.ensure(account, bucket.document(account, "mine-1"), print)
    aws.faults.fail("HeadBucket", "404", status=404)
    assert bucket.ensure(account, bucket.document(account, "mine-1"), print) == bucket.Found("mine-1", made=False)


def test_one_whose_answer_was_lost_is_finished(aws: Any) -> None:
    account, said = opened(aws), []
    aws.faults.lose("CreateBucket")
    found = bucket.ensure(account, bucket.document(account, "mine-1"), said.append)
    assert found == bucket.Found("mine-1", made=True) and said == ["Made the bucket 'mine-1' in eu-west-1."]
    assert not aws.faults.left and len(aws.asked("CreateBucket")) == 2
    # Nothing of it is otherwise than it would be made.
    assert bucket.ensure(account, bucket.document(account, "mine-1"), print) == bucket.Found("mine-1", made=False)


def test_one_that_another_set_up_meanwhile_is_left_as_it_is_though_we_asked_twice(aws: Any) -> None:
    account = opened(aws)
    account.s3.create_bucket(Bucket="mine-1", CreateBucketConfiguration={"LocationConstraint": aws.region})
    theirs = {"TagSet": [{"Key": "team", "Value": "theirs"}]}
    account.s3.put_bucket_tagging(Bucket="mine-1", Tagging=theirs)
    aws.faults.fail("HeadBucket", "404", status=404)
    aws.faults.drop("CreateBucket")
    found = bucket.ensure(account, bucket.document(account, "mine-1"), print)
    assert not found.made and "it is not set that it refuses connections without TLS" in found.differences
    assert aws.client("s3").get_bucket_tagging(Bucket="mine-1")["TagSet"] == theirs["TagSet"]
    assert not aws.asked("PutBucketPolicy", "PutBucketVersioning", "DeleteBucket")


def test_a_bucket_that_cannot_be_finished_is_taken_back(aws: Any) -> None:
    account = opened(aws)
    aws.faults.fail("PutBucketPolicy", "AccessDenied")
    with pytest.raises(AwsFailed, match=r"Cannot set Policy of the bucket 'mine-1'.*was made and removed again"):
        bucket.ensure(account, bucket.document(account, "mine-1"), print)
    assert not bucket.exists(account, "mine-1")


def test_one_that_can_neither_be_finished_nor_removed_is_said(aws: Any) -> None:
    account = opened(aws)
    aws.faults.fail("PutBucketPolicy", "AccessDenied")
    aws.faults.fail("DeleteBucket", "AccessDenied")
    with pytest.raises(AwsFailed, match=r"stands unfinished\. Cannot remove the bucket 'mine-1' again") as failed:
        bucket.ensure(account, bucket.document(account, "mine-1"), print)
    assert "\n" not in str(failed.value)
    assert bucket.exists(account, "mine-1")


def test_what_may_not_be_looked_at_is_said(aws: Any) -> None:
    account = opened(aws)
    bucket.ensure(account, bucket.document(account, "mine-1"), print)
    aws.faults.fail("GetBucketPolicy", "AccessDenied")
    found = bucket.ensure(account, bucket.document(account, "mine-1"), print)
    assert found.differences == ("it could not be seen whether it refuses connections without TLS (AccessDenied)",)


@pytest.mark.parametrize("name", ["Mine", "ab", "a.b.c", "-abc", "x" * 64, "s3://mine"])
def test_names_that_s3_would_not_take_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a bucket"):
        bucket.refuse_name(name)
