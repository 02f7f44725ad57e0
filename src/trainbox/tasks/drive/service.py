"""How pilots are served: the shape of their answers. Loads without numpy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox.tasks import Served, Service, Wording

if TYPE_CHECKING:
    import numpy as np

    from trainbox.export.bundle import Bundle

_COMMAND = {"type": "number"}

WORDINGS = {
    "": Wording(
        "steering angle, -1 (left) to 1 (right), and throttle",
        {
            "type": "object",
            "properties": {"angle": _COMMAND, "throttle": _COMMAND},
            "required": ["angle", "throttle"],
            "additionalProperties": False,
        },
        {"angle": -0.213, "throttle": 0.341},
    )
}


def service() -> Service:
    """Say how a pilot is served."""
    return Service(
        WORDINGS,
        "",
        takes_threshold=False,
        script=Path(__file__).with_name("page.js"),
        open=_open,
        say=_say,
        draw=_draw,
    )


def _open(bundle: "Bundle", file: str) -> Served:
    from trainbox.tasks.drive.served import ServedPilot

    return ServedPilot(bundle, file)


def _say(answer: Mapping[str, Any]) -> str:
    from trainbox.tasks.drive.predict import say

    return say(answer)


def _draw(content: bytes, answer: Mapping[str, Any], labels: Sequence[str]) -> "np.ndarray":
    from trainbox.tasks.drive.predict import draw

    return draw(content, answer)
