"""The scores against one who never looks at the track."""

from collections.abc import Mapping
from typing import Any

from trainbox.report.page import Cell, Details, Prose, Section, Table
from trainbox.report.words import decimal, share, signed

_TITLES = ("", "Within 0.1", "Off by (mean)", "RMSE", "R²", "Gain", "Throttle off by", "Throttle R²")
_MEANINGS = (
    (
        "Within 0.1",
        "Share of frames on which the steering is no more than 0.1 from the driver's, on a scale of −1 to 1.",
    ),
    ("Off by (mean)", "Mean absolute error: how far the steering is from the driver's on average."),
    ("RMSE", "Root of the mean squared error: like the line above, but large mistakes count more."),
    ("R²", "Share of the driver's movements that is explained. Always steering the mean gives 0, perfection 1."),
    ("Gain", "By how much the RMSE is smaller than that of always steering the mean."),
)


def scores_section(metrics: Mapping[str, Any]) -> Section:
    """Return the table of all files, the blind driver, and the pilot with its pictures shuffled."""
    rows = [_row(name, scores) for name, scores in metrics["files"].items()]
    rows.append(_row("always the mean of training", metrics["baseline"]))
    shuffled = metrics["shuffled"]
    return Section(
        "Does it look at the track?",
        [
            Prose(
                f"Each file was scored as a car runs it. With the pictures shuffled among the frames the steering RMSE "
                f"is {decimal(shuffled['angle_rmse'])}: a pilot that looks gets much worse, one that does not stays "
                f"the same. The right pictures make the error {share(shuffled['gain'])} smaller."
            ),
            Table(_TITLES, rows, numeric=range(1, len(_TITLES))),
            Details("What the columns mean", [Table(("Column", "Meaning"), _MEANINGS)]),
        ],
        contents="Scores",
    )


def _row(name: str, scores: Mapping[str, Any]) -> list[Cell]:
    return [
        Cell(name),
        Cell(share(scores["angle_within"]), bar=scores["angle_within"]),
        Cell(decimal(scores["angle_mae"])),
        Cell(decimal(scores["angle_rmse"])),
        Cell(decimal(scores["angle_r2"], 2)),
        Cell(f"{signed(100 * scores['angle_gain'], 0)} %" if scores["angle_gain"] is not None else "–"),
        Cell(decimal(scores["throttle_mae"])),
        Cell(decimal(scores["throttle_r2"], 2)),
    ]
