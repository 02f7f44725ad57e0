"""``trainbox tune --on sagemaker``: price the search and check it, show it or run it."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainbox.cli import train_on_sagemaker
from trainbox.cli.sagemaker_options import SageMakerOptions
from trainbox.platforms import tuning as here
from trainbox.platforms.sagemaker.asking import tuning_request
from trainbox.platforms.sagemaker.asking.estimate import Estimate
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.asking.request import as_command
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.running import tuning
from trainbox.platforms.sagemaker.storage import inputs, job_data
from trainbox.platforms.search import Search, combinations


def run(search: Search, out: Path, options: SageMakerOptions, *, resume: bool, dry_run: bool) -> here.Found | None:
    """Run the search, or print what would be asked of AWS; None where nothing was found yet.

    Raises RefusedInput before anything is sent or spent.
    """
    here.refuse(out, resume, kept=tuning.FILE)
    account = Account.open(options.region, options.profile)
    if resume and not dry_run:
        return tuning.resume(search, out, account=account, say=_say)
    name = tuning_request.default_name(search.task)
    plan, guess = _planned(search, options, account.region, name)
    if dry_run:
        print(json.dumps(_described(search, plan, guess, name), indent=2))
        return None
    _say(f"Of each training: {guess.say()} There are up to {_trials(search)}, {search.parallel} at once.")
    from trainbox.platforms.sagemaker.asking import preflight

    # So many machines run at once: the quota is asked for all of them.
    preflight.check(account, search.job({}, name), replace(plan, instances=search.parallel), _say)
    return tuning.run(search, out, plan=plan, account=account, name=name, detach=options.detach, say=_say)


def _planned(search: Search, options: SageMakerOptions, region: str, name: str) -> tuple[Plan, Estimate]:
    """Return the plan and the estimate of one training; --max-cost is shared among them."""
    share = options.max_cost / _trials(search) if options.max_cost is not None else None
    job, options = search.job({}, name), replace(options, max_cost=share)
    plan = train_on_sagemaker.planned(options, region, search.task)
    return train_on_sagemaker.sized(plan, options, job, job_data.read(job, _say))


def _described(search: Search, plan: Plan, guess: Estimate, name: str) -> dict[str, Any]:
    addresses = inputs.addresses(plan.bucket, plan.prefix, search.channels, _say)
    request = tuning_request.tuning_job(search, plan, addresses, name)
    return {
        "platform": "sagemaker",
        "request": request,
        "command": as_command(request, plan.region, tuning_request.OPERATION),
        "trainings": _trials(search),
        "estimate_of_each": guess.as_dict(),
        "not_checked": list(train_on_sagemaker.NOT_ASKED),
    }


def _trials(search: Search) -> int:
    return int(min(search.trials, combinations(search.space)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
