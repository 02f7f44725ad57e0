"""How pilots are served: the shape of their answers. Loads without numpy."""

from pathlib import Path

from trainbox.tasks import Service, Wording, later

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
        open=later("trainbox.tasks.drive.served:ServedPilot"),
        say=later("trainbox.tasks.drive.predict:say"),
        draw=later("trainbox.tasks.drive.predict:draw"),
    )
