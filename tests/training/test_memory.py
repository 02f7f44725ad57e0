import subprocess
import sys
import textwrap

import pytest

from trainbox.training.memory import reused_memory

FAULTS = """
    import contextlib, resource, sys
    import numpy as np
    from trainbox.training.memory import reused_memory

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            np.ones(4_000_000, np.uint8)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with reused_memory() if sys.argv[1] == "reused" else contextlib.nullcontext():
        np.ones(4_000_000, np.uint8)
        inside = faults()
    print(inside, faults())
"""


def faults(how: str) -> list[int]:
    command = [sys.executable, "-c", textwrap.dedent(FAULTS), how]
    # numpy may ask for huge pages, of which so few are needed that nothing would be seen.
    environment = {"NUMPY_MADVISE_HUGEPAGE": "0", "MALLOC_MMAP_THRESHOLD_": "131072"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return [int(number) for number in done.stdout.split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_memory_is_kept_within_and_handed_back_after():
    plain, _ = faults("plain")
    inside, after = faults("reused")
    assert plain > 5000
    assert inside < plain / 20
    assert after > 5000


def test_an_error_passes_through():
    with pytest.raises(ValueError, match="mine"), reused_memory():
        raise ValueError("mine")
