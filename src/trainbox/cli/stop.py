"""``trainbox stop``: end a training job at SageMaker early."""

import json

from trainbox.cli.aws import AsJson, JobName, Profile, Region, opened


def stop(job: JobName, region: Region = None, profile: Profile = None, as_json: AsJson = False) -> None:
    """Stop a training job at SageMaker; its best model so far is kept.

    The job has two minutes to write that model; a job that has ended already is left as it is.

    \b
    Example: trainbox stop drive-20261122-101500
    """
    from trainbox.platforms.sagemaker.running import watching

    account = opened(region, profile)
    was_running = watching.stop(account, job)
    status = watching.describe(account, job)["TrainingJobStatus"]
    if as_json:
        print(json.dumps({"job": job, "was_running": was_running, "status": status}, indent=2))
    elif was_running:
        print(f"The training job '{job}' is being stopped. In two minutes at most: trainbox fetch {job}")
    else:
        print(f"The training job '{job}' had ended already: {status}.")
