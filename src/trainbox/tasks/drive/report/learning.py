"""How the training went, and with what it was set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainbox.report import plots
from trainbox.report.page import Chart, Charts, Details, Prose, Section, Table
from trainbox.tasks.drive.report.words import setting

_WHY = {
    "epochs": "All epochs asked for were done.",
    "early stop": "Training stopped by itself: the validation loss no longer fell.",
    "interrupted": "Training was told to stop before its end.",
}


def learning_section(manifest: Mapping[str, Any]) -> Section:
    """Return the curves of the losses and the learning rate, and the hyperparameters."""
    history = manifest["history"]
    epochs: Sequence[Mapping[str, float]] = history["epochs"]
    facts = [_WHY.get(history["stopped"], history["stopped"])]
    if history["best_epoch"]:
        facts.append(f"The model is that of epoch {history['best_epoch']}, where the validation loss was least.")
    if history.get("resumed_from") is not None:
        facts.append(f"It was resumed from a checkpoint at step {history['resumed_from']}.")
    facts.append(f"{history['images_per_second']:.0f} images a second, {history['seconds']:.0f} s in all.")
    hyperparameters = [(name, setting(value)) for name, value in sorted(manifest["hyperparameters"].items())]
    return Section(
        "How it learnt",
        [
            Prose(" ".join(facts)),
            Charts(_curves(epochs, history["best_epoch"])),
            Details("Hyperparameters, defaults included", [Table(("Name", "Value"), hyperparameters)]),
        ],
        contents="Training",
    )


def _curves(epochs: Sequence[Mapping[str, float]], best: int) -> list[Chart]:
    numbers = np.arange(1, len(epochs) + 1)
    marked = float(best) if best else None

    def column(name: str) -> np.ndarray:
        return np.array([epoch.get(name, np.nan) for epoch in epochs], np.float64)

    losses = [
        plots.Line("training", numbers, column("loss"), 1),
        plots.Line("validation", numbers, column("val_loss"), 2),
    ]
    charts = [
        Chart(
            plots.lines(losses, "epoch", "loss", counted=True, marked_x=marked),
            "Loss",
            "The dotted line is the epoch kept.",
        )
    ]
    for name, title in (("learning_rate", "Learning rate"), ("images_per_second", "Images a second")):
        if np.isfinite(column(name)).any():
            drawing = plots.lines([plots.Line(title, numbers, column(name), 1)], "epoch", title.lower(), counted=True)
            charts.append(Chart(drawing, title))
            break
    return charts
