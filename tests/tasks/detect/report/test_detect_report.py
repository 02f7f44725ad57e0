"""A detector's report says what the manifest holds, shows pictures of its own data, and never trusts a name."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from opt_ml import Trained
from trainbox.tasks.detect.metrics import Detections, Truth, score
from trainbox.tasks.detect.report import render
from trainbox.tasks.detect.report.mistakes import (
    LARGEST_MATRIX,
    _found,
    _matrix,
    _most_frequent,
    _said,
    pictures_section,
)

LABELS = ("cat", "dog", "bird")
SIZE = (200, 400)
BOXES = np.array([[0.1, 0.1, 0.5, 0.4], [0.5, 0.5, 0.9, 0.8]])


def scores(confidence: float = 0.8) -> dict[str, Any]:
    """One cat is found as a cat, one as a dog; the dog is missed; there is no bird."""
    truths = [Truth(BOXES, np.array([0, 1]), SIZE), Truth(BOXES[:1], np.array([0]), SIZE)]
    found = [Detections(BOXES[:1], np.array([0]), np.array([confidence])),
             Detections(BOXES[:1], np.array([1]), np.array([0.6]))]  # fmt: skip
    return score(truths, found, LABELS)


def made_up() -> dict[str, Any]:
    """A manifest as a training writes it, small."""
    proof = {"runtime": "ai-edge-litert 2.1.4", "examples": 16, "largest_difference": 2e-6, "tolerance": 1e-3}
    known = [{"runtime": "tflite-runtime 2.14", "loads": True, "because": "it knows every operator"}]
    model = {"kind": "tflite", "inputs": {"image": [None, 300, 320, 3]}, "proof": proof, "loads_on": known}
    counts = {"images": 3, "boxes": 25, "small": 1, "medium": 2, "large": 22}
    box = {"box": [0.1, 0.1, 0.5, 0.4], "class": 0}
    return {
        "created": "2026-01-02T03:04:05+00:00",
        "job": {"name": "monday"},
        "labels": list(LABELS),
        "versions": {"trainbox": "0.1.0"},
        "hyperparameters": {"model": "ssd_mobilenet_v2", "epochs": 2, "augment": []},
        "data": {
            "formats": ["COCO"],
            "split": "the data's own split",
            "splits": {"train": 40, "validation": 2, "test": 0},
            "statistics": {
                "images": 42, "background": 3, "boxes": 51, "classes": {"cat": counts, "dog": {**counts, "boxes": 7},
                                                                        "bird": {**counts, "boxes": 19}},
                "area_shares": {"below 1/1000": 0, "above 1/2": 4},
                "aspect_ratios": {"about square": 51},
                "boxes_per_image": {"1": 39},
            },
            "pipeline_config": "testing/pipeline.config",
            "pipeline_config_unused": ["train_config.num_steps"],
            "train_examples": 40,
            "validation_examples": 2,
            "fingerprint": "f00d",
        },
        "problems": {
            "skipped": {"box has no area": {"count": 7, "examples": ["photos: 3.xml: cat"]}},
            "warnings": {"class has no box": {"count": 1, "examples": ["bird"]}},
        },
        "history": {
            "epochs": [{"loss": 3, "val_loss": 4, "val_mAP": 0.1, "val_mAP50": 0.2, "learning_rate": 1e-3},
                       {"loss": 2, "val_loss": 3, "val_mAP": 0.3, "val_mAP50": 0.5, "learning_rate": 1e-4}],
            "best_epoch": 2,
            "stopped": "epochs",
            "seconds": 12.0,
            "images_per_second": 20.0,
            "resumed_from": None,
            "data_wait": 0.012,
        },
        "models": {"model.keras": model, "model.tflite": model,
                   "model_quantized.tflite": {**model, "kind": "tflite_int8"}},
        "metrics": {
            "scored_file": "model.tflite",
            "labels": list(LABELS),
            "files": {"model.tflite": scores(), "model_quantized.tflite": scores(0.5)},
            "int8": {"mAP_lost": 0.004, "mAP50_lost": 0.005, "mAP75_lost": 0.0},
            "pictures": [
                {"place": 1, "name": "second.jpg", "mistakes": 2, "truth": [{**box, "missed": True}],
                 "found": [{**box, "class": 1, "score": 0.6, "right": False}]},
                {"place": 0, "name": "first.jpg", "mistakes": 0, "truth": [{**box, "missed": False}],
                 "found": [{**box, "score": 0.8, "right": True}]},
            ],
            "warnings": [],
        },
    }  # fmt: skip


class Grey:
    """Examples whose picture at a place is of one grey level, its own, so that a mix-up shows."""

    images = (SimpleNamespace(height=200, width=400), SimpleNamespace(height=400, width=200))

    def pixels(self, indices: np.ndarray) -> np.ndarray:
        return np.repeat(indices * 100 + 50, 32 * 32 * 3).reshape(-1, 32, 32, 3).astype(np.uint8)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<svg.*?</svg>|<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)))


def test_report_says_what_the_manifest_holds(tmp_path: Path) -> None:
    text = text_of(render(tmp_path, made_up(), None))
    for said in (
        "Detector of cat, dog and bird: monday",
        "Trained on 40 pictures, 2 epochs in 12 s. Every score is of 2 pictures",
        "42 pictures with 51 boxes were read as COCO; 3 pictures hold nothing",
        "Split: 40 train, 2 validation, by the data's own split.",
        "Network, losses and detection settings are those of testing/pipeline.config.",
        "Settings in it that are not used here: train_config.num_steps.",
        "Fewer than 20 boxes: dog, bird.",
        "box has no area 7 photos: 3.xml: cat",
        "class has no box 1 bird",
        "The model is that of epoch 2, where the validation mAP was highest.",
        "1 % of the time was spent waiting for data",
        "resized to 320 × 300 pixels",
        "model_quantized.tflite uint8, 0 to 255",
        "0 detection_boxes ymin, xmin, ymax, xmax",
        'Interpreter("model.tflite")',
        "ai-edge-litert 2.1.4",
        "model ssd_mobilenet_v2",
        "Data f00d",
    ):
        assert said in text, said


def test_every_class_has_its_scores_and_its_curve(tmp_path: Path) -> None:
    manifest = made_up()
    page = render(tmp_path, manifest, None)
    text = text_of(page)
    cat = manifest["metrics"]["files"]["model.tflite"]["by_class"]["cat"]
    assert f"cat 2 {cat['AP50']:.3f} {cat['AP']:.3f}" in text
    assert "bird 0 – – – – – – – –" in text, "no bird was there: there is nothing to say of it"
    assert f"AP50: {cat['AP50']:.3f}, quantized" in text
    assert page.count('aria-label="precision against recall') == 3, "the mean, the cat and the dog; no bird"


def test_warnings_come_first(tmp_path: Path) -> None:
    manifest = made_up()
    manifest["metrics"]["warnings"] = ["It finds little."]
    main = text_of(render(tmp_path, manifest, None).split("<main>")[1])
    assert main.strip().startswith("It finds little.")


def test_names_of_others_are_escaped(tmp_path: Path) -> None:
    manifest = json.loads(json.dumps(made_up()).replace('"cat"', '"<img src=x>"').replace("monday", "<img src=x>"))
    manifest["problems"]["skipped"] = {"<img src=x>": {"count": 1, "examples": ["<img src=x>"]}}
    manifest["metrics"]["pictures"][0]["name"] = "<img src=x>"
    page = render(tmp_path, manifest, SimpleNamespace(validation=Grey()))  # type: ignore[arg-type]
    assert "<img" not in page
    assert page.count("&lt;img src=x") >= 6


def test_numbers_that_are_not_defined_are_dashes(tmp_path: Path) -> None:
    """No box in any picture that was scored: nothing is known, and the page says so instead of failing."""
    manifest = deepcopy(made_up())
    empty = score([Truth(np.zeros((0, 4)), np.zeros(0, int), SIZE)],
                  [Detections(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))], LABELS)  # fmt: skip
    manifest["metrics"] |= {"files": {"model.tflite": empty}, "int8": None, "pictures": [], "warnings": ["No box."]}
    text = text_of(render(tmp_path, manifest, None))
    assert "mAP50 –" in text
    assert "None" not in text.replace("[None]", "") and "nan" not in text


def test_the_matrix_has_a_row_for_what_is_there() -> None:
    counts = np.array(scores()["confusion"])
    assert counts[0].tolist() == [1, 1, 0, 0], "one cat is called a cat, one a dog"
    table = _matrix(counts, LABELS)
    assert [cell.text for cell in table.rows[0]] == ["cat", "1", "1", "·", "·"]
    assert [cell.tone for cell in table.rows[0][1:3]] == ["good", "bad"]
    assert table.rows[-1][-1].text == "", "what is not there and not said cannot be counted"
    assert _most_frequent(counts, [*LABELS, "nothing"])[0] == ["cat", "dog", "1", "50 %"]


def test_many_classes_get_a_list_in_place_of_a_matrix(tmp_path: Path) -> None:
    labels = [f"class{number}" for number in range(LARGEST_MATRIX + 1)]
    truth = [Truth(BOXES, np.array([3, 4]), SIZE)]
    found = [Detections(BOXES, np.array([3, 5]), np.array([0.9, 0.8]))]
    manifest = made_up()
    manifest["labels"] = manifest["metrics"]["labels"] = labels
    manifest["metrics"] |= {"files": {"model.tflite": score(truth, found, labels)}, "int8": None, "pictures": []}
    text = text_of(render(tmp_path, manifest, None))
    assert "There ↓ said →" not in text
    assert "class4 class5 1 100 %" in text
    assert "Detector of class0, class1, class2 and 14 more" in text


def test_pictures_are_those_they_are_named_for_in_their_own_shape() -> None:
    section = pictures_section(made_up()["metrics"], Grey())  # type: ignore[arg-type]
    wrong, right = section.blocks[1:]
    (second,), (first,) = wrong.pictures, right.pictures
    assert (second.width, second.height) == (180, 360)
    assert second.caption == "second.jpg\nmissed: cat\nwrong: dog 0.60"
    assert first.caption == "first.jpg\nall 1 found"
    assert [level_of(picture.jpeg) for picture in (first, second)] == [50, 150]
    there, found = second.boxes
    assert (there.series, there.label, there.dashed) == (1, "cat", False)
    assert (found.series, found.label, found.dashed) == (2, "dog 0.60", True)
    assert (found.left, found.top, found.right, found.bottom) == (18, 36, 72, 180)


def test_where_many_are_found_only_the_wrong_are_named() -> None:
    one = {"box": [0.1, 0.1, 0.2, 0.2], "class": 0, "score": 0.9, "right": True}
    boxes = _found([*[one] * 11, {**one, "right": False}], LABELS, 100, 100)
    assert [box.label for box in boxes] == [*[""] * 11, "cat 0.90"]
    assert [box.label for box in _found([one], LABELS, 100, 100)] == ["cat 0.90"]
    wrong = [{**one, "right": False}] * 30
    assert sum(bool(box.label) for box in _found(wrong, LABELS, 100, 100)) == 10
    assert _said({"truth": [], "found": wrong}, LABELS).endswith("cat 0.90 and 20 more")


def level_of(jpeg: bytes) -> int:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as image:
        return int(np.asarray(image).mean().round())


@pytest.mark.parametrize("quantized", [True, False])
def test_the_quantized_file_is_spoken_of_where_there_is_one(quantized: bool, tmp_path: Path) -> None:
    manifest = made_up()
    if not quantized:
        del manifest["models"]["model_quantized.tflite"], manifest["metrics"]["files"]["model_quantized.tflite"]
        manifest["metrics"]["int8"] = None
    assert ("model_quantized.tflite" in render(tmp_path, manifest, None)) == quantized


def test_trained_bundle_has_a_report_of_its_own_data(trained: Callable[[str], Trained]) -> None:
    model = trained("detect").folder.model
    manifest = json.loads((model / "manifest.json").read_text())
    page = (model / "report.html").read_text()
    text = text_of(page)
    assert page.count("data:image/jpeg;base64,") == len(manifest["metrics"]["pictures"]) > 0
    assert all(name in text for name in manifest["hyperparameters"])
    assert all(reason in text for reason in manifest["problems"]["skipped"])
    assert all(name in text for name in manifest["models"])
    assert len(page) < 2_000_000
