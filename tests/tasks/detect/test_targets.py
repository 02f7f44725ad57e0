import numpy as np

from trainbox.tasks.detect import coder
from trainbox.tasks.detect.anchors import AnchorSpec, anchors_cyxhw
from trainbox.tasks.detect.targets import TargetAssigner

GRIDS = [(19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]
ANCHORS = anchors_cyxhw(AnchorSpec(), GRIDS)
BOXES = np.array([[0.1, 0.1, 0.35, 0.3], [0.4, 0.2, 0.9, 0.95]], np.float32)


def test_matched_anchors_decode_to_their_boxes() -> None:
    encodings, logits = TargetAssigner(ANCHORS, 3)(BOXES, np.array([2, 0]))
    matched = encodings[:, 4] == 1
    decoded = np.asarray(coder.decode(encodings[None, :, :4], ANCHORS))[0][matched]
    wanted = BOXES[np.where(logits[matched].argmax(-1) == 3, 0, 1)]
    np.testing.assert_allclose(decoded, wanted, atol=1e-5)
    assert set(logits[matched].argmax(-1)) == {1, 3}


def test_the_others_are_background() -> None:
    encodings, logits = TargetAssigner(ANCHORS, 3)(BOXES, np.array([2, 0]))
    np.testing.assert_array_equal(logits.sum(-1), 1)
    np.testing.assert_array_equal(logits[:, 0], 1 - encodings[:, 4])


def test_a_picture_without_boxes_is_all_background() -> None:
    encodings, logits = TargetAssigner(ANCHORS, 3)(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert not encodings.any()
    np.testing.assert_array_equal(logits.argmax(-1), 0)
