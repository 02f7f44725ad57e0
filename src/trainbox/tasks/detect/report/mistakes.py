"""What the detector takes for what, and the pictures in which it errs most."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.report.page import Block, Box, Cell, Gallery, Picture, Prose, Section, Table
from trainbox.report.words import share

if TYPE_CHECKING:
    from trainbox.tasks.detect.examples import DetectExamples

LARGEST_MATRIX = 16
MOST_MISTAKES = 10
NOTHING = "nothing"
SIDE = 360
"""Of a shown picture's longer side, in pixels."""
MOST_WORDS = 10
"""With more boxes on a picture only wrong ones are named, and no more of them: there is no room for more words."""
THERE, FOUND = "there", "found"


def mistakes_section(metrics: Mapping[str, Any]) -> Section:
    """Return the matrix of what was taken for what, and the most frequent mistakes."""
    labels = metrics["labels"]
    counts = np.array(metrics["files"][metrics["scored_file"]]["confusion"])
    blocks: list[Block] = [
        Prose("Counted at the best threshold of each class. A row is what is there, a column what was said. "
              f"'{NOTHING}' as a row: said, though nothing is there. As a column: there, and not found."),
    ]  # fmt: skip
    if len(labels) <= LARGEST_MATRIX:
        blocks.append(_matrix(counts, labels))
    mistakes = _most_frequent(counts, [*labels, NOTHING])
    if mistakes:
        titles = ("Most frequent mistakes: there is", "Said was", "How often", "Of those there")
        blocks.append(Table(titles, mistakes, numeric=(2, 3)))
    return Section("What it takes for what", blocks, contents="Mistakes")


def _matrix(counts: np.ndarray, labels: Sequence[str]) -> Table:
    names = [*labels, NOTHING]
    totals = np.maximum(counts.sum(axis=1), 1)
    rows = []
    for row, name in enumerate(names):
        cells = [
            Cell(
                str(count) if count else "·",
                shade=min(1.0, count / totals[row]) * 0.75,
                tone="good" if row == column else "bad",
                hint=f"there: {name}, said: {said}",
            )
            if row < len(labels) or column < len(labels)
            else Cell("")
            for column, (said, count) in enumerate(zip(names, counts[row].tolist(), strict=True))
        ]
        rows.append([Cell(name), *cells])
    return Table(("There ↓ said →", *names), rows, numeric=range(1, len(names) + 1))


def _most_frequent(counts: np.ndarray, names: Sequence[str]) -> list[list[str]]:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    places = np.argsort(-wrong, axis=None, kind="stable")[:MOST_MISTAKES]
    rows = []
    for row, column in zip(*np.unravel_index(places, wrong.shape), strict=True):
        count, total = int(wrong[row, column]), int(counts[row].sum())
        if count:
            of_those = "–" if names[row] == NOTHING else share(count / total)
            rows.append([names[row], names[column], str(count), of_those])
    return rows


def pictures_section(metrics: Mapping[str, Any], examples: "DetectExamples") -> Section:
    """Return the pictures that the manifest keeps, with what is there and what was found."""
    labels = metrics["labels"]
    wrong = [one for one in metrics["pictures"] if one["mistakes"]]
    right = [one for one in metrics["pictures"] if not one["mistakes"]]
    blocks: list[Block] = [
        Prose("Blue is what the annotations say, orange what was found, dashed where it is wrong. Where the picture "
              "agrees with orange and not with blue, correct the annotation and train again."),
    ]  # fmt: skip
    for title, chosen in (("Most mistakes", wrong), ("Without a mistake, where most is to be found", right)):
        if chosen:
            shown = [_picture(one, labels, examples) for one in chosen]
            blocks.append(Gallery(title, shown, (THERE, FOUND), large=True))
    return Section("What it saw", blocks, contents="Pictures")


def _picture(one: Mapping[str, Any], labels: Sequence[str], examples: "DetectExamples") -> Picture:
    from PIL import Image

    known = examples.images[one["place"]]
    scale = SIDE / max(known.height, known.width)
    width, height = max(1, round(known.width * scale)), max(1, round(known.height * scale))
    pixels = examples.pixels(np.array([one["place"]]))[0]
    content = io.BytesIO()
    Image.fromarray(pixels).resize((width, height)).save(content, "JPEG", quality=82)
    boxes = [*_there(one["truth"], labels, width, height), *_found(one["found"], labels, width, height)]
    return Picture(content.getvalue(), width, height, f"{one['name']}\n{_said(one, labels)}", boxes=boxes)


def _there(truth: Sequence[Mapping[str, Any]], labels: Sequence[str], width: int, height: int) -> list[Box]:
    return [_box(it["box"], width, height, 1, labels[it["class"]] if it["missed"] else "") for it in truth]


def _found(found: Sequence[Mapping[str, Any]], labels: Sequence[str], width: int, height: int) -> list[Box]:
    crowded = len(found) > MOST_WORDS
    named = [place for place, it in enumerate(found) if not (crowded and it["right"])][:MOST_WORDS]
    said = [f"{labels[it['class']]} {it['score']:.2f}" if place in named else "" for place, it in enumerate(found)]
    return [
        _box(it["box"], width, height, 2, word, dashed=not it["right"]) for it, word in zip(found, said, strict=True)
    ]


def _box(box: Sequence[float], width: int, height: int, series: Any, label: str, dashed: bool = False) -> Box:
    top, bottom = (round(edge * height, 1) for edge in (box[0], box[2]))
    left, right = (round(edge * width, 1) for edge in (box[1], box[3]))
    return Box(left, top, right, bottom, series, label, dashed)


def _said(one: Mapping[str, Any], labels: Sequence[str]) -> str:
    """Say what is missed and what is wrong, or how much is right."""
    missed = [labels[it["class"]] for it in one["truth"] if it["missed"]]
    wrong = [f"{labels[it['class']]} {it['score']:.2f}" for it in one["found"] if not it["right"]]
    parts = [f"{what}: {_first(words)}" for what, words in (("missed", missed), ("wrong", wrong)) if words]
    return "\n".join(parts) or f"all {len(one['truth'])} found"


def _first(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST_WORDS} more" if len(words) > MOST_WORDS else ""
    return ", ".join(words[:MOST_WORDS]) + more
