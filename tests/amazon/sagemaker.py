"""SageMaker and the services around it in one region, each in a room of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from amazon.account import House, Tags
from amazon.endpoints import Endpoint, Endpoints
from amazon.faults import Faults
from amazon.invocations import Invocations
from amazon.models import Models
from amazon.prices import Prices
from amazon.protocol import Rooms
from amazon.quotas import Quotas
from amazon.scaling import Scaling
from amazon.search import Search
from amazon.training import Job, TrainingJobs
from amazon.transform import TransformJobs
from amazon.tuning import TuningJobs


class SageMaker:
    """What a test asks and tells the fake. ``house`` has what can be set: pauses, quotas, the price of spot."""

    def __init__(self, region: str, clients: Callable[[str], Any], scratch: Path, faults: Faults) -> None:
        self.house = House(region, clients, scratch)
        self.faults = faults
        self.training = TrainingJobs(self.house)
        self.models = Models(self.house)
        self.scaling = Scaling(self.house)
        self.endpoints = Endpoints(self.house, self.models, self.scaling)
        self.invocations = Invocations(self.house, self.endpoints)
        self.transforms = TransformJobs(self.house, self.models)
        self.tunings = TuningJobs(self.house, self.training)
        own = [self.training, self.models, self.endpoints, self.transforms, self.tunings, Tags(self.house)]
        self.rooms = Rooms([*own, Search(self.training, self.tunings), self.scaling, Quotas(self.house), Prices()])

    @property
    def received(self) -> list[tuple[str, dict[str, Any]]]:
        """Every request that held against the service's model: operation and what was asked, in order."""
        return self.rooms.received

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """Return the requests of one operation."""
        return [asked for name, asked in self.received if name == operation]

    def job(self, name: str) -> Job:
        """Return a training job's state."""
        return self.training.found(name)

    def wait(self, name: str, seconds: float = 400) -> Job:
        """Wait for a training job's end."""
        job = self.job(name)
        assert job.over.wait(seconds), f"{name} is {job.secondary} after {seconds} s"
        return job

    def endpoint(self, name: str) -> Endpoint:
        """Return an endpoint's state."""
        return self.endpoints.found(name)

    @property
    def costing(self) -> list[str]:
        """The names of all that costs money by the hour: jobs that run, and endpoints."""
        jobs = [*self.training.jobs.values(), *self.transforms.jobs.values(), *self.tunings.jobs.values()]
        return [job.name for job in jobs if not job.over.is_set()] + list(self.endpoints.endpoints)

    def containers(self) -> list[int]:
        """Return the processes of the containers that run."""
        return self.house.running()

    def interrupt(self, name: str) -> None:
        """Take a job's spot instance away: kill -9, no notice; the job starts anew from its checkpoints."""
        self.training.interrupt(name)

    def fail(
        self, operation: str, code: str, times: int = 1, message: str = "", status: int | None = None, after: int = 0
    ) -> None:
        """Have the next ``times`` calls of an operation fail, once ``after`` went well; see ``faults.py``."""
        self.faults.fail(operation, code, times, message, status, after)

    def drop(self, operation: str, times: int = 1, after: int = 0) -> None:
        """Have the next ``times`` calls of an operation end with the connection, unanswered."""
        self.faults.drop(operation, times, after)

    def close(self) -> list[str]:
        """End all that runs; return what was wrong with the fake itself."""
        self.house.close()
        return self.house.broken + self.rooms.wrong_answers
