"""Training jobs and tuning jobs: what is asked of SageMaker about either in the same words."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from trainbox.platforms.sagemaker.asking import tuning_request
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused, said_by_aws, was_asked_again
from trainbox.platforms.sagemaker.aws.likeness import includes

Description = Mapping[str, Any]

RUNNING = "InProgress"
ENDED = frozenset({"Completed", "Failed", "Stopped"})
UNKNOWN = ("not found", "t find", "not find")
"""What SageMaker says of names that it does not know, where its code is that of any wrong request."""

LONGEST_TO_ASK = 600.0
"""Seconds that botocore may take to ask again for what was answered and lost."""


class NoSuchJob(AwsRefused):
    """There is no job of that kind and name."""


@dataclass(frozen=True)
class Kind:
    """A kind of job: its ``words``, what the members of SageMaker's answers about it begin with, and its operations.

    ``listed`` is the command that lists such jobs.
    """

    words: str
    shape: str
    operation: str
    listed: str

    def name(self, description: Description) -> str:
        """Return the name of a job that was described."""
        return str(description[f"{self.shape}Name"])

    def status(self, description: Description) -> str:
        """Return how a job stood when it was described."""
        return str(description[f"{self.shape}Status"])

    def describe(self, account: Account, job: str) -> Description:
        """Return what SageMaker says of a job; raise NoSuchJob where there is none of that name, AwsFailed."""
        try:
            return self._ask(account, "describe", "look at", job)
        except AwsRefused as refused:
            if refused.code != "ResourceNotFound" and not any(words in str(refused) for words in UNKNOWN):
                raise
            line = f"There is no {self.words} '{job}' in {account.region}. List them: {self.listed}."
            raise NoSuchJob(line, refused.code) from refused

    def stop(self, account: Account, job: str) -> str:
        """Ask for a job to be stopped where it runs, and return the status that it had.

        The best model so far is kept. Raises AwsFailed.
        """
        status = self.status(self.describe(account, job))
        if status != RUNNING:
            return status
        try:
            self._ask(account, "stop", "stop", job)
        except AwsRefused:
            # It may have ended in between, or someone else have stopped it.
            if (now := self.status(self.describe(account, job))) == RUNNING:
                raise
            return now
        return status

    def was_asked_twice(self, account: Account, problem: AwsFailed, wanted: Description, keys: Collection[str]) -> bool:
        """Tell whether the name is taken by the very job that was ``wanted``, by what it has under ``keys``.

        Where an answer is lost, botocore asks again by itself, and is told that the name is taken.
        """
        if not was_asked_again(problem):
            return False
        there = self.describe(account, self.name(wanted))
        age = (server_time(there) - there["CreationTime"]).total_seconds()
        return age < LONGEST_TO_ASK and all(includes(there.get(key), wanted[key]) for key in keys)

    def _ask(self, account: Account, verb: str, said: str, job: str) -> Description:
        with said_by_aws(f"{said} the {self.words} '{job}'"):
            answer: Description = getattr(account.sagemaker, f"{verb}_{self.operation}")(**{f"{self.shape}Name": job})
        return answer


TRAINING = Kind("training job", "TrainingJob", "training_job", "trainbox jobs")
TUNING = Kind("tuning job", "HyperParameterTuningJob", "hyper_parameter_tuning_job", "trainbox jobs --tuning")


def found(account: Account, job: str) -> tuple[Kind, Description]:
    """Return which kind of job has a name, a training job before a tuning job, and what SageMaker says of it.

    Raises NoSuchJob where neither has it, AwsFailed.
    """
    try:
        return TRAINING, TRAINING.describe(account, job)
    except NoSuchJob as missing:
        if not tuning_request.NAME.fullmatch(job):
            raise
        try:
            return TUNING, TUNING.describe(account, job)
        except NoSuchJob:
            line = f"There is no training job and no tuning job '{job}' in {account.region}."
            line += f" List them: {TRAINING.listed}; {TUNING.listed}."
            raise NoSuchJob(line, missing.code) from missing


def server_time(description: Description) -> datetime:
    """Return what time it was at AWS when it answered: this machine's clock may be wrong."""
    try:
        return parsedate_to_datetime(description["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, ValueError):
        return datetime.now(UTC)
