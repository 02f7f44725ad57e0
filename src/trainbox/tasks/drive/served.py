"""A pilot that answers strangers: what ``predict`` says, by a shorter way."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.data.images import decode_resized
from trainbox.errors import ModelFileError
from trainbox.export.litert import Interpreter
from trainbox.tasks.drive.metrics import decode
from trainbox.tasks.drive.pilots import HEIGHT, KINDS, PIXEL_RANGE, WIDTH

if TYPE_CHECKING:
    from trainbox.export.bundle import Bundle

IMAGE, MEMORY = "img_in", "mem_in"


class ServedPilot:
    """A pilot's ``.tflite`` in one interpreter. See ``trainbox.tasks.Served`` for what each method is.

    The pilot ``memory`` remembers its own commands within a request: its pictures are frames in a row.
    """

    def __init__(self, bundle: "Bundle", file: str) -> None:
        asked = bundle.manifest["hyperparameters"]
        try:
            self._kind = KINDS[asked["pilot"]]
            self._throttle_range, length = float(asked["throttle_range"]), int(asked["memory_length"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"Bundle {bundle.folder}: its hyperparameters are no pilot's ({error}).") from error
        self.in_order = self._kind.remembers
        self._interpreter = Interpreter(bundle.file(file))
        expected = {IMAGE: (1, HEIGHT, WIDTH, 3), **({MEMORY: (1, 2 * length)} if self.in_order else {})}
        received = {name: self._interpreter.shapes[name] for name in self._interpreter.inputs}
        if received != expected or len(self._interpreter.outputs) != len(self._kind.outputs):
            raise ModelFileError(f"{file} is not the pilot of its manifest. Received inputs {received}. Export it.")
        self._fed = self._interpreter.tensor(IMAGE)
        self._scale = np.float32(self._kind.pixel_range / PIXEL_RANGE)
        self._memory = np.zeros((1, 2 * length), np.float32)

    def forget(self) -> None:
        """Stand still: no command was given yet."""
        self._memory[:] = 0

    def see(self, content: bytes) -> np.ndarray:
        """Decode a picture: uint8 (120, 160, 3); raise UnreadableImage."""
        return decode_resized(content, (HEIGHT, WIDTH))[0]

    def answer(self, seen: np.ndarray, threshold: float | None) -> Mapping[str, Any]:
        """Return ``{"angle", "throttle"}``. There are no scores, so no threshold either."""
        np.multiply(seen, self._scale, out=self._fed()[0], dtype=np.float32)
        if self.in_order:
            self._interpreter.tensor(MEMORY)()[:] = self._memory
        self._interpreter.invoke()
        outputs = {name: self._interpreter.output(name) for name in self._interpreter.outputs}
        commands = decode(self._kind, outputs, self._throttle_range)
        answer = {name: float(values[0]) for name, values in commands.items()}
        self._memory[0] = [*self._memory[0, 2:], answer["angle"], answer["throttle"]]
        return answer

    def word(self, answer: Mapping[str, Any], wording: str) -> Mapping[str, Any]:
        """Return the commands as they are: there is one wording."""
        return answer
