"""A search of hyperparameters at SageMaker: a tuning job made and watched, and its best model brought back."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from trainbox import tasks
from trainbox.container.contract import hyperparameters
from trainbox.errors import UsageError
from trainbox.platforms import tuning
from trainbox.platforms.sagemaker.asking import tuning_request
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused, LoggedOut, said_by_aws
from trainbox.platforms.sagemaker.aws.leaving import Choice, Signals, Told, choose
from trainbox.platforms.sagemaker.aws.likeness import includes
from trainbox.platforms.sagemaker.running import advice, results, watching
from trainbox.platforms.sagemaker.storage import inputs
from trainbox.platforms.search import Search
from trainbox.platforms.study import Record
from trainbox.platforms.tuning import Found

FILE = "tuning-job.json"
"""In the folder of a search: which tuning job it is, so that another turn goes on with it."""
ENDED = frozenset({"Completed", "Failed", "Stopped"})
SECONDS_BETWEEN_LOOKS = 10.0
LONGEST_TO_ASK = 600.0
"""Seconds that botocore may take to ask again for what was answered and lost."""

Say = Callable[[str], None]


def run(search: Search, out: Path, *, plan: Plan, account: Account, name: str, detach: bool, say: Say) -> Found | None:
    """Make a tuning job and watch it; return what was found, None where it was left running.

    The best training job's bundle is ``out``/best, all scores are ``out``/trials.json. Raises RefusedInput before
    anything is spent, TuningFailed where no training brings a model, AwsFailed where AWS cannot be asked any more: the
    tuning job then goes on, and ``resume`` with it.
    """
    tuning.refuse(out, resume=False, kept=FILE)
    addresses = inputs.upload(account, plan.bucket, plan.prefix, search.channels, say, plan.kms_key)
    request = tuning_request.tuning_job(search, plan, addresses, name)
    out.mkdir(parents=True, exist_ok=True)
    with Signals().handled() as signals:
        with signals.later():
            # Written first: a tuning job whose creation was asked for must be found again, whatever happens then.
            kept = {"name": name, "region": plan.region, **search.description()}
            (out / FILE).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
            try:
                create(account, request)
            except AwsRefused:
                (out / FILE).unlink()
                raise
        say(f"Tuning job '{name}' was created. Go on with it later: trainbox tune ... --resume --out {out}")
        if detach and not signals.kept:
            return None
        return _Watch(account, search, out, name, say).to_the_end(signals)


def resume(search: Search, out: Path, *, account: Account, say: Say) -> Found | None:
    """Go on watching the tuning job of ``out``, and bring its best model; as ``run``."""
    tuning.refuse(out, resume=True, kept=FILE)
    kept = json.loads((out / FILE).read_text(encoding="utf-8"))
    if kept["region"] != account.region:
        raise UsageError(f"The search in {out} runs in {kept['region']}. Give --region {kept['region']}.")
    with Signals().handled() as signals:
        return _Watch(account, search, out, kept["name"], say).to_the_end(signals)


def create(account: Account, request: Mapping[str, Any]) -> None:
    """Create a tuning job; raise AwsRefused where its name is taken or AWS does not give the machines."""
    name = request["HyperParameterTuningJobName"]
    try:
        with said_by_aws(f"create the tuning job '{name}'"):
            account.sagemaker.create_hyper_parameter_tuning_job(**request)
    except AwsRefused as refused:
        if refused.code == "ResourceInUse":
            if _was_asked_twice(account, refused.__cause__, request):
                return
            raise AwsRefused(f"{refused} Try again: the name says the second.", refused.code) from refused
        raise AwsRefused(f"{refused} {advice.of(f'{refused.code} {refused}')}".rstrip(), refused.code) from refused


def _was_asked_twice(account: Account, problem: Any, request: Mapping[str, Any]) -> bool:
    """Tell whether the name is taken by this very job: where an answer was lost, botocore asks again by itself."""
    if not problem.response.get("ResponseMetadata", {}).get("RetryAttempts"):
        return False
    name = request["HyperParameterTuningJobName"]
    with said_by_aws(f"look at the tuning job '{name}'"):
        there = account.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    age = (watching.server_time(there) - there["CreationTime"]).total_seconds()
    key = "HyperParameterTuningJobConfig"
    return age < LONGEST_TO_ASK and includes(there.get(key), request[key])


@dataclass
class _Watch:
    """One tuning job, watched. AWS may be away meanwhile: the job does not notice."""

    account: Account
    search: Search
    out: Path
    name: str
    say: Say
    seconds_between_looks: float = SECONDS_BETWEEN_LOOKS
    _said: str = ""
    _stopping: bool = False
    _failing_since: float | None = field(default=None)

    def to_the_end(self, signals: Signals) -> Found | None:
        """Watch until the job has ended, and bring the best; None where it was left running."""
        while True:
            try:
                signals.deliver()
                return self._found(self._until_ended())
            except Told as told:
                if self._leaves(told, signals):
                    return None

    def _leaves(self, told: Told, signals: Signals) -> bool:
        chosen = Choice.DETACH if self._stopping else choose(told, self.name, self.say)
        if chosen is Choice.DETACH:
            self.say(f"Tuning job '{self.name}' is left to itself. {self._how_to_go_on()}")
            return True
        if chosen is Choice.STOP:
            self._stopping = True
            self.say("Stopping: trainings under way write the best model they have. Once more leaves without waiting.")
            with signals.later(), said_by_aws(f"stop the tuning job '{self.name}'"):
                self.account.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=self.name)
        return False

    def _until_ended(self) -> Mapping[str, Any]:
        while True:
            description = self._looked()
            if description and description["HyperParameterTuningJobStatus"] in ENDED:
                return description
            sleep(self.seconds_between_looks)

    def _looked(self) -> Mapping[str, Any] | None:
        """Look once and say what is new; None where AWS could not be asked."""
        try:
            with said_by_aws(f"look at the tuning job '{self.name}'"):
                description: Mapping[str, Any] = self.account.sagemaker.describe_hyper_parameter_tuning_job(
                    HyperParameterTuningJobName=self.name
                )
        except (LoggedOut, AwsRefused) as problem:
            raise type(problem)(f"{problem} {self._how_to_go_on()}", problem.code) from problem
        except AwsFailed as problem:
            self._failing_since = self._failing_since or monotonic()
            if monotonic() - self._failing_since > watching.SECONDS_TO_BEAR:
                raise AwsFailed(f"{problem} {self._how_to_go_on()}", problem.code) from problem
            return None
        self._failing_since = None
        line = self._state(description)
        if line != self._said:
            self._said = line
            self.say(line)
        return description

    def _state(self, description: Mapping[str, Any]) -> str:
        counted = description["TrainingJobStatusCounters"]
        failed = counted.get("NonRetryableError", 0)
        said = [f"{counted.get('Completed', 0)} of {self.search.trials} trainings done"]
        said += [f"{counted.get('InProgress', 0)} running"] + [f"{failed} failed"] * bool(failed)
        best = description.get("BestTrainingJob", {}).get("FinalHyperParameterTuningJobObjectiveMetric")
        said += [f"best {self.search.objective} {best['Value']:.5g}"] if best else []
        return f"{description['HyperParameterTuningJobStatus']}: {', '.join(said)}"

    def _how_to_go_on(self) -> str:
        return f"It may still run and be billed. Go on with --resume --out {self.out}; stop it there with ctrl-C."

    def _found(self, description: Mapping[str, Any]) -> Found:
        """Write the table and fetch the best training job's model; raise TuningFailed where there is none."""
        jobs = trainings(self.account, self.name)
        records = [_record(number, job, self.search) for number, job in enumerate(jobs, 1)]
        named = description.get("BestTrainingJob", {}).get("TrainingJobName")
        best = next((one for one, job in zip(records, jobs, strict=True) if job["TrainingJobName"] == named), None)
        tuning.write_table(self.search, self.out, best, records)
        if best is None or best.score is None:
            raise tuning.nothing_found(records, f"See them: trainbox jobs. {description.get('FailureReason', '')}")
        self.say(f"The best is training job '{named}'.")
        bundle = self.out / tuning.BEST
        results.fetch(self.account, watching.describe(self.account, str(named)), bundle, self.say)
        return Found(best, bundle, records, description["HyperParameterTuningJobStatus"] == "Stopped")


def trainings(account: Account, name: str) -> list[dict[str, Any]]:
    """Return the summaries of a tuning job's training jobs, in the order of their creation."""
    found: list[dict[str, Any]] = []
    with said_by_aws(f"list the training jobs of the tuning job '{name}'"):
        pages = account.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
        for page in pages.paginate(HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"):
            found += page["TrainingJobSummaries"]
    return found


def _record(number: int, job: Mapping[str, Any], search: Search) -> Record:
    values = hyperparameters.decode(job["TunedHyperParameters"])
    times = [job.get(key) for key in ("TrainingStartTime", "TrainingEndTime")]
    seconds = round((times[1] - times[0]).total_seconds(), 1) if times[0] and times[1] else 0.0
    final = job.get("FinalHyperParameterTuningJobObjectiveMetric")
    chosen = {name: values.get(name) for name in search.space}
    if final is None:
        why = job.get("FailureReason") or f"It ended as {job['TrainingJobStatus']} and logged no {search.objective}."
        return Record(number, chosen, seconds=seconds, failed=" ".join(str(why).split()))
    score = float(final["Value"])
    known = {search.objective: score} if search.objective in tasks.get(search.task).measures else {}
    return Record(number, chosen, score, known, seconds, cut_off=job["TrainingJobStatus"] == "Stopped")
