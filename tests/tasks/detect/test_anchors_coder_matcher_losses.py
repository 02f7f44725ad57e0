import keras
import numpy as np
import pytest

from trainbox.tasks.detect import coder, matcher
from trainbox.tasks.detect.anchors import AnchorSpec, anchors_cyxhw
from trainbox.tasks.detect.losses import ClassificationLoss, LocalisationLoss

GRIDS = [(19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]


def test_anchors_count_order_and_first_layer() -> None:
    anchors = anchors_cyxhw(AnchorSpec(), GRIDS)
    assert anchors.shape == (1917, 4)
    np.testing.assert_allclose(anchors[0], [0.5 / 19, 0.5 / 19, 0.1, 0.1], rtol=1e-6)
    np.testing.assert_allclose(anchors[1, 2:], [0.2 / 2**0.5, 0.2 * 2**0.5], rtol=1e-6)
    np.testing.assert_allclose(anchors[3, :2], [0.5 / 19, 1.5 / 19], rtol=1e-6)
    np.testing.assert_allclose(anchors[-1], [0.5, 0.5, 0.95**0.5, 0.95**0.5], rtol=1e-6)


def test_anchors_are_not_clipped() -> None:
    anchors = anchors_cyxhw(AnchorSpec(), GRIDS)
    assert (anchors[:, 0] + anchors[:, 2] / 2).max() > 1


def test_decode_undoes_encode() -> None:
    random = np.random.default_rng(0)
    anchors = anchors_cyxhw(AnchorSpec(), GRIDS)
    corners = np.sort(random.uniform(0, 1, (1917, 2, 2)), axis=1).astype(np.float32)
    boxes = np.concatenate([corners[:, 0], corners[:, 1]], axis=-1)
    decoded = keras.ops.convert_to_numpy(coder.decode(coder.encode(boxes, anchors)[None], anchors))[0]
    np.testing.assert_allclose(decoded, boxes, atol=2e-5)


def test_a_box_on_its_anchor_encodes_to_zero() -> None:
    anchor = np.array([[0.5, 0.5, 0.2, 0.4]], np.float32)
    np.testing.assert_allclose(coder.encode(np.array([[0.4, 0.3, 0.6, 0.7]]), anchor), 0, atol=1e-5)


def test_every_box_keeps_its_best_anchor_however_small_the_overlap() -> None:
    anchors = np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0.5, 0.5, 1]])
    boxes = np.array([[0, 0, 0.5, 0.45], [0.9, 0.9, 1, 1]])
    np.testing.assert_array_equal(matcher.match(boxes, anchors), [0, 1, matcher.BACKGROUND])


def test_two_boxes_on_one_anchor_the_first_wins() -> None:
    anchors = np.array([[0, 0, 1, 1.0]])
    boxes = np.array([[0, 0, 0.2, 0.2], [0, 0, 1, 1.0]])
    np.testing.assert_array_equal(matcher.match(boxes, anchors), [0])


def test_no_boxes_is_all_background() -> None:
    assert set(matcher.match(np.zeros((0, 4)), np.zeros((3, 4)))) == {matcher.BACKGROUND}


def one_hot(classes: list[int], count: int) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[classes][None]


def test_hard_mining_counts_three_negatives_per_positive() -> None:
    targets = one_hot([1, 0, 0, 0, 0, 0], 2)
    logits = np.zeros((1, 6, 2), np.float32)
    loss = float(ClassificationLoss()(targets, logits))
    assert loss == pytest.approx(4 * 2 * np.log(2), rel=1e-5)


def test_hard_mining_takes_the_worst() -> None:
    targets = one_hot([1, 0, 0, 0, 0, 0], 2)
    logits = np.zeros((1, 6, 2), np.float32)
    logits[0, 4, 1] = 9.0
    mined = float(ClassificationLoss(negatives_per_positive=1)(targets, logits))
    assert mined == pytest.approx(2 * np.log(2) + np.log(2) + np.log1p(np.exp(9)), rel=1e-4)


def test_no_positive_and_no_least_negative_costs_nothing() -> None:
    targets = one_hot([0, 0, 0], 2)
    logits = np.ones((1, 3, 2), np.float32)
    assert float(ClassificationLoss()(targets, logits)) == 0
    assert float(ClassificationLoss(least_negatives=2)(targets, logits)) > 0


def test_focal_loss_forgets_what_is_right_already() -> None:
    targets = one_hot([1, 0], 2)
    right = np.array([[[-8, 8], [8, -8]]], np.float32)
    assert (
        float(ClassificationLoss("focal")(targets, right)) < 1e-6 < float(ClassificationLoss("focal")(targets, -right))
    )


def test_smooth_l1_by_hand() -> None:
    targets = np.array([[[0, 0, 0, 0, 1], [9, 9, 9, 9, 0]]], np.float32)
    encodings = np.array([[[0.5, 0, 0, 3], [0, 0, 0, 0]]], np.float32)
    assert float(LocalisationLoss()(targets, encodings)) == pytest.approx(0.125 + 2.5)
    assert float(LocalisationLoss(by_code_size=True)(targets, encodings)) == pytest.approx((0.125 + 2.5) / 4)
