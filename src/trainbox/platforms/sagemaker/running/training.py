"""The platform that is Amazon SageMaker: data sent, a training job made, watched, and its model brought back."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainbox.platforms import place
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.asking import request
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused, said_by_aws
from trainbox.platforms.sagemaker.aws.leaving import Told
from trainbox.platforms.sagemaker.running import advice, results, showing, watching
from trainbox.platforms.sagemaker.running.kinds import TRAINING
from trainbox.platforms.sagemaker.storage import inputs

Say = Callable[[str], None]
COMPARED = ("RoleArn", "HyperParameters", "InputDataConfig", "OutputDataConfig", "ResourceConfig")
"""What tells this job from another of its name, where AWS says that the name is taken."""


def run(
    job: TrainingJob,
    out: Path,
    *,
    plan: Plan,
    account: Account | None = None,
    overwrite: bool = False,
    detach: bool = False,
    say: Say = lambda line: None,
) -> Path | None:
    """Train at SageMaker and return ``out``, the bundle; nothing stands there before it is whole and verified.

    ``account`` is opened in the plan's region where not given. With ``detach``, or where whoever watches chooses so,
    the job is left running and None is returned: ``trainbox fetch`` brings the model later. Raises RefusedInput before
    anything is spent, JobFailed where the job fails, AwsFailed where AWS cannot be asked any more: the job goes on.
    """
    place.refuse(out, overwrite)
    account = account or Account.open(plan.region)
    addresses = inputs.upload(account, plan.bucket, plan.prefix, job.channels, say, plan.kms_key)
    watch = watching.Watch(account, job.name, showing.opened(say), say)
    with watch.signals.handled():
        try:
            with watch.signals.later():
                create(account, request.training_job(job, plan, addresses))
            say(f"Training job '{job.name}' was created. {watching.how_to_go_on(job.name)}")
            if detach and not watch.signals.kept:
                return None
            description = watch.to_the_end()
        except Told as told:
            say(f"The training job '{job.name}' may still run and be billed. {watching.how_to_go_on(job.name)}")
            raise KeyboardInterrupt from told
    if description is None:
        return None
    try:
        return results.fetch(account, description, out, say, list(watch.log.last))
    except (AwsFailed, KeyboardInterrupt):
        say(f"The training job has ended, and what it made is kept. Bring it: trainbox fetch {job.name}")
        raise


def create(account: Account, wanted: Mapping[str, Any]) -> None:
    """Create a training job; raise AwsRefused where its name is taken or AWS does not give the machines."""
    job = wanted["TrainingJobName"]
    try:
        with said_by_aws(f"create the training job '{job}'"):
            account.sagemaker.create_training_job(**wanted)
    except AwsRefused as refused:
        if refused.code == "ResourceInUse":
            if TRAINING.was_asked_twice(account, refused, wanted, COMPARED):
                return
            raise AwsRefused(f"{refused} Give another --name.", refused.code) from refused
        advised = advice.of(f"{refused.code} {refused}")
        raise AwsRefused(f"{refused} {advised}".rstrip(), refused.code) from refused
    except AwsFailed as problem:
        line = f"{problem} The job may have been created all the same, and be billed. {watching.how_to_go_on(job)}"
        raise type(problem)(line, problem.code) from problem
