"""Files are scored by what they find, whatever they end in, and the scores are said in sentences."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from trainbox.data.problems import Problems
from trainbox.export.detection_ending import DetectionEnding
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.datasets import read_examples
from trainbox.tasks.detect.demo import write_demo
from trainbox.tasks.detect.demo.scenes import SHAPES
from trainbox.tasks.detect.examples import DetectExamples
from trainbox.tasks.detect.scoring import FAULTLESS, WORST, answer, score_files
from trainbox.tasks.detect.sentences import listed, summary_lines

MOST = 10


class Seeing:
    """Knows every picture by its pixels, and answers as a detector's file does: four arrays, filled up with zeros."""

    runtime = "test"

    def __init__(self, examples: DetectExamples, score: float = 0.9, blind_to: int = -1, shift: float = 0.0) -> None:
        truths = examples.truths()
        inputs = (examples.network_inputs(np.array([place]))["image"].tobytes() for place in range(len(examples)))
        self.known = dict(zip(inputs, truths, strict=True))
        self.score, self.blind_to, self.shift = score, blind_to, shift

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(inputs["image"])
        boxes, classes, scores = np.zeros((count, MOST, 4)), np.zeros((count, MOST)), np.zeros((count, MOST))
        numbers = np.zeros(count, np.float32)
        for place, picture in enumerate(inputs["image"]):
            truth = self.known[picture.tobytes()]
            seen = truth.classes != self.blind_to
            number = int(seen.sum())
            boxes[place, :number] = truth.boxes_yxyx[seen] + self.shift
            classes[place, :number] = truth.classes[seen]
            scores[place, :number] = self.score - 0.01 * np.arange(number)
            numbers[place] = number
        return {"detection_boxes": boxes, "detection_classes": classes, "detection_scores": scores,
                "num_detections": numbers}  # fmt: skip


class Raw:
    """Answers as a network without an ending does: one anchor over all of the picture, always the same class."""

    runtime = "test"

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(inputs["image"])
        scores = np.zeros((count, 1, len(SHAPES)), np.float32)
        scores[..., 2] = 0.7
        return {"encodings": np.zeros((count, 1, 4), np.float32), "scores": scores}


ENDING = DetectionEnding(np.array([[0.5, 0.5, 2.0, 1.0]], np.float32), len(SHAPES), SHAPES)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> DetectExamples:
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder / "data", seed=2, images=40)
    scratch = folder / "scratch"
    scratch.mkdir()
    return read_examples(DetectConfig(), SHAPES, (96, 96), [folder / "data"], scratch, Problems())


def test_one_who_sees_all_scores_one(examples: DetectExamples) -> None:
    result = score_files({"model.tflite": Seeing(examples)}, examples, SHAPES, ENDING)
    scores = result["files"]["model.tflite"]
    assert scores["mAP"] == pytest.approx(1)
    assert scores["boxes"] == sum(len(truth.classes) for truth in examples.truths()) > 0
    assert np.array(scores["confusion"]).trace() == scores["boxes"]
    assert result["int8"] is None
    assert all(picture["mistakes"] == 0 for picture in result["pictures"])
    json.dumps(result, allow_nan=False)


def test_encodings_are_decoded_and_boxes_cut_at_the_edge(examples: DetectExamples) -> None:
    found = answer(Raw(), examples, ENDING)
    assert len(found) == len(examples)
    np.testing.assert_allclose(found[0].boxes_yxyx, [[0, 0, 1, 1]], atol=1e-6)
    assert found[0].classes.tolist() == [2]
    assert found[0].scores.tolist() == pytest.approx([0.7])


def test_what_the_quantized_file_loses_is_told(examples: DetectExamples) -> None:
    files = {"model.tflite": Seeing(examples), "model_quantized.tflite": Seeing(examples, blind_to=0)}
    result = score_files(files, examples, SHAPES, ENDING)
    assert result["int8"]["mAP50_lost"] == pytest.approx(0.25, abs=0.01)
    assert any("model_quantized.tflite loses" in warning for warning in result["warnings"])
    assert sum("points of mAP50" in line for line in summary_lines(result)) == 1, "once, as a warning"


@pytest.mark.parametrize(("shift", "said"), [(0.0, "scores as the float file does"), (0.02, "points of mAP50 against")])
def test_a_small_gap_of_the_quantized_file_is_no_warning(examples: DetectExamples, shift: float, said: str) -> None:
    files = {"model.tflite": Seeing(examples), "model_quantized.tflite": Seeing(examples)}
    result = score_files(files, examples, SHAPES, ENDING)
    result["int8"]["mAP50_lost"] += shift / 4
    assert [line for line in summary_lines(result) if said in line]
    assert not any("quantized" in warning for warning in result["warnings"])


def test_what_is_never_found_is_warned_of(examples: DetectExamples) -> None:
    result = score_files({"model.tflite": Seeing(examples, blind_to=1)}, examples, SHAPES, ENDING)
    assert f"Never found: '{SHAPES[1]}'." in " ".join(result["warnings"])
    lines = summary_lines(result)
    assert any(f"weakest: {SHAPES[1]} (0.00" in line for line in lines)
    assert any(line.startswith("WARNING: ") for line in lines)


def test_one_who_finds_nothing_gets_no_advice(examples: DetectExamples) -> None:
    lines = summary_lines(score_files({"model.tflite": Seeing(examples, shift=0.3)}, examples, SHAPES, ENDING))
    assert any(line.startswith("WARNING: It finds little") for line in lines)
    assert not any("Show detections" in line or "Best class" in line or "Never found" in line for line in lines)


def test_float_files_that_differ_from_keras_are_warned_of(examples: DetectExamples) -> None:
    files = {"model.tflite": Seeing(examples), "model.keras": Seeing(examples, shift=0.3)}
    assert any("they should be equal" in line for line in score_files(files, examples, SHAPES, ENDING)["warnings"])


def test_pictures_with_most_mistakes_come_first(examples: DetectExamples) -> None:
    result = score_files({"model.tflite": Seeing(examples, blind_to=1)}, examples, SHAPES, ENDING)
    mistakes = [picture["mistakes"] for picture in result["pictures"]]
    wrong, right = [m for m in mistakes if m], [m for m in mistakes if not m]
    assert mistakes == sorted(wrong, reverse=True) + right
    assert 0 < len(wrong) <= WORST
    assert len(right) <= FAULTLESS
    worst = result["pictures"][0]
    truth = examples.truths()[worst["place"]]
    assert worst["name"] == examples.images[worst["place"]].file_name
    assert [one["missed"] for one in worst["truth"]] == (truth.classes == 1).tolist()
    assert all(one["right"] for one in worst["found"])


def test_the_sentences_advise_a_threshold(examples: DetectExamples) -> None:
    lines = summary_lines(score_files({"model.tflite": Seeing(examples, score=0.5)}, examples, SHAPES, ENDING))
    assert any("it scores mAP50 1.000" in line for line in lines)
    assert any(line.startswith("Show detections from a score of 0.4") and "100 % of them" in line for line in lines)


def test_pictures_without_boxes_are_no_score(tmp_path: Path, examples: DetectExamples) -> None:
    empty = examples.take(np.flatnonzero([not len(image.classes) for image in examples.images]))
    result = score_files({"model.tflite": Seeing(empty)}, empty, SHAPES, ENDING)
    assert result["files"]["model.tflite"]["mAP50"] is None
    assert summary_lines(result) == [
        "WARNING: The pictures scored hold no box: nothing is known of how well anything is found."
    ]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((), ""),
        (("a",), "a"),
        (("a", "b"), "a and b"),
        (("a", "b", "c"), "a, b and c"),
        ("abcd", "a, b, c and d"),
        ("abcde", "a, b, c and 2 more"),
    ],
)
def test_labels_are_listed_as_a_person_lists_them(labels: str, said: str) -> None:
    assert listed(labels) == said
