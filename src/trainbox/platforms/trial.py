"""One trial of a search: an ordinary training job in a process of its own, with a log of its own.

``python -m trainbox.platforms.trial`` reads the job as one line of JSON from its standard input, writes what became of
it as JSON to its standard output, and its log to standard error. SIGTERM asks for the best model so far; the end of
standard input ends the trial at once, without a model, whoever closed it and however.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from trainbox.platforms import docker, local
from trainbox.platforms.job import TrainingJob

RUN = {"local": local.run, "docker": docker.run}
SECONDS_TO_END = 20.0
SCRATCH, LOG, MODEL = "tmp", "log.txt", "model"


@dataclass
class Trial:
    """A trial that runs. Its folder holds its log, what is temporary, and the model at the end."""

    folder: Path
    process: "subprocess.Popen[str]"
    started: float
    told: bool = False

    @classmethod
    def start(cls, job: TrainingJob, on: str, image: str | None, folder: Path) -> Self:
        """Start a job on a platform."""
        (folder / SCRATCH).mkdir(parents=True)
        with (folder / LOG).open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "trainbox.platforms.trial"],
                env={**os.environ, "TMPDIR": str((folder / SCRATCH).absolute())},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C is for whoever searches: it decides what becomes of trials.
                start_new_session=True,
            )
        trial = cls(folder, process, time.monotonic())
        trial._tell(_worded(job, on, image, folder / MODEL))
        return trial

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.started

    def finish_early(self) -> None:
        """Ask for the best model so far, once."""
        if not self.told:
            self.told = True
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """End it at once, where it is not over."""
        self._close()
        try:
            self.process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def outcome(self) -> dict[str, Any]:
        """Return what became of a trial that is over: ``failed``, the reason, or None where its model is there."""
        said = self.process.stdout.read() if self.process.stdout else ""
        self.end()
        try:
            return dict(json.loads(said))
        except ValueError:
            return {"failed": f"The trial's process ended with status {self.process.returncode}: see {LOG}."}

    def _tell(self, line: str) -> None:
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(line + "\n")
                self.process.stdin.flush()

    def _close(self) -> None:
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


def _worded(job: TrainingJob, on: str, image: str | None, out: Path) -> str:
    channels = {name: str(path.absolute()) for name, path in job.on_this_machine.items()}
    said = {"task": job.task, "channels": channels, "hyperparameters": dict(job.hyperparameters), "name": job.name}
    return json.dumps({"job": said, "on": on, "image": image, "out": str(out.absolute())})


def main() -> None:
    """Run the trial that standard input words."""
    line = sys.stdin.readline()
    if not line.strip():
        return
    asked = json.loads(line)
    threading.Thread(target=_end_with_stdin, name="parent", daemon=True).start()
    print(json.dumps(_outcome(asked)), flush=True)


def _outcome(asked: Mapping[str, Any]) -> dict[str, Any]:
    from trainbox.container.contract.failure import one_line
    from trainbox.errors import TrainboxError

    job = asked["job"]
    channels = {name: Path(path) for name, path in job["channels"].items()}
    chosen = {"image": asked["image"]} if asked["image"] else {}
    try:
        wanted = TrainingJob(job["task"], channels, job["hyperparameters"], job["name"])
        RUN[asked["on"]](wanted, Path(asked["out"]), say=lambda line: print(line, file=sys.stderr), **chosen)
    except TrainboxError as problem:
        return {"failed": one_line(problem)}
    except OSError as problem:
        return {"failed": one_line(problem)}
    return {"failed": None}


def _end_with_stdin() -> None:
    """End the job as a person would who presses ctrl-C twice, once standard input ends."""
    with contextlib.suppress(OSError):
        # Not sys.stdin: a thread that waits in it keeps the interpreter from ending.
        while os.read(0, 1024):
            pass
    for pause in (0.5, SECONDS_TO_END):
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(pause)
    os._exit(1)


if __name__ == "__main__":
    main()
