"""Score model files on examples: every file finds what it finds in every picture, and is judged alike."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.tasks.detect import metrics
from trainbox.tasks.detect.metrics import Detections, Truth

if TYPE_CHECKING:
    import keras

    from trainbox.export.detection_ending import DetectionEnding
    from trainbox.export.runtimes import OpenModel
    from trainbox.tasks.detect.examples import DetectExamples

FLOAT_FILE, QUANTIZED_FILE = "model.tflite", "model_quantized.tflite"
WORST, FAULTLESS = 12, 6
"""So many pictures with the most mistakes, and without one, are kept for the report."""
MOST_FOUND = 40
"""So many detections of a picture are kept at most, the best."""
FEW_PICTURES = 30
LITTLE_MAP50 = 0.2
TOLERATED_LOSS = 0.01
"""Of mAP50: as much as a quantized file may lose without a warning."""
TOLERATED_GAP = 0.005
"""Of mAP50: as much as a float file may differ from the Keras model without a warning."""


def open_files(files: Mapping[str, Path], network: "keras.Model | None", *, trusted: bool) -> "dict[str, OpenModel]":
    """Open model files by name, the Keras ones in ``network``; a SavedModel only where ``trusted``.

    Raise ModelFileError where one cannot be opened.
    """
    from trainbox.export.runtimes import kind_of, open_model

    return {
        name: open_model(path, network, trusted=trusted)
        for name, path in files.items()
        if trusted or kind_of(path) != "saved_model"
    }


def answer(model: "OpenModel", examples: "DetectExamples", ending: "DetectionEnding") -> list[Detections]:
    """Return what a model finds in each picture, best first."""
    return answer_all({"": model}, examples, ending)[""]


def answer_all(
    models: "Mapping[str, OpenModel]",
    examples: "DetectExamples",
    ending: "DetectionEnding | None",
    sizes: Mapping[str, tuple[int, int]] | None = None,
    between: Callable[[], None] = lambda: None,
) -> dict[str, list[Detections]]:
    """Return what each model finds in each picture, which it sees in its size of ``sizes``, else of the examples.

    ``between`` is called before each batch: what it raises ends it.
    """
    found: dict[str, list[Detections]] = {name: [] for name in models}
    wanted = {name: (sizes or {}).get(name, examples.size) for name in models}
    for places in examples.batches():
        between()
        inputs = {size: examples.network_inputs(places, size) for size in set(wanted.values())}
        for name, model in models.items():
            found[name] += detections(model(inputs[wanted[name]]), ending)
    return found


def detections(answers: Mapping[str, np.ndarray], ending: "DetectionEnding | None") -> list[Detections]:
    """Return what a model's answers to a batch say of each picture.

    Takes the four outputs of a detection ending, by name, or the encodings and scores of a network without one, which
    ``ending`` turns into detections. Boxes are cut at the picture's edge, as whoever draws them cuts them.
    """
    if ending is not None and "num_detections" not in answers:
        from trainbox.export.detection_ending import detect

        answers = detect(answers["encodings"], answers["scores"], ending)
    parts = [answers[f"detection_{name}"] for name in ("boxes", "classes", "scores")]
    return [
        _of_picture(*(part[picture, : int(count)] for part in parts))
        for picture, count in enumerate(answers["num_detections"].reshape(-1))
    ]


def _of_picture(boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray) -> Detections:
    boxes = np.clip(boxes, 0, 1)
    solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    kept = np.flatnonzero(solid)[np.argsort(-scores[solid], kind="stable")]
    return Detections(boxes[kept], classes[kept].round().astype(np.int64), scores[kept])


def score_files(
    files: "Mapping[str, OpenModel]",
    examples: "DetectExamples",
    labels: Sequence[str],
    ending: "DetectionEnding",
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, Any]:
    """Score models on examples, each seeing them in its size of ``sizes``: what the manifest holds under ``metrics``.

    ``files`` by model: ``metrics.score``; ``scored_file``: the one that the rest speaks of; ``int8``: what the
    quantized file loses against the float one; ``pictures``: some, with what is there and what was found, for the
    report; ``warnings``: sentences.
    """
    truths = examples.truths()
    found = answer_all(files, examples, ending, sizes)
    scores = {name: metrics.score(truths, answers, labels) for name, answers in found.items()}
    first = FLOAT_FILE if FLOAT_FILE in files else next(iter(files))
    loss, names = _quantized(scores), [image.file_name for image in examples.images]
    return {
        "scored_file": first,
        "labels": list(labels),
        "files": scores,
        "int8": loss,
        "pictures": _pictures(truths, found[first], names, _thresholds(scores[first], labels)),
        "warnings": _warnings(scores, first, loss),
    }


def _quantized(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float] | None:
    """Return what the quantized file scores less than the float file."""
    if FLOAT_FILE not in scores or QUANTIZED_FILE not in scores:
        return None
    float_scores, quantized = scores[FLOAT_FILE], scores[QUANTIZED_FILE]
    if float_scores["mAP50"] is None:
        return None
    return {f"{name}_lost": float_scores[name] - quantized[name] for name in ("mAP", "mAP50", "mAP75")}


def _thresholds(scores: Mapping[str, Any], labels: Sequence[str]) -> np.ndarray:
    """Return the best score threshold of each class: float64 (classes,)."""
    best = [scores["threshold"][label] for label in labels]
    return np.array([metrics.CONFUSION_SCORE if one is None else one["threshold"] for one in best])


def _pictures(
    truths: Sequence[Truth], found: Sequence[Detections], names: Sequence[str], thresholds: np.ndarray
) -> list[dict[str, Any]]:
    """Return the pictures with the most mistakes, worst first, and some that hold most without a mistake."""
    seen = [_seen(truth, metrics.surest(answer, thresholds)) for truth, answer in zip(truths, found, strict=True)]
    by_mistakes = sorted(range(len(seen)), key=lambda place: (-seen[place]["mistakes"], -seen[place]["doubt"]))
    worst = [place for place in by_mistakes if seen[place]["mistakes"]][:WORST]
    faultless = sorted(
        (place for place in by_mistakes if not seen[place]["mistakes"] and len(truths[place].classes)),
        key=lambda place: -len(truths[place].classes),
    )[:FAULTLESS]
    return [{"place": place, "name": names[place], **seen[place]} for place in worst + faultless]


def _seen(truth: Truth, answer: Detections) -> dict[str, Any]:
    """Return what a picture holds and what was found in it, and how many mistakes that is."""
    pairs = metrics.pair(truth, answer)
    crowd = np.zeros(len(truth.classes), bool) if truth.crowd is None else truth.crowd
    missed = sorted(set(np.flatnonzero(~crowd).tolist()) - set(pairs.tolist()))
    return {
        "mistakes": int((pairs < 0).sum()) + len(missed),
        "doubt": round(float(answer.scores[pairs < 0].sum()), 4),
        "truth": [
            {"box": _rounded(box), "class": int(label), "missed": place in missed}
            for place, (box, label) in enumerate(zip(truth.boxes_yxyx, truth.classes, strict=True))
        ],
        "found": [
            {"box": _rounded(box), "class": int(label), "score": round(float(confidence), 4), "right": bool(index >= 0)}
            for box, label, confidence, index in zip(
                answer.boxes_yxyx[:MOST_FOUND], answer.classes, answer.scores, pairs, strict=False
            )
        ],
    }


def _rounded(box: np.ndarray) -> list[float]:
    return [round(float(edge), 4) for edge in box]


def _warnings(scores: Mapping[str, Mapping[str, Any]], first: str, loss: Mapping[str, float] | None) -> list[str]:
    """Say in sentences what whoever relies on these scores must know."""
    said, mine = [], scores[first]
    if mine["mAP50"] is None:
        return ["The pictures scored hold no box: nothing is known of how well anything is found."]
    if mine["mAP50"] < LITTLE_MAP50:
        said.append(
            f"It finds little (mAP50 {mine['mAP50']:.2f}). Train for longer, give more pictures, or start from a "
            "checkpoint in the channel checkpoint."
        )
    if mine["pictures"] < FEW_PICTURES:
        said.append(f"Scores of {mine['pictures']} pictures are rough: validate on {FEW_PICTURES} or more.")
    said += _warnings_of_classes(mine["by_class"], every=mine["mAP50"] < LITTLE_MAP50)
    if loss is not None and loss["mAP50_lost"] > TOLERATED_LOSS:
        said.append(f"{QUANTIZED_FILE} loses {100 * loss['mAP50_lost']:.1f} points of mAP50 against {FLOAT_FILE}.")
    for name, other in scores.items():
        if name not in (first, QUANTIZED_FILE) and abs(other["mAP50"] - mine["mAP50"]) > TOLERATED_GAP:
            said.append(f"{name} scores mAP50 {other['mAP50']:.3f}, {first} {mine['mAP50']:.3f}: they should be equal.")
    return said


def _warnings_of_classes(by_class: Mapping[str, Mapping[str, Any]], every: bool) -> list[str]:
    """Warn of classes that are not there or not found; not of the latter where ``every`` class is hardly found."""
    absent = [label for label, one in by_class.items() if one["AP50"] is None]
    lost = [label for label, one in by_class.items() if one["AP50"] == 0]
    said = []
    if absent:
        said.append(f"No picture scored holds {_listed(absent)}: nothing is known of how well it is found.")
    if lost and not every:
        said.append(f"Never found: {_listed(lost)}. Give more pictures of it.")
    return said


def _listed(labels: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(f"'{label}'" for label in labels[:most])
    return shown if len(labels) <= most else f"{shown} and {len(labels) - most} more"
