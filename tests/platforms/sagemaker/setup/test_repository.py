"""The repository in ECR: how it is made, what is said of one that is there, and which of its tags move."""

import json
from typing import Any

import pytest

from trainbox.platforms.sagemaker.aws.failures import AwsFailed
from trainbox.platforms.sagemaker.setup import repository


def test_a_repository_is_made_once(aws: Any) -> None:
    said: list[str] = []
    made, new = repository.ensure(aws.account(), "things/trainbox", said.append)
    assert new and made["imageTagMutability"] == "IMMUTABLE"
    assert made["imageScanningConfiguration"]["scanOnPush"] is True
    assert said == ["Made the repository 'things/trainbox' in eu-west-1: scanned on push, tags immutable."]
    client = aws.client("ecr")
    rules = json.loads(client.get_lifecycle_policy(repositoryName="things/trainbox")["lifecyclePolicyText"])["rules"]
    assert [rule["selection"]["tagStatus"] for rule in rules] == ["untagged", "any"]
    tags = client.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"]
    assert tags == [{"Key": "trainbox", "Value": "image"}]
    again, new = repository.ensure(aws.account(), "things/trainbox", said.append)
    assert again["repositoryArn"] == made["repositoryArn"] and not new and len(said) == 1


def test_a_repository_that_is_there_is_compared_and_left_as_it_is(aws: Any) -> None:
    aws.client("ecr").create_repository(repositoryName="other", imageTagMutability="MUTABLE")
    said: list[str] = []
    found, new = repository.ensure(aws.account(), "other", said.append)
    assert not new and found["imageTagMutability"] == "MUTABLE"
    assert len(said) == 2 and "its tags can be moved" in said[0] and "does not scan" in said[1]


def test_a_repository_whose_answer_was_lost_is_finished(aws: Any) -> None:
    said: list[str] = []
    aws.faults.lose("CreateRepository")
    made, new = repository.ensure(aws.account(), "first", said.append)
    assert new and made["imageTagMutability"] == "IMMUTABLE" and len(said) == 1 and not aws.faults.left
    assert aws.client("ecr").get_lifecycle_policy(repositoryName="first")["lifecyclePolicyText"]


def test_a_repository_that_another_made_meanwhile_is_not_touched(aws: Any) -> None:
    aws.client("ecr").create_repository(repositoryName="theirs")
    aws.faults.fail("DescribeRepositories", "RepositoryNotFoundException")
    aws.faults.drop("CreateRepository")
    with pytest.raises(AwsFailed, match="RepositoryAlreadyExistsException"):
        repository.ensure(aws.account(), "theirs", print)
    assert not aws.asked("PutLifecyclePolicy")


@pytest.mark.parametrize(
    ("setting", "filters", "moving", "fixed", "says"),
    [
        ("MUTABLE", [], ["1.0", "latest"], [], ["its tags can be moved to other images"]),
        ("IMMUTABLE", [], [], ["1.0", "latest"], []),
        (
            "IMMUTABLE_WITH_EXCLUSION",
            ["latest", "dev-*"],
            ["latest", "dev-", "dev-7"],
            ["1.0", "latest-1", "Latest", "my-dev-7"],
            ["its tags that are like latest and dev-* can be moved to other images"],
        ),
        (
            "MUTABLE_WITH_EXCLUSION",
            ["v*.0"],
            ["latest", "v1.1", "v1x0"],
            ["v1.0", "v.0"],
            ["its tags can be moved to other images, but for those like v*.0"],
        ),
    ],
)
def test_tags_that_are_excepted_move_where_others_do_not(
    aws: Any, setting: str, filters: list[str], moving: list[str], fixed: list[str], says: list[str]
) -> None:
    excepted = [{"filterType": "WILDCARD", "filter": one} for one in filters]
    further = {"imageTagMutabilityExclusionFilters": excepted} if filters else {}
    scanned = {"scanOnPush": True}
    aws.client("ecr").create_repository(
        repositoryName="other", imageTagMutability=setting, imageScanningConfiguration=scanned, **further
    )
    said: list[str] = []
    described = repository.ensure(aws.account(), "other", said.append)[0]
    assert [tag for tag in (*moving, *fixed) if repository.moves(described, tag)] == moving
    assert said == [f"Repository 'other' is left as it is, but {line}." for line in says]
