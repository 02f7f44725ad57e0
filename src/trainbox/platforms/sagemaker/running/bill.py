"""What a training job has cost so far, or in the end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trainbox.platforms.prices import price


@dataclass(frozen=True)
class Bill:
    """What is billed of a job: ``seconds`` on each of ``instances`` machines of a ``region``.

    ``elapsed`` are the seconds since the job was created, ``training_seconds`` those its machines worked for it: on
    spot instances more than are billed. ``final`` says that the numbers are SageMaker's own.
    """

    region: str
    instance_type: str
    instances: int
    seconds: int
    training_seconds: int
    elapsed: int
    spot: bool
    final: bool

    @classmethod
    def of(cls, description: Mapping[str, Any], now: datetime) -> "Bill":
        """Read a job's description; until it has ended, what is billed is the time since its machines began."""
        ended = description.get("TrainingEndTime", now)
        started = description.get("TrainingStartTime")
        worked = max(0, int((ended - started).total_seconds())) if started else 0
        billed = description.get("BillableTimeInSeconds")
        resources = description["ResourceConfig"]
        return cls(
            description["TrainingJobArn"].split(":")[3],
            resources.get("InstanceType", ""),
            resources.get("InstanceCount", 1),
            worked if billed is None else billed,
            description.get("TrainingTimeInSeconds", worked),
            max(0, int((ended - description["CreationTime"]).total_seconds())),
            bool(description.get("EnableManagedSpotTraining")),
            billed is not None,
        )

    @property
    def saved_percent(self) -> float:
        """What spot instances saved of the time that would have been billed, 0 to 100."""
        if not self.spot or not self.training_seconds:
            return 0.0
        return max(0.0, (1 - self.seconds / self.training_seconds) * 100)

    @property
    def dollars(self) -> float | None:
        """What it costs on demand per second, times what is billed; None where the price is not known."""
        found = price(self.instance_type, self.region)
        return found.usd_per_hour / 3600 * self.seconds * self.instances if found else None

    def so_far(self) -> str:
        """Say how long it takes and what was billed until now."""
        most = "at most " if self.spot else ""
        return f"{duration(self.elapsed)} since it was created, {most}{self._amount()} billed so far"

    def in_the_end(self) -> list[str]:
        """Say what was billed, and what spot instances saved."""
        lines = [f"Billed: {self._amount()} of {self.instances} x {self.instance_type}."]
        if self.spot:
            saved = f"{self.saved_percent:.0f} %"
            lines.append(f"Spot instances saved {saved}: {duration(self.training_seconds)} of training were needed.")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "instance_type": self.instance_type,
            "instances": self.instances,
            "billable_seconds": self.seconds,
            "training_seconds": self.training_seconds,
            "spot": self.spot,
            "saved_percent": round(self.saved_percent, 1),
            "usd": self.dollars,
        }

    def _amount(self) -> str:
        cost = "" if self.dollars is None else f", {self.dollars:.3f} USD,"
        return f"{duration(self.seconds)}{cost}"


def duration(seconds: float) -> str:
    """Return a time as a person says it: "42 s", "3 min 5 s", "2 h 14 min"."""
    whole = int(timedelta(seconds=seconds).total_seconds())
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
