"""Ask a finished pilot for commands, as a car would: one picture in, an angle and a throttle out."""

from collections.abc import Mapping, Sequence
from math import cos, pi, sin
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.data.images import decode_rgb
from trainbox.errors import ModelFileError
from trainbox.tasks.drive.config import DriveConfig
from trainbox.tasks.drive.metrics import decode
from trainbox.tasks.drive.pilots import HEIGHT, KINDS, PIXEL_RANGE, WIDTH
from trainbox.tasks.drive.scoring import FLOAT_FILE

if TYPE_CHECKING:
    from trainbox.export.bundle import Bundle

LEAST_WIDTH_DRAWN = 480
"""Pictures of cars are small: narrower ones are enlarged before anything is drawn on them."""
NEEDLE_LENGTH = 0.45
NEEDLE_AT_FULL_LOCK = pi / 4
NEEDLE, PAPER = (232, 101, 10), (255, 255, 255)


def config_of(bundle: "Bundle") -> DriveConfig:
    """Return the hyperparameters a bundle was trained with; raise ModelFileError where it is of another task."""
    if bundle.manifest.get("task") != "drive":
        raise ModelFileError(f"Bundle {bundle.folder} is of task '{bundle.manifest.get('task')}', not 'drive'.")
    return DriveConfig.parse(bundle.manifest["hyperparameters"])


class DrivePredictor:
    """A bundle's pilot in LiteRT. The pilot ``memory`` remembers its own commands from call to call, as on the car."""

    def __init__(self, bundle: "Bundle") -> None:
        from trainbox.export.runtimes import open_model

        self.config = config_of(bundle)
        self.kind = KINDS[self.config.pilot]
        self._model = open_model(bundle.file(FLOAT_FILE))
        self._memory = np.zeros((1, 2 * self.config.memory_length), np.float32)

    def predict(self, content: bytes) -> dict[str, Any]:
        """Return ``{"angle", "throttle"}`` for an image file's bytes; raise UnreadableImage."""
        pixels, _ = decode_rgb(content, (HEIGHT, WIDTH))
        scale = np.float32(self.kind.pixel_range / PIXEL_RANGE)
        inputs = {"img_in": pixels[None].astype(np.float32) * scale}
        if self.kind.remembers:
            inputs["mem_in"] = self._memory
        commands = decode(self.kind, self._model(inputs), self.config.throttle_range)
        answer = {name: float(values[0]) for name, values in commands.items()}
        self._memory = np.concatenate(
            [self._memory[:, 2:], [[answer["angle"], answer["throttle"]]]], 1, dtype=np.float32
        )
        return answer

    def say(self, answer: Mapping[str, Any]) -> str:
        """Return the commands in words."""
        return say(answer)

    def draw(self, content: bytes, answer: Mapping[str, Any]) -> np.ndarray:
        """Return the picture with a needle that points where the wheels are told to go: uint8 (h, w, 3)."""
        return draw(content, answer)


def say(answer: Mapping[str, Any]) -> str:
    """Return the commands in words."""
    return f"angle {answer['angle']:+.3f}, throttle {answer['throttle']:+.3f}"


def draw(content: bytes, answer: Mapping[str, Any], labels: Sequence[str] = ()) -> np.ndarray:
    """Return an image file's picture with a needle that points where the wheels are told to go: uint8 (h, w, 3)."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(decode_rgb(content)[0])
    if image.width < LEAST_WIDTH_DRAWN:
        image = image.resize((LEAST_WIDTH_DRAWN, round(image.height * LEAST_WIDTH_DRAWN / image.width)))
    turn = float(np.clip(answer["angle"], -1, 1)) * NEEDLE_AT_FULL_LOCK
    foot, length = (image.width / 2, image.height - 4.0), NEEDLE_LENGTH * image.height
    needle = [foot, (foot[0] + length * sin(turn), foot[1] - length * cos(turn))]
    pen, line = ImageDraw.Draw(image), max(2, image.width // 120)
    pen.line(needle, fill=PAPER, width=2 * line)
    pen.line(needle, fill=NEEDLE, width=line)
    font, corner = ImageFont.load_default(max(14, image.width // 32)), (6, 6)
    pen.rectangle(pen.textbbox(corner, say(answer), font=font), fill=(0, 0, 0))
    pen.text(corner, say(answer), fill=PAPER, font=font)
    return np.array(image)
