"""Train a small network in a process of its own, to be killed: ``killed_run.py FOLDER OUT [STEP] [STAGE]``.

STEP is how many steps this process lives (0: until it is done); STAGE is the stage of writing a checkpoint, and the
how-manieth time it is reached ("npz synced:3"), at which it dies. The final weights are written to OUT.
"""

import os
import signal
import sys
from pathlib import Path

from trainbox.training.device import prepare

prepare("float32", 3, print)

import numpy as np  # noqa: E402
from small import config, recipe, weights  # noqa: E402

from trainbox.training.checkpoint import CheckpointFolder  # noqa: E402
from trainbox.training.fit import fit  # noqa: E402
from trainbox.training.state import fingerprint  # noqa: E402


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Life:
    """Is asked after every step whether to stop, and dies in the given one."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    @property
    def requested(self) -> bool:
        self.steps -= 1
        if self.steps == 0:
            die()
        return False


def dying_at(stage: str, times: int):
    def reach(reached: str) -> None:
        nonlocal times
        times -= reached == stage
        if times == 0:
            die()

    return reach


if __name__ == "__main__":
    folder, out, steps, stage = (*sys.argv[1:], *("0", "")[len(sys.argv) - 3 :])
    name, _, times = stage.partition(":")
    made = recipe(train=320, validation=64)
    options = {"on_stage": dying_at(name, int(times))} if name else {}
    settings = config(epochs=16, patience=16, checkpoint_seconds=0.02)
    if CheckpointFolder(Path(folder), fingerprint(made, settings)).newest() is not None:
        # Whoever goes on from a checkpoint gets all from it: a run that began anew would end with other weights.
        made = recipe(train=320, validation=64, seed=99)
    fit(made, settings, checkpoints=Path(folder), logs=None, stop=Life(int(steps)), say=print, **options)
    np.savez(out, *weights(made))
