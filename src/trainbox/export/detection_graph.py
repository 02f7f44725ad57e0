"""The ending of a detector's files as TensorFlow computes it, and as a mark for TensorFlow Lite's operator."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trainbox.export.detection_ending import OPERATOR, OUTPUTS, DetectionEnding

if TYPE_CHECKING:
    import tensorflow as tf

Ending = Callable[["tf.Tensor", "tf.Tensor"], "dict[str, tf.Tensor]"]
"""Encodings (b, n, 4) and scores (b, n, classes) to the outputs by name."""


def in_tensorflow(ending: DetectionEnding) -> Ending:
    """Return the ending in operators of TensorFlow, for any number of pictures."""
    import tensorflow as tf

    def finish(encodings: "tf.Tensor", scores: "tf.Tensor") -> "dict[str, tf.Tensor]":
        boxes = _decoded(encodings, ending)
        found = _of_each_class(boxes, scores, ending) if ending.regular_nms else _of_all(boxes, scores, ending)
        return dict(zip(OUTPUTS, (tf.cast(output, tf.float32) for output in found), strict=True))

    return finish


def in_tensorflow_lite(ending: DetectionEnding) -> Ending:
    """Return a function, for one picture at a time, that the converter replaces by the operator; it answers only 0."""
    import tensorflow as tf

    most = ending.maximum_detections

    def nothing(encodings: "tf.Tensor", scores: "tf.Tensor", anchors: "tf.Tensor") -> Any:
        return tf.zeros((1, most, 4)), tf.zeros((1, most)), tf.zeros((1, most)), tf.zeros((1,))

    mark = tf.function(nothing, experimental_implements=_operator(ending))

    def finish(encodings: "tf.Tensor", scores: "tf.Tensor") -> "dict[str, tf.Tensor]":
        return dict(zip(OUTPUTS, mark(encodings, scores, tf.constant(ending.anchors_cyxhw)), strict=True))

    return finish


def _operator(ending: DetectionEnding) -> str:
    """Return the operator and its attributes, as the converter reads them: a NameAttrList in protobuf's text format."""
    values = {}
    for name, value in ending.attributes().items():
        if isinstance(value, bool):
            values[name] = f"b: {str(value).lower()}"
        else:
            values[name] = f"i: {value}" if isinstance(value, int) else f"f: {value:.9g}"
    attributes = [f'attr {{ key: "{name}" value {{ {value} }} }}' for name, value in values.items()]
    return " ".join([f'name: "{OPERATOR}"', *attributes])


def _decoded(encodings: "tf.Tensor", ending: DetectionEnding) -> "tf.Tensor":
    import tensorflow as tf

    codes = encodings / tf.constant(ending.scales)
    centres, sizes = tf.split(tf.constant(ending.anchors_cyxhw), 2, axis=-1)
    middle, half = codes[..., :2] * sizes + centres, tf.exp(codes[..., 2:]) * sizes / 2
    return tf.concat([middle - half, middle + half], axis=-1)


def _of_each_class(boxes: "tf.Tensor", scores: "tf.Tensor", ending: DetectionEnding) -> tuple["tf.Tensor", ...]:
    import tensorflow as tf

    found, values, classes, count = tf.image.combined_non_max_suppression(
        boxes[:, :, None],
        scores,
        min(ending.detections_per_class, ending.maximum_detections),
        ending.maximum_detections,
        ending.iou_threshold,
        ending.score_threshold,
        clip_boxes=False,
    )
    return found, classes, values, count


def _of_all(boxes: "tf.Tensor", scores: "tf.Tensor", ending: DetectionEnding) -> tuple["tf.Tensor", ...]:
    """Keep the best whatever its class, picture by picture: the kernel for many pictures does not say which it kept."""
    import tensorflow as tf

    def one(picture: tuple["tf.Tensor", "tf.Tensor"]) -> tuple["tf.Tensor", ...]:
        corners, values = picture
        best = tf.reduce_max(values, axis=-1)
        rows, count = tf.image.non_max_suppression_padded(
            corners, best, ending.maximum_detections, ending.iou_threshold, ending.score_threshold, True
        )
        listed = tf.cast(tf.range(ending.maximum_detections) < count, tf.float32)
        classes = tf.cast(tf.gather(tf.argmax(values, axis=-1), rows), tf.float32)
        return tf.gather(corners, rows) * listed[:, None], classes * listed, tf.gather(best, rows) * listed, count

    kinds = (tf.float32, tf.float32, tf.float32, tf.int32)
    return tuple(tf.map_fn(one, (boxes, scores), fn_output_signature=kinds))
