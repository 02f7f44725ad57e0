"""How many cores this process may use: a container's share, not the machine's."""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUP_2 = Path("/sys/fs/cgroup/cpu.max")
CGROUP_1 = Path("/sys/fs/cgroup/cpu")


def cores(quota: Path = CGROUP_2, older: Path = CGROUP_1) -> int:
    """Return the cores that the scheduler and the container's limit leave, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for text in _limits(quota, older):
        share, _, period = text.partition(" ")
        try:
            if int(share) > 0:
                return max(1, min(allowed, -(-int(share) // int(period))))
        except (ValueError, ZeroDivisionError):
            continue
    return allowed


def _limits(quota: Path, older: Path) -> Iterator[str]:
    """Yield what the kernel says of it, microseconds of work and of time: of both kinds of control groups."""
    for paths in ([quota], [older / "cpu.cfs_quota_us", older / "cpu.cfs_period_us"]):
        try:
            yield " ".join(path.read_text().strip() for path in paths)
        except OSError:
            continue
