"""``trainbox init``: what SageMaker needs of an account, made where asked for, and written into trainbox.toml."""

import json
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainbox.errors import TrainboxError, UsageError
from trainbox.platforms import settings
from trainbox.platforms.sagemaker.aws.names import ROLE
from trainbox.platforms.settings import FILE, Settings

if TYPE_CHECKING:
    from trainbox.platforms.sagemaker.aws.account import Account

UNKNOWN_NUMBER = "000000000000"


@dataclass(frozen=True)
class Making:
    """What is to be made, in AWS's own words; None for what is not."""

    bucket: dict[str, Any] | None = None
    role: dict[str, Any] | None = None

    def __bool__(self) -> bool:
        return bool(self.bucket or self.role)


def init(
    region: Annotated[str | None, typer.Option(metavar="REGION", help="AWS region.")] = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="Profile of the AWS configuration.")] = None,
    bucket: Annotated[str | None, typer.Option(metavar="NAME", help="Bucket for data, models and checkpoints.")] = None,
    role: Annotated[
        str | None, typer.Option(metavar="NAME|ARN", help="Role that SageMaker runs jobs and endpoints as.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The image, as trainbox image push printed it.")
    ] = None,
    instance_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Instance type for training, such as ml.g5.xlarge.")
    ] = None,
    kms_key: Annotated[
        str | None, typer.Option(metavar="ARN", help="KMS key for bucket, volumes and results; S3's own where none.")
    ] = None,
    subnet: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Subnet of the VPC that jobs run in; repeatable.")
    ] = None,
    security_group: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Security group of that VPC; repeatable.")
    ] = None,
    create_bucket: Annotated[
        bool,
        typer.Option("--create-bucket", help="Make the bucket where it is missing: private, encrypted, versioned."),
    ] = False,
    create_role: Annotated[
        bool, typer.Option("--create-role", help="Make the role where it is missing, with the least rights that do.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "--show", help="Print settings and policies as JSON; make and write nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: make and write what the options say.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace settings that trainbox.toml has otherwise.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Set up Amazon SageMaker for this folder: trainbox.toml, and a bucket and a role where asked for.

    On a terminal it asks for what no option says. Before anything is made, its settings and policies are shown.

    \b
    Example: trainbox init --region eu-west-1 --create-bucket --create-role
    """
    given = {
        "region": region,
        "profile": profile,
        "bucket": bucket,
        "role": role,
        "image": image,
        "instance_type": instance_type,
        "kms_key": kms_key,
        "subnets": tuple(subnet or ()),
        "security_groups": tuple(security_group or ()),
    }
    answers = Answers({name: value for name, value in given.items() if value}, create_bucket, create_role)
    # A role's name is compared when its ARN is known.
    _refuse_differing({name: value for name, value in answers.values.items() if name != "role"}, overwrite)
    asked = not yes and not dry_run and sys.stdin.isatty()
    if asked:
        answers = _ask(answers)
    # What the file has was shown with each question: another answer is meant.
    values, account, making = _prepared(answers, overwrite or asked, dry_run)
    if not values:
        raise UsageError("There is nothing to write. Say what, as in --region eu-west-1, or run it on a terminal.")
    if dry_run:
        print(json.dumps(_description(values, making), indent=2))
        return
    if making:
        _show_and_ask(making, yes)
    made = _make(account, making, values)
    settings.keep(values)
    _print_result(values, made, as_json)


@dataclass(frozen=True)
class Answers:
    """What was said by options or on the terminal. ``values`` are settings by name."""

    values: dict[str, Any]
    create_bucket: bool
    create_role: bool


def _ask(answers: Answers) -> Answers:
    """Ask on the terminal for what no option said; an empty answer leaves a setting out."""
    from trainbox.platforms.sagemaker.aws.account import Account
    from trainbox.platforms.sagemaker.setup import bucket, role

    values = {**_known(), **answers.values}

    def ask(name: str, question: str, default: str = "") -> None:
        if name not in answers.values:
            said = typer.prompt(question, default=values.get(name, default), err=True).strip()
            values.pop(name, None)
            values.update({name: said} if said else {})

    def confirm(what: str) -> bool:
        return what in values and _confirm(f"Make the {what} '{values[what]}' where it is missing?")

    ask("profile", "Profile of the AWS configuration (empty: the usual one)")
    ask("region", "AWS region", _usual_region(values.get("profile")))
    account = Account.open(values.get("region"), values.get("profile"))
    ask("bucket", "Bucket for data, models and checkpoints", bucket.default_name(account))
    create_bucket = answers.create_bucket or confirm("bucket")
    ask("role", "Role that SageMaker runs jobs as: its name or ARN", role.DEFAULT_NAME)
    create_role = answers.create_role or confirm("role")
    ask("image", "Image in ECR (empty: trainbox image push --save says it later)")
    ask("instance_type", "Instance type for training (empty: the task's own)")
    return Answers(values, create_bucket, create_role)


def _known() -> dict[str, Any]:
    return {name: value for name, value in Settings.read().sagemaker.model_dump().items() if value}


def _usual_region(profile: str | None) -> str:
    from trainbox.platforms.sagemaker.aws.account import Account

    try:
        return Account.open(None, profile).region
    except UsageError:
        return ""


def _confirm(question: str) -> bool:
    return typer.confirm(question, default=True, err=True)


def _prepared(answers: Answers, overwrite: bool, dry_run: bool) -> tuple[dict[str, Any], "Account | None", Making]:
    """Return the settings to write, the account, and what is to be made in it; nothing is made yet.

    AWS is asked only where something is to be made, or where a role's ARN must be found out; with ``dry_run`` only
    for the account's number, where nothing else says it.
    """
    from trainbox.platforms.sagemaker.setup import role as roles

    values = dict(answers.values)
    known = {**_known(), **values}
    unnamed = "role" in values and not ROLE.fullmatch(values["role"])
    if not (answers.create_bucket or answers.create_role or unnamed):
        _refuse_differing(values, overwrite)
        return values, None, Making()
    from trainbox.platforms.sagemaker.aws.account import Account

    account = Account.open(known.get("region"), known.get("profile"))
    values["region"] = known["region"] = account.region
    # AWS alone knows the ARN of a role that is only named.
    if dry_run and (answers.create_role or not unnamed):
        account = _supposed(account, known.get("role", ""))
    making = _making(account, answers, known)
    if making.bucket:
        values["bucket"] = making.bucket["Bucket"]
    if unnamed and not making.role:
        values["role"] = roles.arn_of(account, values["role"])
    if making.role:
        values["role"] = _arn(account, making.role["RoleName"], known.get("role"))
    _refuse_differing(values, overwrite)
    return values, account, making


def _supposed(account: "Account", role: str) -> "Account":
    """Return the account with a number: the role's, AWS's answer, or noughts where nobody is logged in."""
    from trainbox.platforms.sagemaker.aws.failures import LoggedOut

    if named := ROLE.fullmatch(role):
        return replace(account, supposed_number=named["account"])
    try:
        return replace(account, supposed_number=account.number)
    except LoggedOut as problem:
        _say(f"{problem} {UNKNOWN_NUMBER} stands here for the account's number; a role's ARN in --role says it too.")
        return replace(account, supposed_number=UNKNOWN_NUMBER)


def _arn(account: "Account", name: str, given: str | None) -> str:
    if given and given.startswith("arn:"):
        return given
    return f"arn:{account.partition}:iam::{account.number}:role/{name}"


def _making(account: "Account", answers: Answers, known: dict[str, Any]) -> Making:
    from trainbox.platforms.sagemaker.setup import bucket, role

    bucket_name = known.get("bucket") or bucket.default_name(account)
    bucket.refuse_name(bucket_name)
    if answers.create_role and not (known.get("bucket") or answers.create_bucket):
        raise UsageError("The role is for one bucket. Name it with --bucket, or make it too: --create-bucket.")
    key = known.get("kms_key")
    name = role.name_of(known.get("role") or role.DEFAULT_NAME)
    in_a_vpc = bool(known.get("subnets") or known.get("security_groups"))
    return Making(
        bucket.document(account, bucket_name, key) if answers.create_bucket else None,
        role.document(account, name, bucket_name, known.get("image"), key, in_a_vpc) if answers.create_role else None,
    )


def _refuse_differing(values: dict[str, Any], overwrite: bool) -> None:
    known = _known()
    for name, value in values.items():
        if not overwrite and name in known and known[name] != value:
            raise UsageError(
                f"{FILE} has {name} = {_shown(known[name])} already, not {_shown(value)}. Replace it: --overwrite."
            )


def _shown(value: Any) -> str:
    return json.dumps(value)


def _description(values: dict[str, Any], making: Making) -> dict[str, Any]:
    return {"settings": values, "bucket": making.bucket, "role": making.role}


def _show_and_ask(making: Making, yes: bool) -> None:
    for what, described in (("bucket", making.bucket), ("role", making.role)):
        if described:
            print(f"The {what}, as it will be made where it is missing:", file=sys.stderr)
            print(json.dumps(described, indent=2), file=sys.stderr, flush=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("Nothing was made: there is no terminal to ask on. Add --yes, or look first: --dry-run.")
    if not typer.confirm("Make this?", default=False, err=True):
        raise UsageError("Nothing was made and nothing was written.")


def _make(account: "Account | None", making: Making, values: dict[str, Any]) -> dict[str, Any]:
    """Make what is missing; return what became of it. An error says what was made before it."""
    made: dict[str, Any] = {"bucket": None, "role": None}
    if account is None:
        return made
    from trainbox.platforms.sagemaker.setup import bucket, role

    if making.bucket:
        made["bucket"] = asdict(bucket.ensure(account, making.bucket, _say))
    if making.role:
        try:
            found = role.ensure(account, making.role, _say)
        except (TrainboxError, KeyboardInterrupt):
            _say_what_stands(made["bucket"])
            raise
        made["role"], values["role"] = asdict(found), found.arn
    return made


def _say_what_stands(bucket: dict[str, Any] | None) -> None:
    if bucket and bucket["made"]:
        _say(
            f"The bucket '{bucket['name']}' was made and stays; {FILE} was not written. "
            "The same command goes on from here."
        )


def _print_result(values: dict[str, Any], made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"file": str(FILE), "settings": values, **made}, indent=2))
        return
    print(f"Wrote {FILE}: {', '.join(f'{name} = {_shown(value)}' for name, value in values.items())}")
    known = _known()
    if "image" not in known:
        _say("Next: trainbox image build; trainbox image push --save")
    for name in ("region", "bucket", "role"):
        if name not in known:
            _say(f"{FILE} has no {name} yet: give --{name} here or with each command.")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
