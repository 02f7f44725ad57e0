"""A search of hyperparameters at SageMaker: a tuning job made and watched, and its best model brought back."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import Any

from trainbox.errors import UsageError
from trainbox.platforms import tuning
from trainbox.platforms.sagemaker.asking import tuning_request
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import THROTTLED, AwsFailed, AwsRefused, LoggedOut, adding, said_by_aws
from trainbox.platforms.sagemaker.aws.leaving import Choice, Signals, Told, choose
from trainbox.platforms.sagemaker.aws.waiting import Patience
from trainbox.platforms.sagemaker.running import advice, results, trials, watching
from trainbox.platforms.sagemaker.running.kinds import ENDED, TUNING, Description, NoSuchJob
from trainbox.platforms.sagemaker.storage import inputs
from trainbox.platforms.search import Search
from trainbox.platforms.tuning import Found

FILE = "tuning-job.json"
"""In the folder of a search: which tuning job it is, so that another turn goes on with it."""
SECONDS_BETWEEN_LOOKS = 10.0

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
    with _handled(name, out, say) as signals:
        with signals.later():
            # Written first: a tuning job whose creation was asked for must be found again, whatever happens then.
            kept = {"name": name, "region": plan.region, **search.description()}
            (out / FILE).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
            try:
                create(account, request)
            except AwsFailed as problem:
                if isinstance(problem, AwsRefused | LoggedOut) or problem.code in THROTTLED:
                    (out / FILE).unlink()
                    raise
                with adding(f"It may have been created all the same. {_how_to_go_on(name, out)}"):
                    raise
        say(f"Tuning job '{name}' was created. Go on with it later: trainbox tune ... --resume --out {out}")
        if detach and not signals.kept:
            return None
        description = _Watch(account, search, out, name, say).to_the_end(signals)
    return _found(account, search, out, description, say) if description else None


def resume(search: Search, out: Path, *, account: Account, say: Say) -> Found | None:
    """Go on watching the tuning job of ``out``, and bring its best model; as ``run``. UsageError: it is another's."""
    tuning.refuse(out, resume=True, kept=FILE)
    kept = json.loads((out / FILE).read_text(encoding="utf-8"))
    if kept["region"] != account.region:
        raise UsageError(f"The search in {out} runs in {kept['region']}. Give --region {kept['region']}.")
    search.refuse_another(kept, out)
    with _handled(kept["name"], out, say) as signals:
        description = _Watch(account, search, out, kept["name"], say).to_the_end(signals)
    return _found(account, search, out, description, say) if description else None


def create(account: Account, request: Mapping[str, Any]) -> None:
    """Create a tuning job; raise AwsRefused where its name is taken or AWS does not give the machines."""
    name = request["HyperParameterTuningJobName"]
    try:
        with said_by_aws(f"create the tuning job '{name}'"):
            account.sagemaker.create_hyper_parameter_tuning_job(**request)
    except AwsRefused as refused:
        if refused.code == "ResourceInUse":
            if _was_asked_twice(account, refused, request):
                return
            raise AwsRefused(f"{refused} Try again: the name says the second.", refused.code) from refused
        raise AwsRefused(f"{refused} {advice.of(f'{refused.code} {refused}')}".rstrip(), refused.code) from refused


def _was_asked_twice(account: Account, refused: AwsRefused, request: Mapping[str, Any]) -> bool:
    """Tell whether the name is taken by our own job; raise AwsFailed, of no other kind, where that cannot be seen."""
    try:
        return TUNING.was_asked_twice(account, refused, request, ("HyperParameterTuningJobConfig",))
    except AwsFailed as problem:
        raise AwsFailed(str(problem)) from problem


@contextlib.contextmanager
def _handled(name: str, out: Path, say: Say) -> Iterator[Signals]:
    """Handle signals; say of a tuning job that is left without waiting for AWS that it may still run."""
    with Signals().handled() as signals:
        try:
            yield signals
        except Told as told:
            say(f"The tuning job '{name}' is left. {_how_to_go_on(name, out)}")
            raise KeyboardInterrupt from told


def _how_to_go_on(name: str, out: Path) -> str:
    return f"It may still run and be billed. Go on with --resume --out {out}; stop it: trainbox stop {name}"


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
    _patience: Patience = field(default_factory=lambda: Patience(watching.SECONDS_TO_BEAR))

    def to_the_end(self, signals: Signals) -> Description | None:
        """Watch until the job has ended, and return what SageMaker says of it; None where it was left running."""
        while True:
            try:
                signals.deliver()
                return self._until_ended()
            except Told as told:
                if self._leaves(told, signals):
                    return None

    def _leaves(self, told: Told, signals: Signals) -> bool:
        chosen = Choice.DETACH if self._stopping else choose(told, f"tuning job '{self.name}'", self.say)
        if chosen is Choice.DETACH:
            self.say(f"Tuning job '{self.name}' is left to itself. {_how_to_go_on(self.name, self.out)}")
            return True
        if chosen is Choice.STOP:
            self._stopping = True
            self.say("Stopping: trainings under way write the best model they have. Once more leaves without waiting.")
            with signals.later(), adding(_how_to_go_on(self.name, self.out)):
                TUNING.stop(self.account, self.name)
        return False

    def _until_ended(self) -> Description:
        while True:
            description = self._looked()
            if description and TUNING.status(description) in ENDED:
                return description
            sleep(self.seconds_between_looks)

    def _looked(self) -> Description | None:
        """Look once and say what is new; None where AWS could not be asked."""
        try:
            description = TUNING.describe(self.account, self.name)
        except NoSuchJob:
            raise
        except AwsFailed as problem:
            with adding(_how_to_go_on(self.name, self.out)):
                if self._patience.bear(problem):
                    self.say(f"{problem} The tuning job does not notice; asking again.")
            return None
        if self._patience.answered():
            self.say("AWS answers again.")
        line = self._state(description)
        if line != self._said:
            self._said = line
            self.say(line)
        return description

    def _state(self, description: Description) -> str:
        counted = description["TrainingJobStatusCounters"]
        failed = counted.get("NonRetryableError", 0)
        most = description["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
        said = [f"{counted.get('Completed', 0)} of {most} trainings done"]
        said += [f"{counted.get('InProgress', 0)} running"] + [f"{failed} failed"] * bool(failed)
        best = description.get("BestTrainingJob", {}).get("FinalHyperParameterTuningJobObjectiveMetric")
        said += [f"best {self.search.objective} {best['Value']:.5g}"] if best else []
        return f"{description['HyperParameterTuningJobStatus']}: {', '.join(said)}"


def _found(account: Account, search: Search, out: Path, description: Description, say: Say) -> Found:
    """Write the table and fetch the best training job's model; raise TuningFailed where there is none."""
    try:
        found = trials.read(account, description, say)
        tuning.write_table(search, out, found.best, found.records)
        best, job = found.best_job(account)
        results.fetch(account, job, out / tuning.BEST, say)
    except (AwsFailed, KeyboardInterrupt):
        say(f"The tuning job has ended, and what it made is kept. Bring it with --resume --out {out}.")
        raise
    return Found(best, out / tuning.BEST, found.records, TUNING.status(description) == "Stopped")
