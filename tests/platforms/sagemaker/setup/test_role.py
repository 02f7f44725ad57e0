"""The execution role: that it may do what jobs need and nothing else, and what becomes of one that is there."""

import json
import os
from functools import cache
from typing import Any

import boto3
import pytest

from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed
from trainbox.platforms.sagemaker.setup import role

IMAGE = "999999999999.dkr.ecr.us-east-1.amazonaws.com/me/detectors@sha256:0a"


@cache
def session(region: str, key: str, secret: str) -> boto3.Session:
    """Return one session for all tests: it reads the services' models, which takes most of a test's time, once."""
    return boto3.Session(key, secret, region_name=region)


def opened(aws: Any, region: str | None = None) -> Account:
    region = region or aws.region
    return Account(session(region, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]), region)


def statements(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["Sid"]: one for one in document["PolicyDocument"]["Statement"]}


def test_a_role_is_made(aws: Any) -> None:
    account, said = opened(aws), []
    wanted = role.document(account, "jobs", "mine-1", None)
    found = role.ensure(account, wanted, said.append)
    assert found == role.Found("arn:aws:iam::123456789012:role/jobs", made=True)
    iam = aws.client("iam")
    seen = iam.get_role(RoleName="jobs")["Role"]
    statement = seen["AssumeRolePolicyDocument"]["Statement"][0]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert seen["Tags"] == [{"Key": "trainbox", "Value": "role"}]
    rights = iam.get_role_policy(RoleName="jobs", PolicyName="trainbox")["PolicyDocument"]
    assert rights == wanted["PolicyDocument"]
    assert iam.list_attached_role_policies(RoleName="jobs")["AttachedPolicies"] == []
    assert role.ensure(account, wanted, said.append) == role.Found(found.arn, made=False)
    assert said == ["Made the role 'jobs'. It takes some seconds until SageMaker can take it on."]


def test_it_may_do_no_more_than_jobs_need(aws: Any) -> None:
    rights = statements(role.document(opened(aws), "jobs", "mine-1", IMAGE))
    assert set(rights) == {"Objects", "ListObjects", "FindBucket", "Logs", "Image", "Registry", "Metrics"}
    assert rights["Objects"]["Resource"] == ["arn:aws:s3:::mine-1/trainbox/*"]
    assert rights["ListObjects"]["Condition"] == {"StringLike": {"s3:prefix": ["trainbox", "trainbox/*"]}}
    assert rights["Logs"]["Resource"] == ["arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/*"]
    assert rights["Image"]["Resource"] == ["arn:aws:ecr:us-east-1:999999999999:repository/me/detectors"]
    everything = [one for one in rights.values() if one["Resource"] == ["*"]]
    assert [one["Action"] for one in everything] == [["ecr:GetAuthorizationToken"], ["cloudwatch:PutMetricData"]]
    assert "cloudwatch:namespace" in str(rights["Metrics"]["Condition"])
    assert not [one for one in rights.values() if any(action.endswith("*") for action in one["Action"])]


def test_keys_and_networks_only_where_asked(aws: Any) -> None:
    rights = statements(role.document(opened(aws), "jobs", "mine-1", None, kms_key="1234-abcd", vpc=True))
    assert rights["Key"]["Resource"] == ["arn:aws:kms:eu-west-1:123456789012:key/1234-abcd"]
    assert all(action.startswith("ec2:") for action in rights["Network"]["Action"])
    named = "arn:aws:kms:us-east-1:999999999999:key/1"
    assert statements(role.document(opened(aws), "jobs", "mine-1", None, named))["Key"]["Resource"] == [named]
    with pytest.raises(UsageError, match="Rights cannot be given on an alias"):
        role.document(opened(aws), "jobs", "mine-1", None, "alias/mine")


def test_one_that_is_there_is_compared_and_left_as_it_is(aws: Any) -> None:
    account, said = opened(aws), []
    iam = aws.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    iam.create_role(RoleName="old", AssumeRolePolicyDocument=json.dumps(trust))
    found = role.ensure(account, role.document(account, "old", "mine-1", None), said.append)
    assert not found.made and len(said) == 2
    assert "SageMaker may not take it on" in said[0] and "its rights were not compared" in said[1]
    assert iam.get_role(RoleName="old")["Role"]["AssumeRolePolicyDocument"] == trust
    assert iam.list_role_policies(RoleName="old")["PolicyNames"] == []


def test_one_of_ours_for_another_bucket_is_said(aws: Any) -> None:
    account, said = opened(aws), []
    role.ensure(account, role.document(account, "jobs", "mine-1", None), print)
    role.ensure(account, role.document(account, "jobs", "mine-2", None), said.append)
    assert [line.split("lacks ")[1].split("'")[1] for line in said] == ["Objects", "ListObjects", "FindBucket"]


def test_one_whose_answer_was_lost_is_finished(aws: Any) -> None:
    account, said = opened(aws), []
    wanted = role.document(account, "jobs", "mine-1", None)
    aws.faults.lose("CreateRole")
    found = role.ensure(account, wanted, said.append)
    assert found == role.Found("arn:aws:iam::123456789012:role/jobs", made=True)
    assert len(said) == 1 and said[0].startswith("Made the role 'jobs'.")
    assert not aws.faults.left and len(aws.asked("CreateRole")) == 2
    rights = aws.client("iam").get_role_policy(RoleName="jobs", PolicyName="trainbox")["PolicyDocument"]
    assert rights == wanted["PolicyDocument"]


@pytest.mark.parametrize("tags", [[], [{"Key": "trainbox", "Value": "role"}]], ids=["not ours", "ours"])
def test_one_that_another_made_meanwhile_is_left_as_it_is(aws: Any, tags: list[dict[str, str]]) -> None:
    """Theirs has no rights yet. Ours is told by its tag and by our having asked twice: one of them is not enough."""
    account, said = opened(aws), []
    wanted = role.document(account, "jobs", "mine-1", None)
    iam = aws.client("iam")
    trust = json.dumps(wanted["AssumeRolePolicyDocument"])
    iam.create_role(RoleName="jobs", AssumeRolePolicyDocument=trust, Tags=tags)
    aws.faults.fail("GetRole", "NoSuchEntity", status=404)
    if not tags:
        aws.faults.drop("CreateRole")
    found = role.ensure(account, wanted, said.append)
    assert not found.made and "its rights were not compared" in said[0]
    assert iam.list_role_policies(RoleName="jobs")["PolicyNames"] == [] and not aws.faults.left


def test_a_role_that_cannot_be_finished_is_taken_back(aws: Any) -> None:
    account = opened(aws)
    aws.faults.fail("PutRolePolicy", "AccessDenied")
    with pytest.raises(AwsFailed, match=r"Cannot give the role 'jobs' its rights.*was made and removed again"):
        role.ensure(account, role.document(account, "jobs", "mine-1", None), print)
    assert "jobs" not in [one["RoleName"] for one in aws.client("iam").list_roles()["Roles"]]


def test_a_role_that_has_its_rights_is_taken_back_too(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    account, said, give = opened(aws), [], role._give_rights

    def interrupted(iam: Any, wanted: Any) -> None:
        give(iam, wanted)
        raise KeyboardInterrupt

    monkeypatch.setattr(role, "_give_rights", interrupted)
    with pytest.raises(KeyboardInterrupt):
        role.ensure(account, role.document(account, "jobs", "mine-1", None), said.append)
    assert said == ["Interrupted. The role 'jobs' was made and removed again."]
    assert "jobs" not in [one["RoleName"] for one in aws.client("iam").list_roles()["Roles"]]


@pytest.mark.parametrize(
    ("given", "name"), [("jobs", "jobs"), ("arn:aws:iam::123456789012:role/service-role/jobs", "jobs")]
)
def test_a_role_is_named_by_name_or_arn(given: str, name: str) -> None:
    assert role.name_of(given) == name


@pytest.mark.parametrize("given", ["a role", "arn:aws:iam::1:role/x", "x" * 65])
def test_what_is_no_role_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="neither a role's name nor its ARN"):
        role.name_of(given)
