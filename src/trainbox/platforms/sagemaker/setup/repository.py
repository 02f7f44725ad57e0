"""The repository in Amazon ECR: made where it is missing, and compared where it is there."""

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, said_by_aws, was_asked_again
from trainbox.platforms.sagemaker.aws.names import OUR_TAG
from trainbox.platforms.sagemaker.setup.making import Say

DAYS_UNTAGGED = 7
IMAGES_KEPT = 100


def settings(name: str) -> dict[str, Any]:
    """Return the request that makes a repository: scanned on push, tags that stay what they are."""
    return {
        "repositoryName": name,
        "imageTagMutability": "IMMUTABLE",
        "imageScanningConfiguration": {"scanOnPush": True},
        "tags": [{"Key": OUR_TAG, "Value": "image"}],
    }


def lifecycle() -> dict[str, Any]:
    """Return what ECR throws away by itself: what lost its tag, and all but the newest images."""
    return {
        "rules": [
            {
                "rulePriority": 1,
                "description": f"Images without a tag, after {DAYS_UNTAGGED} days",
                "selection": {
                    "tagStatus": "untagged",
                    "countType": "sinceImagePushed",
                    "countUnit": "days",
                    "countNumber": DAYS_UNTAGGED,
                },
                "action": {"type": "expire"},
            },
            {
                "rulePriority": 2,
                "description": f"All but the newest {IMAGES_KEPT} images",
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": IMAGES_KEPT},
                "action": {"type": "expire"},
            },
        ]
    }


def ensure(account: Account, name: str, say: Say) -> tuple[dict[str, Any], bool]:
    """Return what ECR says of a repository, and whether it was made just now; raise AwsFailed."""
    ecr = account.client("ecr")
    try:
        described = _described(ecr, name)
    except AwsFailed as problem:
        if problem.code != "RepositoryNotFoundException":
            raise
        return _made(ecr, name, account.region, say), True
    for line in differences(described):
        say(f"Repository '{name}' is left as it is, but {line}.")
    return described, False


def _described(ecr: Any, name: str) -> dict[str, Any]:
    with said_by_aws(f"look at the repository '{name}'"):
        return dict(ecr.describe_repositories(repositoryNames=[name])["repositories"][0])


def moves(described: Mapping[str, Any], tag: str) -> bool:
    """Tell whether a tag of a repository can be moved to another image; its filters name the exceptions."""
    setting = _mutability(described)
    excepted = setting.endswith("_WITH_EXCLUSION") and any(fnmatchcase(tag, one) for one in _filters(described))
    return setting.startswith("MUTABLE") is not excepted


def _mutability(described: Mapping[str, Any]) -> str:
    return str(described.get("imageTagMutability", "MUTABLE"))


def _filters(described: Mapping[str, Any]) -> list[str]:
    return [one["filter"] for one in described.get("imageTagMutabilityExclusionFilters", [])]


def differences(described: Mapping[str, Any]) -> list[str]:
    """Say in what a repository differs from one that Trainbox makes."""
    named = " and ".join(_filters(described))
    moving = {
        "IMMUTABLE": "",
        "IMMUTABLE_WITH_EXCLUSION": f"its tags that are like {named} can be moved to other images",
        "MUTABLE_WITH_EXCLUSION": f"its tags can be moved to other images, but for those like {named}",
    }.get(_mutability(described), "its tags can be moved to other images")
    scanned = described.get("imageScanningConfiguration", {}).get("scanOnPush")
    return [line for line in (moving, "" if scanned else "it does not scan on push") if line]


def _made(ecr: Any, name: str, region: str, say: Say) -> dict[str, Any]:
    described = _created(ecr, name)
    say(f"Made the repository '{name}' in {region}: scanned on push, tags immutable.")
    try:
        with said_by_aws(f"set the lifecycle of the repository '{name}'"):
            ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=json.dumps(lifecycle()))
    except AwsFailed as problem:
        # An image is worth pushing to it all the same: nothing but old images will stay.
        say(f"{problem} The repository stands without one, so that old images stay and are billed.")
    return described


def _created(ecr: Any, name: str) -> dict[str, Any]:
    wanted = settings(name)
    try:
        with said_by_aws(f"create the repository '{name}'"):
            return dict(ecr.create_repository(**wanted)["repository"])
    except AwsFailed as problem:
        if problem.code != "RepositoryAlreadyExistsException" or not was_asked_again(problem):
            raise
        # It was not there a moment ago: an answer may have been lost.
        there = _described(ecr, name)
        with said_by_aws(f"look at the tags of the repository '{name}'"):
            if ecr.list_tags_for_resource(resourceArn=there["repositoryArn"])["tags"] != wanted["tags"]:
                raise
        return there
