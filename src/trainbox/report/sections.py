"""Parts of a report that say the same of every model: how it learnt, its files and their proofs, what was skipped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainbox.report import plots
from trainbox.report.page import (
    Block,
    Cell,
    Chart,
    Charts,
    Details,
    Notice,
    Page,
    Prose,
    Section,
    Table,
    Tile,
    render,
)
from trainbox.report.words import decimal, megabytes, setting, share

_WHY = {
    "epochs": "All epochs asked for were done.",
    "early stop": "Training stopped by itself: on validation it no longer got better.",
    "interrupted": "Training was told to stop before its end.",
}


def learning_section(manifest: Mapping[str, Any], best_where: str, scores: Mapping[str, str] | None = None) -> Section:
    """Return the curves of an epoch's values and the hyperparameters.

    ``best_where`` ends the sentence "The model is that of epoch 3, where ...". ``scores`` are validation scores in the
    history, by name, with what they are called; two are drawn at most.
    """
    history = manifest["history"]
    epochs: Sequence[Mapping[str, float]] = history["epochs"]
    facts = [_WHY.get(history["stopped"], history["stopped"])]
    if history["best_epoch"]:
        facts.append(f"The model is that of epoch {history['best_epoch']}, where {best_where}.")
    if history.get("resumed_from") is not None:
        facts.append(f"It was resumed from a checkpoint at step {history['resumed_from']}.")
    facts.append(f"{history['images_per_second']:.0f} images a second, {history['seconds']:.0f} s in all.")
    if history.get("data_wait") is not None:
        facts.append(f"{share(history['data_wait'])} of the time was spent waiting for data.")
    hyperparameters = [(name, setting(value)) for name, value in sorted(manifest["hyperparameters"].items())]
    return Section(
        "How it learnt",
        [
            Prose(" ".join(facts)),
            Charts(_curves(epochs, history["best_epoch"], scores or {})),
            Details("Hyperparameters, defaults included", [Table(("Name", "Value"), hyperparameters)]),
        ],
        contents="Training",
    )


def _curves(epochs: Sequence[Mapping[str, float]], best: int, scores: Mapping[str, str]) -> list[Chart]:
    numbers = np.arange(1, len(epochs) + 1)
    marked = float(best) if best else None

    def column(name: str) -> np.ndarray:
        return np.array([epoch.get(name, np.nan) for epoch in epochs], np.float64)

    def known(name: str) -> bool:
        return bool(np.isfinite(column(name)).any())

    losses = [
        plots.Line("training", numbers, column("loss"), 1),
        plots.Line("validation", numbers, column("val_loss"), 2),
    ]
    drawing = plots.lines(losses, "epoch", "loss", counted=True, marked_x=marked)
    charts = [Chart(drawing, "Loss", "The dotted line is the epoch kept.")]
    scored = [(name, title) for name, title in scores.items() if known(name)][:2]
    if scored:
        two = [plots.Line(title, numbers, column(name), 1 if number == 0 else 2) for number, (name, title)
               in enumerate(scored)]  # fmt: skip
        drawing = plots.lines(two, "epoch", "score", counted=True, marked_x=marked)
        charts.append(Chart(drawing, "Scores on validation"))
    for name, title in (("learning_rate", "Learning rate"), ("images_per_second", "Images a second")):
        if known(name):
            drawing = plots.lines([plots.Line(title, numbers, column(name), 1)], "epoch", title.lower(), counted=True)
            charts.append(Chart(drawing, title))
            break
    return charts


def files_section(folder: Path, manifest: Mapping[str, Any], examples: str, loads: str) -> Section:
    """Return every model file with its proof, and where it is known to load.

    ``examples`` is what the files were asked about, as "frames"; ``loads`` the title of where they load.
    """
    models = manifest["models"]
    proofs = [
        [
            Cell(name),
            Cell(megabytes(_size(folder / name))),
            Cell(model["proof"]["runtime"]),
            Cell(str(model["proof"]["examples"])),
            Cell(decimal(model["proof"]["largest_difference"], 6)),
            Cell("reported only" if model["proof"]["tolerance"] is None else decimal(model["proof"]["tolerance"])),
        ]
        for name, model in models.items()
    ]
    titles = ("File", "Size", "Proved on", examples.capitalize(), "Largest difference", "Allowed")
    return Section(
        "Files and their proofs",
        [
            Prose("Each file was loaded in its runtime before this folder was moved into place, and its answers to "
                  f"validation {examples} were compared with those of the Keras model."),
            Table(titles, proofs, numeric=(1, 3, 4, 5)),
            Details(loads, [_loads_on(models)]),
        ],
        contents="Files",
    )  # fmt: skip


def _loads_on(models: Mapping[str, Any]) -> Table:
    rows = [
        [
            Cell(name),
            Cell(known["runtime"]),
            Cell("yes" if known["loads"] else "no", tone="good" if known["loads"] else "bad"),
            Cell(known["because"]),
        ]
        for name, model in models.items()
        for known in model["loads_on"]
    ]
    return Table(("File", "Runtime", "Loads", "Because"), rows)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def problem_blocks(problems: Mapping[str, Any]) -> list[Details]:
    """Return what was skipped and what was odd, by reason with the first of them, from a manifest's ``problems``."""
    titled = (("What was skipped, and why", problems["skipped"]), ("What was odd, and kept", problems["warnings"]))
    return [_tallies(title, tallies) for title, tallies in titled if tallies]


def _tallies(title: str, tallies: Mapping[str, Any]) -> Details:
    ordered = sorted(tallies.items(), key=lambda item: -item[1]["count"])
    rows = [[reason, str(tally["count"]), "\n".join(tally["examples"][:5])] for reason, tally in ordered]
    count = sum(tally["count"] for tally in tallies.values())
    return Details(f"{title}: {count}", [Table(("Reason", "Count", "First of them"), rows, numeric=(1,))])


def page(manifest: Mapping[str, Any], title: str, subtitle: str, lead: list[Block], sections: list[Section]) -> str:
    """Return the report of a model as HTML: its job's name in the title, when and with what it was made at the foot."""
    name = (manifest.get("job") or {}).get("name")
    titled = f"{title}: {name}" if name else title
    return render(Page(titled, subtitle, sections, lead=lead, footer=_written_by(manifest)))


def trained_on(manifest: Mapping[str, Any], read: str, scored: str) -> str:
    """Return the sentences below a report's title; ``read`` and ``scored`` are what, as "3000 frames of 2 sessions"."""
    epochs, seconds = len(manifest["history"]["epochs"]), manifest["history"]["seconds"]
    return (
        f"Trained on {read}, {epochs} epoch{'' if epochs == 1 else 's'} in {seconds:.0f} s. "
        f"Every score is of {scored} it was never trained on."
    )


def verdict(warned: Sequence[str], summary: Sequence[str]) -> list[Block]:
    """Return what is to be known first: the warnings, and the other sentences of the summary."""
    lines = [line for line in summary if not line.startswith("WARNING")]
    said: list[Block] = [Notice(lines, "" if warned else "good")] if lines else []
    return [Notice(list(warned), "bad"), *said] if warned else said


def files_tile(manifest: Mapping[str, Any]) -> Tile:
    """Return how many files were proved: all of them, or there would be no report."""
    proved = len(manifest["models"])
    return Tile("Files proved", f"{proved} of {proved}", "each loaded and compared with Keras")


def _written_by(manifest: Mapping[str, Any]) -> str:
    """Return the line at the foot of a report: when, on what data, with which versions."""
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    return f"Written {manifest['created']} by Trainbox. Data {manifest['data']['fingerprint']}. {versions}."
