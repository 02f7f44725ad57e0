"""A pilot's scores in plain sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainbox.tasks.drive.scoring import INT8_FILE


def summary_lines(metrics: Mapping[str, Any]) -> Sequence[str]:
    """Say ``scoring.score``'s result in a few sentences, warnings last."""
    scores = metrics["files"][metrics["scored_file"]]
    lines = [
        f"Steering is within 0.1 of the driver on {_share(scores['angle_within'])} of {scores['frames']} frames never "
        f"trained on; on average it is {scores['angle_mae']:.3f} off.",
    ]
    if scores["angle_gain"] is not None:
        blind = metrics["baseline"]["angle_rmse"]
        lines.append(
            f"Its steering error ({scores['angle_rmse']:.3f}) is {_compared(scores['angle_gain'])} that of one who "
            f"never looks and steers the mean ({blind:.3f}); R2 is {_number(scores['angle_r2'])}."
        )
    lines.append(f"Throttle is {scores['throttle_mae']:.3f} off on average, R2 {_number(scores['throttle_r2'])}.")
    if metrics["int8"]:
        gap = metrics["int8"]
        lines.append(
            f"{INT8_FILE} steers {gap['angle_mean']:.4f} apart from the float file on average, "
            f"{gap['angle_most']:.3f} at most."
        )
    if metrics["pilot"] == "robocars":
        lines.append(
            "This is the original's network, for Donkeycar 2. A car of version 3 or later needs the pilot linear or "
            "categorical: set the hyperparameter pilot."
        )
    return [*lines, *(f"WARNING: {warning}" for warning in metrics["warnings"])]


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"


def _compared(gain: float) -> str:
    return f"{abs(100 * gain):.0f} % {'below' if gain >= 0 else 'above'}"
