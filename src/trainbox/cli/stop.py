"""``trainbox stop``: end a job at SageMaker early."""

import json

from trainbox.cli.aws import AnyJobName, AsJson, Profile, Region, opened


def stop(job: AnyJobName, region: Region = None, profile: Profile = None, as_json: AsJson = False) -> None:
    """Stop a training job or a tuning job at SageMaker; its best model so far is kept.

    The job has two minutes to write that model; a job that has ended already is left as it is.

    \b
    Example: trainbox stop drive-20261122-101500
    """
    from trainbox.platforms.sagemaker.running import kinds

    account = opened(region, profile)
    kind, _ = kinds.found(account, job)
    before = kind.stop(account, job)
    if as_json:
        status = kind.status(kind.describe(account, job))
        print(json.dumps({"job": job, "was_running": before not in kinds.ENDED, "status": status}, indent=2))
    elif before in kinds.ENDED:
        print(f"The {kind.words} '{job}' had ended already: {before}.")
    else:
        already = "" if before == kinds.RUNNING else " already"
        print(f"The {kind.words} '{job}' is being stopped{already}. In two minutes at most: trainbox fetch {job}")
