"""How detectors are served: the shapes of their answers. Loads without numpy."""

from pathlib import Path
from typing import Any

from trainbox.tasks import Service, Wording, later

ROWS, ANNOTATION, LABELS = "", "annotation", "labels"

_NUMBER = {"type": "number"}
_PIXELS = {"type": "number", "minimum": 0}
_SCORE = {"type": "number", "minimum": 0, "maximum": 1}


def _thing(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has just these properties, all of them."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _many(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


WORDINGS = {
    ROWS: Wording(
        "[class, score, xmin, ymin, xmax, ymax], best first; classes count from 0, edges are shares of the picture",
        _thing(prediction=_many({"type": "array", "items": _NUMBER, "minItems": 6, "maxItems": 6})),
        {"prediction": [[0, 0.9312, 0.158, 0.114583, 0.282656, 0.278542]]},
    ),
    ANNOTATION: Wording(
        "boxes in pixels, as Amazon SageMaker's own object detection words them",
        _thing(
            image_size=_many(_thing(width=_PIXELS, height=_PIXELS, depth=_PIXELS)),
            annotations=_many(
                _thing(
                    class_id={"type": "integer"}, score=_SCORE, left=_PIXELS, top=_PIXELS, width=_PIXELS, height=_PIXELS
                )
            ),
        ),
        {
            "image_size": [{"width": 640, "height": 480, "depth": 3}],
            "annotations": [
                {"class_id": 0, "score": 0.9312, "left": 101.2, "top": 55.0, "width": 79.7, "height": 78.7}
            ],
        },
    ),
    LABELS: Wording(
        "labels by name and boxes in pixels, as `trainbox predict --json` says them",
        _thing(
            width=_PIXELS,
            height=_PIXELS,
            detections=_many(
                _thing(
                    label={"type": "string"},
                    score=_SCORE,
                    box=_thing(left=_PIXELS, top=_PIXELS, right=_PIXELS, bottom=_PIXELS),
                )
            ),
        ),
        {
            "width": 640,
            "height": 480,
            "detections": [
                {
                    "label": "stop",
                    "score": 0.9312,
                    "box": {"left": 101.2, "top": 55.0, "right": 180.9, "bottom": 133.7},
                }
            ],
        },
    ),
}


def service() -> Service:
    """Say how a detector is served."""
    return Service(
        WORDINGS,
        LABELS,
        takes_threshold=True,
        script=Path(__file__).with_name("page.js"),
        open=later("trainbox.tasks.detect.served:ServedDetector"),
        say=later("trainbox.tasks.detect.predict:say"),
        draw=later("trainbox.tasks.detect.predict:draw"),
    )
