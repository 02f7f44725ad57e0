"""One picture in, boxes in its own pixels out."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from PIL import Image

from opt_ml import Trained
from trainbox.data.images import UnreadableImage, decode_rgb
from trainbox.errors import ModelFileError, UsageError
from trainbox.tasks.detect import task
from trainbox.tasks.detect.draw import COLOURS, draw_boxes
from trainbox.tasks.detect.predict import DetectPredictor, thresholds_of


class Remembering:
    """Says the same of every picture, and remembers what it was fed."""

    runtime = "test"

    def __init__(self) -> None:
        self.fed = np.zeros(0)

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.fed = inputs["image"]
        return {
            "detection_boxes": np.array([[[0.25, 0.5, 0.75, 1.2], [0, 0, 0.5, 0.5], [0, 0, 1, 1]]], np.float32),
            "detection_classes": np.array([[1, 0, 0]], np.float32),
            "detection_scores": np.array([[0.6, 0.4, 0.0]], np.float32),
            "num_detections": np.array([2], np.float32),
        }


@pytest.fixture
def predictor() -> DetectPredictor:
    return DetectPredictor(Remembering(), ("cat", "dog"), (32, 48), np.array([0.3, 0.5]))


def test_boxes_are_in_pixels_of_the_picture_as_it_is_shown(make, predictor: DetectPredictor) -> None:
    """The file's EXIF turns it: 60 wide and 80 high becomes 80 wide and 60 high."""
    answer = predictor.predict(make.picture(1, 80, 60, orientation=6))
    assert (answer["width"], answer["height"]) == (80, 60)
    assert answer["detections"] == [
        {"label": "dog", "score": 0.6, "box": {"left": 40.0, "top": 15.0, "right": 80.0, "bottom": 45.0}},
        {"label": "cat", "score": 0.4, "box": {"left": 0.0, "top": 0.0, "right": 40.0, "bottom": 30.0}},
    ]
    assert predictor.say(answer) == "dog 0.60 at 40,15 to 80,45; cat 0.40 at 0,0 to 40,30"


def test_no_line_lists_a_hundred(make, predictor: DetectPredictor) -> None:
    answer = predictor.predict(make.picture(1))
    said = predictor.say({**answer, "detections": answer["detections"][:1] * 30})
    assert said.count("dog") == 8 and said.endswith("; and 22 more")


def test_the_network_is_fed_what_training_feeds_it(make, predictor: DetectPredictor) -> None:
    content = make.picture(1)
    predictor.predict(content)
    fed = predictor.model.fed
    assert fed.shape == (1, 32, 48, 3) and fed.dtype == np.float32
    np.testing.assert_allclose(fed[0], decode_rgb(content, (32, 48))[0] / 127.5 - 1, atol=1e-6)


def test_less_sure_than_the_threshold_is_not_said(make, predictor: DetectPredictor) -> None:
    stricter = DetectPredictor(predictor.model, predictor.labels, predictor.size, 0.7)
    answer = stricter.predict(make.picture(1))
    assert answer["detections"] == []
    assert stricter.say(answer) == "nothing found"
    np.testing.assert_array_equal(stricter.draw(make.picture(1), answer), decode_rgb(make.picture(1))[0])


def test_boxes_are_drawn_where_they_are_said(make, predictor: DetectPredictor) -> None:
    content = make.picture(1, 600, 800)
    drawn = predictor.draw(content, predictor.predict(content))
    assert drawn.shape == (600, 800, 3)
    coloured = (drawn == COLOURS[1]).all(axis=-1)
    columns = np.flatnonzero(coloured[300:440].any(axis=0))
    assert (columns[0], columns[-1]) == (400, 799)
    assert not coloured[310:440, 420:780].any()


def test_no_picture_is_refused(predictor: DetectPredictor) -> None:
    with pytest.raises(UnreadableImage):
        predictor.predict(b"no picture")


def test_words_stay_within_the_picture() -> None:
    black = np.zeros((100, 200, 3), np.uint8)
    box = np.float32([[0.0, 0.95, 0.4, 1.0]])
    drawn = draw_boxes(black, box, ["a long word"], [(255, 0, 0)])
    bare = draw_boxes(black, box, [""], [(255, 0, 0)])
    words = np.flatnonzero((drawn != bare).any(axis=(0, 2)))
    assert words[0] < 180 and len(words) > 40


def test_thresholds_are_those_that_training_found() -> None:
    scores = {"threshold": {"cat": {"threshold": 0.31}, "dog": None}}
    manifest = {"labels": ["cat", "dog"], "metrics": {"scored_file": "f", "files": {"f": scores}}}
    assert thresholds_of(manifest).tolist() == [0.31, 0.5]
    assert thresholds_of({"labels": ["cat"], "metrics": {}}).tolist() == [0.5]


def test_a_finished_detector_answers_a_picture(trained: Callable[[str], Trained], tmp_path) -> None:
    from trainbox.export.bundle import Bundle

    finished = trained("detect")
    bundle = Bundle.open(finished.folder.model)
    picture = sorted(finished.data.rglob("*.jpg"))[-1]  # the first ones are the broken ones
    opened = task.predictor(bundle, 0.01)
    answer = opened.predict(picture.read_bytes())
    with Image.open(picture) as image:
        assert (answer["width"], answer["height"]) == image.size
    assert {one["label"] for one in answer["detections"]} <= set(bundle.manifest["labels"])
    assert opened.draw(picture.read_bytes(), answer).shape == (answer["height"], answer["width"], 3)
    with pytest.raises(UsageError, match="score from 0 to 1"):
        task.predictor(bundle, 1.5)


def test_a_model_of_another_task_is_refused(trained: Callable[[str], Trained]) -> None:
    from trainbox.export.bundle import Bundle

    with pytest.raises(ModelFileError, match="is of task 'drive'"):
        task.predictor(Bundle.open(trained("drive").folder.model))
