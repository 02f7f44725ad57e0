import numpy as np
import pytest

from trainbox.tasks.detect import matcher
from trainbox.tasks.detect.anchor_fitting import fitted
from trainbox.tasks.detect.anchors import AnchorSpec, anchors_cyxhw
from trainbox.tasks.detect.dataset import AnnotatedImage


class Nowhere:
    """An image that no test here reads."""

    def read(self) -> bytes:
        raise AssertionError("not to be read")


GRIDS = [(19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]


def annotated(boxes_yxyx: np.ndarray, classes: list[int], crowd: bool = False) -> AnnotatedImage:
    count = len(boxes_yxyx)
    flags = np.zeros(count, bool), np.full(count, crowd)
    boxes, numbers = np.asarray(boxes_yxyx, np.float32), np.asarray(classes, np.int64)
    return AnnotatedImage(Nowhere(), "a.jpg", 60, 80, 1, boxes, numbers, *flags, "train", "", b"")


def images(seed: int = 0) -> list[AnnotatedImage]:
    """Many boxes of about .21 x .16, and few of about .08 x .06."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(20):
        common = np.array([0.21, 0.16]) * random.uniform(0.9, 1.1, (12, 2))
        rare = np.array([0.08, 0.06]) * random.uniform(0.9, 1.1, (1, 2))
        sizes = np.concatenate([common, rare])
        corners = random.uniform(0, 1 - sizes)
        found.append(annotated(np.concatenate([corners, corners + sizes], axis=1), [0] * 12 + [1]))
    return found


def overlaps(spec: AnchorSpec) -> np.ndarray:
    """Return the best overlap of each box with any anchor shape of the first feature map."""
    shapes = [(0, 0, scale / ratio**0.5, scale * ratio**0.5) for scale, ratio in spec.shapes(0)]
    sizes = [one.boxes_yxyx - np.tile(one.boxes_yxyx[:, :2], 2) for one in images()]
    return matcher.intersection_over_union(np.concatenate(sizes), np.array(shapes)).max(axis=1)


def test_shapes_fit_common_and_rare_boxes_alike() -> None:
    usual, best = overlaps(AnchorSpec()), overlaps(fitted(AnchorSpec(), images()))
    assert usual.min() < 0.5
    assert best.min() > 0.7


def test_feature_maps_keep_their_count_and_those_without_boxes_their_shapes() -> None:
    spec = fitted(AnchorSpec(), images())
    assert spec.per_cell() == AnchorSpec().per_cell()
    assert all(spec.shapes(layer) == AnchorSpec().shapes(layer) for layer in range(1, 6))
    assert anchors_cyxhw(spec, GRIDS).shape == (1917, 4)


@pytest.mark.parametrize("boxes", [np.zeros((0, 4)), np.array([[0.1, 0.1, 0.3, 0.3]])])
def test_too_few_boxes_change_nothing(boxes: np.ndarray) -> None:
    spec = fitted(AnchorSpec(), [annotated(boxes, [0] * len(boxes))])
    assert [spec.shapes(layer) for layer in range(6)] == [AnchorSpec().shapes(layer) for layer in range(6)]


def test_boxes_without_extent_and_crowds_do_no_harm() -> None:
    flat = annotated(np.array([[0.5, 0.5, 0.5, 0.5]] * 40), [0] * 40)
    assert all(scale > 0 for scale, _ in fitted(AnchorSpec(), [flat]).shapes(0))
    crowd = annotated(np.array([[0.1, 0.1, 0.9, 0.9]] * 90), [0] * 90, crowd=True)
    spec = fitted(AnchorSpec(), [crowd, *images()])
    assert spec.shapes(3) == AnchorSpec().shapes(3)
