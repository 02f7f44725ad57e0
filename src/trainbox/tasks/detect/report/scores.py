"""How well each file finds each class, and at which score to draw the line."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainbox.report import plots
from trainbox.report.page import Block, Cell, Chart, Charts, Details, Prose, Section, Table
from trainbox.report.words import decimal, share
from trainbox.tasks.detect.metrics import SIZES
from trainbox.tasks.detect.scoring import FLOAT_FILE, QUANTIZED_FILE

CURVES = 11
_MEANINGS = (
    ("mAP50", "Average precision where a box counts as found from an overlap (intersection over union) of one half on, "
              "averaged over the classes."),
    ("mAP75", "The same from an overlap of three quarters on: tight boxes only."),
    ("mAP", "The mean over ten overlaps from .5 to .95: what COCO's tables call AP."),
    ("Small, medium, large", "mAP of things below 32 × 32 pixels, up to 96 × 96, and above, in the pictures as they "
                             "are."),
    ("Best threshold", "The score from which on detections are best shown: there precision and recall, taken together "
                       "(F1), are highest."),
    ("Precision", "Of what is said to be there, the share that is."),
    ("Recall", "Of what is there, the share that is found."),
)  # fmt: skip


def scores_section(metrics: Mapping[str, Any]) -> Section:
    """Return the scores of every file, and of every class in the file that is spoken of."""
    file = metrics["scored_file"]
    by_file = [_file_row(name, scores) for name, scores in metrics["files"].items()]
    scores = metrics["files"][file]
    by_class = [_class_row(label, one, scores["threshold"][label]) for label, one in scores["by_class"].items()]
    titles = ("Class", "Boxes", "AP50", "AP", *(size.capitalize() for size in SIZES), "Best threshold", "Precision",
              "Recall")  # fmt: skip
    return Section(
        "How well it finds",
        [
            Prose("Each file was scored as a device runs it, from pictures to boxes, by COCO's rules."),
            Table(("File", "mAP50", "mAP75", "mAP", "Small", "Medium", "Large"), by_file, numeric=range(1, 7)),
            Table(titles, by_class, numeric=range(1, 10), caption=f"By class, of {file}:"),
            Details("What the columns mean", [Table(("Column", "Meaning"), _MEANINGS)]),
        ],
        contents="Scores",
    )


def _file_row(name: str, scores: Mapping[str, Any]) -> list[Cell]:
    return [
        Cell(name),
        Cell(decimal(scores["mAP50"]), bar=scores["mAP50"]),
        Cell(decimal(scores["mAP75"])),
        Cell(decimal(scores["mAP"])),
        *(Cell(decimal(scores["mAP_by_size"][size])) for size in SIZES),
    ]


def _class_row(label: str, one: Mapping[str, Any], best: Mapping[str, float] | None) -> list[Cell]:
    return [
        Cell(label),
        Cell(str(one["boxes"])),
        Cell(decimal(one["AP50"]), bar=one["AP50"]),
        Cell(decimal(one["AP"])),
        *(Cell(decimal(one["AP_by_size"][size])) for size in SIZES),
        Cell(decimal(best["threshold"] if best else None, 2)),
        Cell(share(best["precision"] if best else None)),
        Cell(share(best["recall"] if best else None)),
    ]


def curves_section(metrics: Mapping[str, Any]) -> Section:
    """Return what a threshold costs, and precision against recall of the classes, weakest first."""
    file = metrics["scored_file"]
    by_class = metrics["files"][file]["by_class"]
    known = sorted((label for label, one in by_class.items() if one["precision"]), key=lambda k: by_class[k]["AP50"])
    charts = [_threshold_chart(metrics["files"][file])]
    if len(known) > 1:
        charts.append(_precision_chart(metrics, known, "All classes, mean"))
    charts += [_precision_chart(metrics, [label], label) for label in known[:CURVES]]
    blocks: list[Block] = [
        Prose("A high threshold shows little that is wrong and misses more; a low one the other way round. In the "
              "curves of precision against recall, each point is one threshold: the further to the upper right, the "
              "better, and a curve that ends early is a class of which some are never found."),
        Charts(charts),
    ]  # fmt: skip
    if len(known) > CURVES:
        blocks.append(Prose(f"Shown are the {CURVES} weakest of {len(known)} classes; the table above has all."))
    return Section("Where to draw the line", blocks, contents="Curves")


def _threshold_chart(scores: Mapping[str, Any]) -> Chart:
    by, best = scores["by_threshold"], scores["best_threshold"]
    x = np.array(by["threshold"], np.float64)
    precision, recall, f1 = (np.array(by[name], np.float64) for name in ("precision", "recall", "F1"))
    drawn = [
        plots.Line("precision", x, precision, 1),
        plots.Line("recall", x, recall, 2),
        plots.Line("F1", x, f1, 1, dashed=True),
    ]
    marked = best["threshold"] if best else None
    caption = f"The dotted line is the best: {marked:.2f}." if marked is not None else ""
    drawing = plots.lines(drawn, "score threshold", "share", marked_x=marked, shares=True)
    return Chart(drawing, "By threshold, all classes together", caption)


def _precision_chart(metrics: Mapping[str, Any], labels: list[str], title: str) -> Chart:
    """Draw precision against recall of one class, or the mean of several, for the float and the quantized file."""
    first = metrics["scored_file"]
    precision = _precision(metrics["files"][first], labels)
    recall = np.linspace(0, 1, len(precision))
    drawn, said = [plots.Line(first, recall, precision, 1)], f"AP50: {precision.mean():.3f}"
    if first == FLOAT_FILE and QUANTIZED_FILE in metrics["files"]:
        quantized = _precision(metrics["files"][QUANTIZED_FILE], labels)
        drawn.append(plots.Line(QUANTIZED_FILE, recall, quantized, 2))
        said += f", quantized {quantized.mean():.3f}"
    return Chart(plots.lines(drawn, "recall", "precision", shares=True), title, f"{said}.")


def _precision(scores: Mapping[str, Any], labels: list[str]) -> np.ndarray:
    """Return the mean precision of classes at 101 recalls, float64 (101,)."""
    return np.mean([scores["by_class"][label]["precision"] for label in labels], axis=0)
