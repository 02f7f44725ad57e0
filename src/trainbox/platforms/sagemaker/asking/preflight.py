"""What must be right before anything is spent on a training job: asked of AWS, each failure one line."""

import contextlib
import difflib
from collections.abc import Callable, Collection, Iterator
from typing import Any

from trainbox.errors import ChannelError
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.asking import stored_image
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import FORBIDDEN, AwsFailed, AwsRefused, said_by_aws
from trainbox.platforms.sagemaker.storage import inputs

WHO = "sagemaker.amazonaws.com"
QUOTAS_A_PAGE = 100
"""SageMaker has thousands of quotas: as many at once as there may be."""
NOT_THERE = {"ValidationException", "ResourceNotFound"}

Say = Callable[[str], None]


def check(account: Account, job: TrainingJob, plan: Plan, say: Say) -> None:
    """Ask AWS whether the job can run; what this account may not look at is said, and not held against it.

    Raises LoggedOut without credentials, AwsRefused or ChannelError at the first thing that would keep the job from
    running, one line saying what to do, and AwsFailed where AWS does not answer.
    """
    _check_account(account, plan)
    _check_name(account, job.name)
    inputs.refuse_other_region(account, plan.bucket)
    for name, source in job.channels.items():
        if isinstance(source, str):
            check_channel(account, name, source)
    with _unless_forbidden("the role", say):
        check_role(account, plan.role)
    with _unless_forbidden("the image", say):
        stored_image.check(account, plan, say)
    with _unless_forbidden("the quotas", say):
        check_quotas(account, plan)


def check_role(account: Account, role: str) -> None:
    """Raise AwsRefused where the role does not exist, or SageMaker may not take it on."""
    name = role.rpartition("/")[2]
    try:
        with said_by_aws(f"look at the role '{name}'"):
            found = account.client("iam").get_role(RoleName=name)["Role"]
    except AwsFailed as problem:
        if problem.code != "NoSuchEntity":
            raise
        raise AwsRefused(f"The role '{name}' does not exist. Make one: trainbox init, or give another.") from problem
    statements = found.get("AssumeRolePolicyDocument", {}).get("Statement", [])
    if not any(map(_lets_sagemaker_in, [statements] if isinstance(statements, dict) else statements)):
        raise AwsRefused(f"The role '{name}' does not trust {WHO}. Let it in the role's trust policy, or give another.")


def check_channel(account: Account, name: str, address: str) -> None:
    """Raise where there is nothing at an address, or SageMaker would fetch more than what it names.

    SageMaker takes an address for the beginning of keys: "tub" would bring "tub-of-monday" too.
    """
    inputs.refuse_empty(account, name, address)
    bucket, key = inputs.split(address)
    if not key or key.endswith("/"):
        return
    with said_by_aws(f"look at channel '{name}' at {address}"):
        pages = account.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        others = (one["Key"] for page in pages for one in page.get("Contents", []))
        other = next((one for one in others if one != key and not one.startswith(f"{key}/")), None)
    if other:
        raise ChannelError(
            f"Channel '{name}': SageMaker would fetch s3://{bucket}/{other} too, which begins like {address}. "
            f"Give a folder as {address}/, or a file whose name no other begins with."
        )


def quota_names(plan: Plan) -> list[str]:
    """Return the names of the quotas that the job counts against."""
    kinds = ["spot training job" if plan.spot else "training job"]
    if plan.keep_alive_seconds:
        kinds.append("training warm pool")
    return [f"{plan.instance_type} for {kind} usage" for kind in kinds]


def check_quotas(account: Account, plan: Plan) -> None:
    """Raise AwsRefused where a quota does not allow so many machines of the kind, or there are none in the region."""
    allowed = _quotas(account, quota_names(plan))
    for name in quota_names(plan):
        if name not in allowed:
            raise AwsRefused(f"SageMaker has no '{name}' in {plan.region}. {_another(account, plan.instance_type)}")
        if allowed[name] < plan.instances:
            raise AwsRefused(
                f"The quota '{name}' is {allowed[name]:g} in {plan.region}, and the job needs {plan.instances}. Ask "
                "for more in the console at Service Quotas, Amazon SageMaker, or give another --instance-type."
            )


def _quotas(account: Account, names: Collection[str]) -> dict[str, float]:
    """Return the quotas of these names; those that the account was not given others for are AWS's usual ones."""
    client, found = account.client("service-quotas"), dict[str, float]()
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        with said_by_aws("look at the quotas of SageMaker"):
            for page in client.get_paginator(operation).paginate(
                ServiceCode="sagemaker", PaginationConfig={"PageSize": QUOTAS_A_PAGE}
            ):
                listed = {one["QuotaName"]: one["Value"] for one in page["Quotas"]}
                found = {name: listed[name] for name in names if name in listed} | found
        if len(found) == len(names):
            break
    return found


def _another(account: Account, instance_type: str) -> str:
    known = account.sagemaker.meta.service_model.shape_for("TrainingInstanceType").enum
    close = difflib.get_close_matches(instance_type, [one for one in known if one != instance_type], n=1)
    return f"Give another --instance-type{f', such as {close[0]}' if close else ''}."


def _check_account(account: Account, plan: Plan) -> None:
    """Raise AwsRefused where the role is another account's: a role is passed within its account only."""
    number = plan.role.split(":")[4]
    if number != account.number:
        raise AwsRefused(
            f"The role is of account {number}, and you are logged in to {account.number}. "
            "Give a role of this account, or another --profile."
        )


def _check_name(account: Account, name: str) -> None:
    try:
        with said_by_aws(f"look for a training job named '{name}'"):
            account.sagemaker.describe_training_job(TrainingJobName=name)
    except AwsFailed as problem:
        if problem.code in NOT_THERE:
            return
        raise
    raise AwsRefused(f"There is a training job '{name}' already, and names are never free again. Give another --name.")


def _lets_sagemaker_in(statement: Any) -> bool:
    if not isinstance(statement, dict) or statement.get("Effect") != "Allow":
        return False
    principal = statement.get("Principal", {})
    services = principal.get("Service", []) if isinstance(principal, dict) else principal
    return WHO in services or services == "*"


@contextlib.contextmanager
def _unless_forbidden(what: str, say: Say) -> Iterator[None]:
    try:
        yield
    except AwsFailed as problem:
        if problem.code not in FORBIDDEN:
            raise
        say(f"Not checked: {what}, which you may not look at ({problem.code}).")
