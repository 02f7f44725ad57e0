"""A .tflite in one LiteRT interpreter, asked as plainly as can be: serving imports this and little more of export."""

import contextlib
import ctypes
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from trainbox.errors import ModelFileError

SIGNATURE = "serving_default"


class Interpreter:
    """One interpreter of one thread, for one caller at a time.

    The caller writes into ``tensor(name)``, the interpreter's own memory, calls ``invoke`` and reads ``output(name)``.
    No array that ``tensor`` gave may be held while it runs.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter as LiteRt

        try:
            self._litert = LiteRt(model_path=str(path), num_threads=threads)
            signatures = self._litert.get_signature_list()
            if list(signatures) != [SIGNATURE]:
                raise ModelFileError(f"{path.name} has signatures {sorted(signatures)}, not '{SIGNATURE}' alone.")
            self._litert.allocate_tensors()
            self._litert.invoke()  # the first one is slow, and reads what is then packed elsewhere
            runner = self._litert.get_signature_runner(SIGNATURE)
        except (ValueError, RuntimeError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ModelFileError(f"{path.name} does not load in LiteRT: {reason}. Export it again.") from error
        _forget_pages(path)
        details = {**runner.get_input_details(), **runner.get_output_details()}
        self._indices = {name: int(detail["index"]) for name, detail in details.items()}
        self.shapes = {name: tuple(int(side) for side in detail["shape"]) for name, detail in details.items()}
        self.kinds = {name: detail["dtype"] for name, detail in details.items()}
        self.inputs: Sequence[str] = list(runner.get_input_details())
        self.outputs: Sequence[str] = sorted(runner.get_output_details())

    def tensor(self, name: str) -> Callable[[], np.ndarray]:
        """Return a function that gives an input's memory: its shape has the first axis, of one example."""
        view: Callable[[], np.ndarray] = self._litert.tensor(self._indices[name])
        return view

    def invoke(self) -> None:
        """Run the network on what stands in the inputs."""
        self._litert.invoke()

    def output(self, name: str) -> np.ndarray:
        """Return a copy of an output, first axis of one example."""
        answer: np.ndarray = self._litert.get_tensor(self._indices[name])
        return answer


_MADV_DONTNEED = 4


def _forget_pages(path: Path) -> None:
    """Give back the memory of the file's pages: its weights stand packed in the delegate's, all that is read again.

    A page that is wanted after all comes from the file once more. Nothing happens where there is no ``/proc``.
    """
    with contextlib.suppress(OSError, AttributeError, ValueError):
        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for line in Path("/proc/self/maps").read_text().splitlines():
            if line.endswith(f" {path.resolve()}") and (place := re.match(r"([0-9a-f]+)-([0-9a-f]+) r--[ps] ", line)):
                start, end = (int(number, 16) for number in place.groups())
                madvise(start, end - start, _MADV_DONTNEED)
