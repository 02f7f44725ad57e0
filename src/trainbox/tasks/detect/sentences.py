"""A detector's scores in plain sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainbox.tasks.detect.scoring import LITTLE_MAP50, QUANTIZED_FILE, TOLERATED_LOSS

LITTLE_LOSS = 0.0005


def summary_lines(metrics: Mapping[str, Any]) -> Sequence[str]:
    """Say ``scoring.score_files``'s result in a few sentences, warnings last."""
    scores = metrics["files"][metrics["scored_file"]]
    lines = [] if scores["mAP50"] is None else [_found(scores)]
    if lines and scores["mAP50"] >= LITTLE_MAP50:
        lines += [*_by_class(scores), *_by_size(scores), *_advice(scores)]
    lines += _quantized(metrics["int8"])
    return [*lines, *(f"WARNING: {warning}" for warning in metrics["warnings"])]


def _found(scores: Mapping[str, Any]) -> str:
    return (
        f"On {_counted(scores['pictures'], 'picture')} never trained on, holding {_counted(scores['boxes'], 'box')}, "
        f"it scores mAP50 {scores['mAP50']:.3f}; mAP {scores['mAP']:.3f} over stricter overlaps (COCO)."
    )


def _by_class(scores: Mapping[str, Any]) -> list[str]:
    known = {label: one["AP50"] for label, one in scores["by_class"].items() if one["AP50"] is not None}
    if len(known) < 2:
        return []
    weakest, best = min(known, key=lambda label: known[label]), max(known, key=lambda label: known[label])
    boxes = _counted(scores["by_class"][weakest]["boxes"], "box")
    return [f"Best class: {best} ({known[best]:.2f}); weakest: {weakest} ({known[weakest]:.2f}, on {boxes})."]


def _by_size(scores: Mapping[str, Any]) -> list[str]:
    known = {size: value for size, value in scores["mAP_by_size"].items() if value is not None}
    said = ", ".join(f"{size} {value:.2f}" for size, value in known.items())
    return [f"By size of the things (mAP): {said}."] if len(known) > 1 else []


def _advice(scores: Mapping[str, Any]) -> list[str]:
    best = scores["best_threshold"]
    if best is None:
        return []
    return [
        f"Show detections from a score of {best['threshold']:.2f} on: then {_percent(best['precision'])} of them are "
        f"right, and {_percent(best['recall'])} of what is there is found."
    ]


def _quantized(loss: Mapping[str, float] | None) -> list[str]:
    if not loss or loss["mAP50_lost"] > TOLERATED_LOSS:
        return []  # A warning says it.
    lost = loss["mAP50_lost"]
    if abs(lost) < LITTLE_LOSS:
        return [f"{QUANTIZED_FILE} scores as the float file does."]
    verb = "loses" if lost > 0 else "gains"
    return [f"{QUANTIZED_FILE} {verb} {100 * abs(lost):.1f} points of mAP50 against the float file."]


def _counted(count: int, thing: str) -> str:
    plural = f"{thing}es" if thing.endswith("x") else f"{thing}s"
    return f"{count} {thing if count == 1 else plural}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def listed(labels: Sequence[str], most: int = 3) -> str:
    """Return the first few labels as a person lists them."""
    if len(labels) > most + 1:
        return f"{', '.join(labels[:most])} and {len(labels) - most} more"
    return " and ".join(filter(None, (", ".join(labels[:-1]), *labels[-1:])))
