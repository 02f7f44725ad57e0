"""SageMaker and the services around it in one region, each in a room of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from amazon.account import House, Tags
from amazon.faults import Faults
from amazon.protocol import Rooms
from amazon.training import Job, TrainingJobs


class SageMaker:
    """What a test asks and tells the fake. ``house`` has what can be set: pauses, quotas, the price of spot."""

    def __init__(self, region: str, clients: Callable[[str], Any], scratch: Path, faults: Faults) -> None:
        self.house = House(region, clients, scratch)
        self.faults = faults
        self.training = TrainingJobs(self.house)
        self.rooms = Rooms([self.training, Tags(self.house)])

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

    def wait(self, name: str, seconds: float = 120) -> Job:
        """Wait for a training job's end."""
        job = self.job(name)
        assert job.over.wait(seconds), f"{name} is {job.secondary} after {seconds} s"
        return job

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
