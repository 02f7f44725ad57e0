"""What a job will take and cost, before it is paid: a range, by measurements and stated assumptions."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainbox.errors import UsageError
from trainbox.platforms import prices
from trainbox.platforms.prices import Price
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.tasks import Workload

START_UP = (120.0, 420.0)
"""Seconds that a machine is billed for before the program runs: it starts, and fetches an image of 2 to 4 GB."""
BYTES_PER_SECOND = (200e6, 50e6)
SECONDS_TO_STOP = 120
LEAST_WORK = 60
LEAST_SECONDS = int(START_UP[1]) + SECONDS_TO_STOP + LEAST_WORK
"""What the least job must be paid for: to start, to work for a minute, and to end when it is told to stop."""
SPOT_SHARE = (0.1, 0.7)
SHARED_WORK = 0.75
"""Twice the processors train 2 ** .75 times as fast: some of the work is done by one of them."""
GPU_GAIN = (1.0, 15.0)

_SIZES = {"medium": 2, "large": 2, "xlarge": 4}
_WITH_GPU = re.compile(r"ml\.(g|p)\d")


@dataclass(frozen=True)
class Estimate:
    """Seconds that are billed, and dollars, each from little to much; None where it is not known, and ``notes`` why.

    ``most_usd`` is what the job costs where it runs into its time limit.
    """

    seconds: tuple[float, float] | None
    usd: tuple[float, float] | None
    most_usd: float | None
    price: Price | None
    notes: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """Return it as --dry-run prints it."""
        known = self.price
        return {
            "billed_seconds": [round(one) for one in self.seconds] if self.seconds else None,
            "usd": [round(one, 3) for one in self.usd] if self.usd else None,
            "at_most_usd": round(self.most_usd, 2) if self.most_usd is not None else None,
            "usd_per_hour": known.usd_per_hour if known else None,
            "price_as_of": known.as_of if known else None,
            "price_source": known.source if known else None,
            "notes": list(self.notes),
        }

    def say(self) -> str:
        """Return it in one line."""
        time = f"{_minutes(self.seconds[0])} to {_minutes(self.seconds[1])}" if self.seconds else "an unknown time"
        if self.usd and self.price:
            money = f"{self.usd[0]:.2f} to {self.usd[1]:.2f} USD, by prices of {self.price.as_of}"
        elif self.price:
            money = f"{self.price.usd_per_hour:g} USD an hour, by prices of {self.price.as_of}"
        else:
            money = "price not known, --refresh-prices asks AWS"
        most = f"; at its time limit {self.most_usd:.2f} USD" if self.most_usd is not None else ""
        return f"Estimate: {time}, {money}{most}."


def estimate(plan: Plan, workload: Workload | None, data_bytes: int | None) -> Estimate:
    """Estimate a job; ``workload`` and ``data_bytes`` are None where the data was not read."""
    price = prices.price(plan.instance_type, plan.region)
    seconds = expected_seconds(plan, workload, data_bytes or 0) if workload else None
    notes = [*_about_price(plan, price), *_about_time(plan, workload)]
    usd = None
    if seconds and price:
        share = SPOT_SHARE if plan.spot else (1.0, 1.0)
        usd = (cost(plan, price, seconds[0]) * share[0], cost(plan, price, seconds[1]) * share[1])
    most = cost(plan, price, _most_seconds(plan) + plan.keep_alive_seconds) if price else None
    return Estimate(seconds, usd, most, price, notes)


def expected_seconds(plan: Plan, workload: Workload, data_bytes: int) -> tuple[float, float]:
    """Return the seconds that will be billed, from few to many, cut off where the job's time limit is."""
    processors = (processors_of(plan.instance_type) or _SIZES["xlarge"]) ** SHARED_WORK
    gain = GPU_GAIN if has_gpu(plan.instance_type) else (1.0, 1.0)
    quick = workload.images[0] / (workload.images_per_second[1] * processors * gain[1]) + workload.seconds_around[0]
    slow = workload.images[1] / (workload.images_per_second[0] * processors * gain[0]) + workload.seconds_around[1]
    fetching = [data_bytes / speed for speed in BYTES_PER_SECOND]
    least, most = START_UP[0] + fetching[0] + quick, START_UP[1] + fetching[1] + slow
    return min(least, _most_seconds(plan)), min(most, _most_seconds(plan))


def seconds_for(plan: Plan, usd: float, expected: tuple[float, float] | None = None) -> int:
    """Return the time limit with which a job cannot cost more than ``usd``, by the price without spot.

    Start-up, the time to end when told to stop, and a machine that is kept warm are counted in. Raises UsageError
    where the price is not known, or where the job cannot fit.
    """
    price = prices.price(plan.instance_type, plan.region)
    if price is None:
        raise UsageError(f"--max-cost needs a price. {_about_price(plan, None)[0]}")
    payable = math.floor(usd / cost(plan, price, 1.0)) - plan.keep_alive_seconds
    least = max(LEAST_SECONDS, math.ceil(expected[0]) if expected else 0)
    if payable < least:
        needed = cost(plan, price, least + plan.keep_alive_seconds)
        raise UsageError(
            f"--max-cost {usd:g} pays for {max(payable, 0)} s of {plan.instance_type}, and this job needs at least "
            f"{least} s ({needed:.2f} USD). Give more, fewer epochs, or a cheaper --instance-type."
        )
    return min(payable - int(START_UP[1]) - SECONDS_TO_STOP, plan.max_runtime_seconds)


def cost(plan: Plan, price: Price, seconds: float) -> float:
    """Return what so many seconds of all the job's machines cost, in dollars, on demand."""
    return price.usd_per_hour * plan.instances * seconds / 3600


def processors_of(instance_type: str) -> int | None:
    """Return the number of virtual processors, which Amazon's names of sizes say; None where this one does not."""
    size = instance_type.rpartition(".")[2]
    if size in _SIZES:
        return _SIZES[size]
    times = re.fullmatch(r"(\d+)xlarge", size)
    return 4 * int(times[1]) if times else None


def has_gpu(instance_type: str) -> bool:
    """Tell whether the machine has NVIDIA GPUs."""
    return bool(_WITH_GPU.match(instance_type))


def _most_seconds(plan: Plan) -> float:
    return START_UP[1] + plan.max_runtime_seconds + SECONDS_TO_STOP


def _about_price(plan: Plan, price: Price | None) -> list[str]:
    if price:
        spot = [f"Spot is counted as {SPOT_SHARE[0]:.0%} to {SPOT_SHARE[1]:.0%} of the price."] if plan.spot else []
        return [*spot, "Volumes, storage in S3 and taxes are not counted."]
    other = prices.elsewhere(plan.instance_type)
    like = f" In {other.region} it was {other.usd_per_hour:g} USD an hour on {other.as_of}." if other else ""
    return [f"The price of {plan.instance_type} in {plan.region} is not known: ask AWS with --refresh-prices.{like}"]


def _about_time(plan: Plan, workload: Workload | None) -> list[str]:
    if workload is None:
        return ["The time is not estimated: data in S3 is not read here."]
    images, speed = workload.images, workload.images_per_second
    said = [
        f"Time: {START_UP[0]:.0f} to {START_UP[1]:.0f} s to start, {images[0]:,.0f} to {images[1]:,.0f} images at "
        f"{speed[0]:g} to {speed[1]:g} a second and processor, {workload.seconds_around[0]:.0f} to "
        f"{workload.seconds_around[1]:.0f} s around them."
    ]
    if has_gpu(plan.instance_type):
        said.append(
            f"The GPU is counted as {GPU_GAIN[0]:g} to {GPU_GAIN[1]:g} times its machine's processors: not measured."
        )
    return said


def _minutes(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 2 * 3600 else f"{seconds / 60:.0f} min"
