"""The container program: ``trainbox-container train`` or ``serve``; or ``python -m trainbox.container train``.

Turns every error into one line on stderr, the same line in ``output/failure``, and an exit status.
"""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trainbox.container.interruption import Interrupted, Stop

if TYPE_CHECKING:
    from trainbox.container.contract.paths import Paths

USAGE = "Usage: trainbox-container [train|serve]. What it reads lies below SAGEMAKER_BASE_DIR (/opt/ml where not set)."


def main() -> None:
    """Run the program that the arguments name, and exit."""
    stop = Stop().install()  # Before any import that takes time: a signal is heard from here on.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for stream in (sys.stdout, sys.stderr):
        # Names that are not UTF-8 are shown escaped; a line is in the log as soon as it is said.
        stream.reconfigure(errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    status = run(sys.argv[1:], stop)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # whoever read the log may have gone first
            stream.flush()
    # Not sys.exit: where training was cut off, TensorFlow's input threads wait for an interpreter that waits for them,
    # and a signal that comes while Python takes itself apart would replace the exit status.
    os._exit(status)


def run(arguments: Sequence[str], stop: Stop, environment: Mapping[str, str] = os.environ) -> int:
    """Return the exit status: 0 a proved bundle stands there, or all was answered; 1 failed; 2 refused."""
    from trainbox.container.contract.paths import Paths

    paths = Paths.from_environment(environment)
    if list(arguments) in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if list(arguments) == ["serve"]:
        return _serve(paths, environment, stop)
    # SageMaker's newer client starts the image without an argument.
    if list(arguments) == ["train"] or (not arguments and paths.config.is_dir()):
        return _train(paths, stop)
    received = " ".join(arguments) or f"no argument, and no {paths.config}"
    return _refused(f"{USAGE} Received: {received}.")


def _train(paths: "Paths", stop: Stop) -> int:
    from trainbox.container.contract import failure
    from trainbox.errors import TrainboxError, TrainingFailed

    failure.clear(paths.failure)
    try:
        try:
            from trainbox.container.train import train

            train(paths, stop)
            return 0
        except (Interrupted, KeyboardInterrupt) as interruption:
            raise TrainingFailed("Told to stop before there was a model to save.") from interruption
    except BaseException as error:
        if _unforeseen(error):
            _log_traceback(error)
        line = failure.one_line(error)
        failure.write(paths.failure, line)
        print(line, file=sys.stderr, flush=True)
        return error.exit_status if isinstance(error, TrainboxError) else 1


def _serve(paths: "Paths", environment: Mapping[str, str], stop: Stop) -> int:
    from trainbox.container.contract.failure import one_line
    from trainbox.errors import TrainboxError

    try:
        from trainbox.container.serve import serve

        serve(paths, environment, stop)
        return 0
    except Exception as error:
        if _unforeseen(error):
            _log_traceback(error)
        print(one_line(error), file=sys.stderr, flush=True)
        return error.exit_status if isinstance(error, TrainboxError) else 1


def _unforeseen(error: BaseException) -> bool:
    """Tell whether where an error arose says more than its one line: not where we raised it ourselves, knowing why."""
    from trainbox.errors import RefusedInput, TrainboxError

    if isinstance(error, RefusedInput):
        return False
    known = (OSError, Interrupted, KeyboardInterrupt, TrainboxError)
    return not isinstance(error, TrainboxError) or not (error.__cause__ is None or isinstance(error.__cause__, known))


def _log_traceback(error: BaseException) -> None:
    import traceback

    traceback.print_exception(error)


def _refused(line: str) -> int:
    print(line, file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
