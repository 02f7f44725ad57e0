"""The execution role: what SageMaker may do for our jobs and endpoints, and not a thing more."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, said_by_aws, was_asked_again
from trainbox.platforms.sagemaker.aws.likeness import compact, includes
from trainbox.platforms.sagemaker.aws.names import IMAGE, OUR_TAG, ROLE
from trainbox.platforms.sagemaker.setup import making
from trainbox.platforms.sagemaker.setup.making import Say

POLICY = "trainbox"
DEFAULT_NAME = "trainbox-sagemaker"
PREFIX = "trainbox"
"""All that jobs read and write in the bucket is below it."""
NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Found:
    """What became of a role: made just now, or there already and in ``differences`` unlike what would be made."""

    arn: str
    made: bool
    differences: tuple[str, ...] = ()


def name_of(role: str) -> str:
    """Return the name of a role given by name or ARN; raise UsageError."""
    found = ROLE.fullmatch(role)
    name = found["name"] if found else role
    if not NAME.fullmatch(name):
        raise UsageError(
            f"--role {role!r} is neither a role's name nor its ARN, as arn:aws:iam::123456789012:role/NAME."
        )
    return name


def arn_of(account: Account, role: str) -> str:
    """Return the ARN of a role given by name or ARN; raise AwsFailed where there is no role of the name."""
    if ROLE.fullmatch(role):
        return role
    with said_by_aws(f"look at the role '{name_of(role)}'"):
        return str(account.client("iam").get_role(RoleName=role)["Role"]["Arn"])


def document(
    account: Account, name: str, bucket: str, image: str | None, kms_key: str | None = None, vpc: bool = False
) -> dict[str, Any]:
    """Return all that is set for a role that is made: its name, who may take it on, and what it may do.

    ``image`` says which repository it may pull from, the usual one where None; ``vpc`` is whether jobs run in one.
    Raises UsageError where ``kms_key`` does not say which key it is.
    """
    statements = [*_storage(account, bucket), _logs(account), *_image(account, image), _metrics()]
    statements += [*([_key(account, kms_key)] if kms_key else []), *([_network()] if vpc else [])]
    return {
        "RoleName": name,
        "AssumeRolePolicyDocument": trust(account.number),
        "PolicyName": POLICY,
        "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
    }


def trust(number: str) -> dict[str, Any]:
    """Return who may take the role on: SageMaker, for this account's own jobs and endpoints."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
                # Otherwise somebody else's SageMaker could be told to act as this role.
                "Condition": {"StringEquals": {"aws:SourceAccount": number}},
            }
        ],
    }


def _allow(
    name: str, actions: Sequence[str], resources: Sequence[str], condition: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    statement = {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**statement, **({"Condition": dict(condition)} if condition else {})}


def _storage(account: Account, bucket: str) -> list[dict[str, Any]]:
    address = f"arn:{account.partition}:s3:::{bucket}"
    # Checkpoints are synchronised, their deletion too.
    objects = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
    below = {"s3:prefix": [PREFIX, f"{PREFIX}/*"]}
    return [
        _allow("Objects", objects, [f"{address}/{PREFIX}/*"]),
        _allow("ListObjects", ["s3:ListBucket"], [address], {"StringLike": below}),
        _allow("FindBucket", ["s3:GetBucketLocation"], [address]),
    ]


def _logs(account: Account) -> dict[str, Any]:
    actions = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams")
    place = f"arn:{account.partition}:logs:{account.region}:{account.number}:log-group:/aws/sagemaker/*"
    return _allow("Logs", actions, [place])


def _image(account: Account, image: str | None) -> list[dict[str, Any]]:
    found = IMAGE.match(image or "")
    parts = found.group("account", "region", "repository") if found else (account.number, account.region, "trainbox")
    number, region, repository = parts
    actions = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    place = f"arn:{account.partition}:ecr:{region}:{number}:repository/{repository}"
    # The token is for the registry as a whole: AWS knows no narrower resource for it.
    return [_allow("Image", actions, [place]), _allow("Registry", ["ecr:GetAuthorizationToken"], ["*"])]


def _metrics() -> dict[str, Any]:
    spaces = {"cloudwatch:namespace": ["/aws/sagemaker/*", "AWS/SageMaker"]}
    return _allow("Metrics", ["cloudwatch:PutMetricData"], ["*"], {"StringLike": spaces})


def _key(account: Account, kms_key: str) -> dict[str, Any]:
    if kms_key.startswith("alias/") or ":alias/" in kms_key:
        raise UsageError(
            f"Rights cannot be given on an alias. Give the key's ARN or id with --kms-key. Received: {kms_key}."
        )
    place = f"arn:{account.partition}:kms:{account.region}:{account.number}:key/{kms_key}"
    actions = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey", "kms:CreateGrant")
    return _allow("Key", actions, [kms_key if kms_key.startswith("arn:") else place])


def _network() -> dict[str, Any]:
    verbs = (
        *("CreateNetworkInterface", "CreateNetworkInterfacePermission"),
        *("DeleteNetworkInterface", "DeleteNetworkInterfacePermission", "DescribeNetworkInterfaces"),
        *("DescribeVpcs", "DescribeDhcpOptions", "DescribeSubnets", "DescribeSecurityGroups"),
    )
    # EC2 knows no resource for these that could be named before the interface is there.
    return _allow("Network", [f"ec2:{verb}" for verb in verbs], ["*"])


def ensure(account: Account, wanted: Mapping[str, Any], say: Say) -> Found:
    """Make the role that ``document`` describes; one that is there already is compared with it and left as it is.

    Raises AwsFailed. A role that cannot be finished is taken back.
    """
    iam, name = account.client("iam"), wanted["RoleName"]
    what, there = f"role '{name}'", _existing(iam, name)
    role, made = (there, False) if there else _created(iam, wanted)
    if not made:
        return Found(role["Arn"], made=False, differences=making.left_as_it_is(what, _compare(iam, role, wanted), say))
    making.finish(what, lambda: _give_rights(iam, wanted), lambda: _remove(iam, wanted), say)
    say(f"Made the {what}. It takes some seconds until SageMaker can take it on.")
    return Found(role["Arn"], made=True)


def _existing(iam: Any, name: str) -> dict[str, Any] | None:
    try:
        with said_by_aws(f"look at the role '{name}'"):
            return dict(iam.get_role(RoleName=name)["Role"])
    except AwsFailed as problem:
        if problem.code == "NoSuchEntity":
            return None
        raise


def _created(iam: Any, wanted: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Create the role, which was not there, and return it; False where it is there meanwhile, as after two at once."""
    name = wanted["RoleName"]
    try:
        with said_by_aws(f"create the role '{name}'"):
            made = iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=compact(wanted["AssumeRolePolicyDocument"]),
                Description="What SageMaker may do for Trainbox's jobs and endpoints.",
                Tags=[{"Key": OUR_TAG, "Value": "role"}],
            )
            return made["Role"], True
    except AwsFailed as problem:
        if problem.code != "EntityAlreadyExists":
            raise
        with said_by_aws(f"look at the role '{name}'"):
            # IAM takes a while to show everywhere what it has.
            iam.get_waiter("role_exists").wait(RoleName=name)
            there = dict(iam.get_role(RoleName=name)["Role"])
        return there, was_asked_again(problem) and _is_ours_without_rights(iam, there, wanted)


def _is_ours_without_rights(iam: Any, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether a role is as our own request leaves it; False where that cannot be seen."""
    tagged = {"Key": OUR_TAG, "Value": "role"} in there.get("Tags", [])
    trusted = includes(there.get("AssumeRolePolicyDocument", {}), wanted["AssumeRolePolicyDocument"])
    try:
        return tagged and trusted and _rights(iam, wanted) is None
    except AwsFailed:
        return False


def _give_rights(iam: Any, wanted: Mapping[str, Any]) -> None:
    name, rights = wanted["RoleName"], compact(wanted["PolicyDocument"])
    with said_by_aws(f"give the role '{name}' its rights"):
        iam.put_role_policy(RoleName=name, PolicyName=wanted["PolicyName"], PolicyDocument=rights)


def _remove(iam: Any, wanted: Mapping[str, Any]) -> None:
    name = wanted["RoleName"]
    try:
        iam.delete_role(RoleName=name)
    except iam.exceptions.DeleteConflictException:
        # It has its rights: what came between was no refusal of them. They go first.
        iam.delete_role_policy(RoleName=name, PolicyName=wanted["PolicyName"])
        iam.delete_role(RoleName=name)


def _rights(iam: Any, wanted: Mapping[str, Any]) -> Any:
    """Return the statements of our policy on a role, None where it has no such policy; raise AwsFailed."""
    try:
        with said_by_aws("look at its rights"):
            found = iam.get_role_policy(RoleName=wanted["RoleName"], PolicyName=wanted["PolicyName"])
    except AwsFailed as problem:
        if problem.code == "NoSuchEntity":
            return None
        raise
    return found["PolicyDocument"].get("Statement", [])


def _compare(iam: Any, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what a role that is there differs from ``wanted``: "it ..."."""
    trusted = there.get("AssumeRolePolicyDocument", {})
    who = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}}]}
    if not includes(trusted, who):
        yield "SageMaker may not take it on (it does not trust sagemaker.amazonaws.com)"
    elif not includes(trusted, wanted["AssumeRolePolicyDocument"]):
        yield "SageMaker may take it on for other accounts too, or under other conditions (its trust is set otherwise)"
    reason = "it has none"
    try:
        rights = _rights(iam, wanted)
    except AwsFailed as problem:
        rights, reason = None, problem.code
    if rights is None:
        yield f"its rights were not compared with the policy '{wanted['PolicyName']}' ({reason})"
        return
    for statement in wanted["PolicyDocument"]["Statement"]:
        if not includes(rights, [statement]):
            yield f"its policy '{wanted['PolicyName']}' lacks '{statement['Sid']}' as it would be made now"
