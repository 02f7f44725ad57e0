"""``trainbox train --on sagemaker``: price the job and check it, show it or run it."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox.cli.sagemaker_options import SageMakerOptions, pairs, seconds
from trainbox.errors import UsageError
from trainbox.platforms import place
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.asking.estimate import Estimate, estimate, expected_seconds, seconds_for
from trainbox.platforms.sagemaker.asking.plan import DEFAULT_MAX_RUNTIME, Plan, volume_for
from trainbox.platforms.sagemaker.asking.request import as_command, training_job
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.storage import inputs, job_data

if TYPE_CHECKING:
    from trainbox.platforms.sagemaker.storage.job_data import JobData

NOT_ASKED = (
    "credentials",
    "whether the role exists and trusts SageMaker",
    "whether the bucket exists and is in the region",
    "whether the image exists and is one that SageMaker takes",
    "quotas",
    "whether the job's name is free",
)


def run(job: TrainingJob, out: Path, options: SageMakerOptions, *, overwrite: bool, dry_run: bool) -> bool:
    """Run the job, or print what would be asked of AWS; tell whether a model stands at ``out`` now.

    Raises RefusedInput before anything is sent or spent.
    """
    place.refuse(out, overwrite)
    account = Account.open(options.region, options.profile)
    if options.refresh_prices:
        refresh_prices(account)
    # The options are checked before the data is read, which takes longer.
    plan = planned(options, account.region, job.task)
    if options.max_cost is not None:
        seconds_for(plan, options.max_cost)
    data = job_data.read(job, _say)
    plan, guess = sized(plan, options, job, data)
    if dry_run:
        print(json.dumps(described(job, plan, guess), indent=2))
        return False
    _say(guess.say())
    from trainbox.platforms.sagemaker.asking import preflight
    from trainbox.platforms.sagemaker.running import training

    preflight.check(account, job, plan, _say)
    detach = options.detach
    return bool(training.run(job, out, plan=plan, account=account, overwrite=overwrite, detach=detach, say=_say))


def planned(options: SageMakerOptions, region: str, task: str) -> Plan:
    """Return the plan that options and trainbox.toml say; raise UsageError naming what is missing or wrong."""
    if options.instances is not None and options.instances != 1:
        raise UsageError(
            f"Training runs on one machine. Received: --instances {options.instances}. Give a larger --instance-type."
        )
    if options.max_cost is not None and not options.max_cost > 0:
        raise UsageError(f"--max-cost is an amount in US dollars, more than 0. Received: {options.max_cost:g}.")
    return Plan(
        region=region,
        role=options.required("role"),
        image=options.required("image"),
        bucket=options.required("bucket"),
        instance_type=options.machine_for(task),
        spot=options.spot,
        max_runtime_seconds=seconds("--max-runtime", options.max_runtime, DEFAULT_MAX_RUNTIME),
        max_wait_seconds=seconds("--max-wait", options.max_wait) if options.max_wait is not None else None,
        keep_alive_seconds=seconds("--keep-alive", options.keep_alive),
        subnets=tuple(options.subnet),
        security_groups=tuple(options.security_group),
        kms_key=options.kms_key,
        tags=pairs("--tag", options.tag),
        environment=pairs("--env", options.env),
    )


def sized(plan: Plan, options: SageMakerOptions, job: TrainingJob, data: "JobData") -> tuple[Plan, Estimate]:
    """Fit the plan's disk to the data, and its time limit to --max-cost; return it with its estimate."""
    volume = options.volume if options.volume is not None else volume_for(data.bytes, plan.instance_type)
    plan = replace(plan, volume_gb=volume)
    workload = data.workload(job)
    if options.max_cost is not None:
        expected = expected_seconds(plan, workload, data.bytes or 0) if workload else None
        plan = replace(plan, max_runtime_seconds=seconds_for(plan, options.max_cost, expected))
    return plan, estimate(plan, workload, data.bytes)


def described(job: TrainingJob, plan: Plan, guess: Estimate) -> dict[str, Any]:
    """Return what --dry-run prints: the request, the command that asks the same, the estimate, what was not checked."""
    request = training_job(job, plan, inputs.addresses(plan.bucket, plan.prefix, job.channels, _say))
    in_s3 = [f"whether there is anything at {one}" for one in job.channels.values() if isinstance(one, str)]
    return {
        "platform": "sagemaker",
        "request": request,
        "command": as_command(request, plan.region),
        "estimate": guess.as_dict(),
        "not_checked": [*NOT_ASKED, *in_s3],
    }


def refresh_prices(account: Account) -> None:
    """Ask AWS what machines cost in the account's region, and keep it."""
    from trainbox.platforms.sagemaker.asking import pricing

    count = pricing.refresh(account)
    _say(f"Prices of {count} kinds of machine in {account.region} are kept for you.")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
