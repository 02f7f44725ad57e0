"""How many cores this process may use: a container's share, not the machine's."""

import os
from pathlib import Path

CGROUP_2 = Path("/sys/fs/cgroup/cpu.max")


def cores(quota: Path = CGROUP_2) -> int:
    """Return the cores that the scheduler and the container's limit leave, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text().split()
        limit = allowed if share == "max" else -(-int(share) // int(period))
    except (OSError, ValueError):
        limit = allowed
    return max(1, min(allowed, limit))
