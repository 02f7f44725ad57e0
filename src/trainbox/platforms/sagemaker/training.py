"""The platform that is Amazon SageMaker: data sent, a training job made, watched, and its model brought back."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from trainbox.platforms.job import TrainingJob

if TYPE_CHECKING:
    from trainbox.platforms.sagemaker.account import Account
    from trainbox.platforms.sagemaker.plan import Plan


def run(
    job: TrainingJob,
    out: Path,
    *,
    plan: "Plan",
    account: "Account | None" = None,
    overwrite: bool = False,
    detach: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train at SageMaker and return ``out``, the bundle; nothing stands there before it is whole and verified.

    ``account`` is opened in the plan's region where not given. With ``detach`` it returns once the job runs, and
    ``trainbox fetch`` brings the model later. Raises RefusedInput before anything is spent, JobFailed where the job
    fails, AwsFailed where AWS cannot be asked any more: the job then goes on.
    """
    raise NotImplementedError
