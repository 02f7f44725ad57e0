"""The same pictures in each format, as its own tools would have written them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from trainbox.data.problems import Problems
from trainbox.tasks.detect.convert import write_tfrecords
from trainbox.tasks.detect.dataset import AnnotatedImage, DetectionData
from trainbox.tasks.detect.demo.scenes import HEIGHT, SHAPES, WIDTH, Scene

Scenes = Sequence[tuple[str, Scene]]
_VOC_NAMES = {"train": "train", "validation": "val", "test": "test"}

PIPELINE_CONFIG = """\
model {
  ssd {
    num_classes: 4
    image_resizer { fixed_shape_resizer { height: 300 width: 300 } }
    feature_extractor {
      type: "ssd_mobilenet_v2"
      depth_multiplier: 1.0
      use_depthwise: true
      conv_hyperparams {
        activation: RELU_6
        regularizer { l2_regularizer { weight: 0.00004 } }
        initializer { truncated_normal_initializer { stddev: 0.03 } }
        batch_norm { scale: true decay: 0.9997 epsilon: 0.001 }
      }
    }
    box_coder { faster_rcnn_box_coder { y_scale: 10 x_scale: 10 height_scale: 5 width_scale: 5 } }
    matcher { argmax_matcher { matched_threshold: 0.5 unmatched_threshold: 0.5 force_match_for_each_row: true } }
    similarity_calculator { iou_similarity { } }
    box_predictor {
      convolutional_box_predictor {
        use_dropout: false
        kernel_size: 3
        use_depthwise: true
        conv_hyperparams {
          activation: RELU_6
          regularizer { l2_regularizer { weight: 0.00004 } }
          initializer { truncated_normal_initializer { stddev: 0.03 } }
          batch_norm { scale: true decay: 0.9997 epsilon: 0.001 }
        }
      }
    }
    anchor_generator {
      ssd_anchor_generator {
        num_layers: 6
        min_scale: 0.2
        max_scale: 0.95
        aspect_ratios: [1.0, 2.0, 0.5, 3.0, 0.3333]
      }
    }
    loss {
      classification_loss { weighted_sigmoid { } }
      localization_loss { weighted_smooth_l1 { } }
      hard_example_miner {
        num_hard_examples: 3000
        iou_threshold: 0.99
        loss_type: CLASSIFICATION
        max_negatives_per_positive: 3
        min_negatives_per_image: 3
      }
    }
    post_processing {
      batch_non_max_suppression { score_threshold: 1e-8 iou_threshold: 0.6 }
      score_converter: SIGMOID
    }
  }
}
train_config {
  batch_size: 24
  num_steps: 2000
  data_augmentation_options { random_horizontal_flip { } }
  data_augmentation_options { ssd_random_crop { } }
  optimizer {
    rms_prop_optimizer {
      learning_rate { exponential_decay_learning_rate { initial_learning_rate: 0.004 decay_steps: 800720 } }
    }
  }
}
train_input_reader {
  tf_record_input_reader { input_path: "train.record-?????-of-?????" }
  label_map_path: "label_map.pbtxt"
}
eval_input_reader {
  tf_record_input_reader { input_path: "validation.record-?????-of-?????" }
  label_map_path: "label_map.pbtxt"
}
"""


@dataclass(frozen=True)
class _Drawn:
    jpeg: bytes

    def read(self) -> bytes:
        return self.jpeg


def write_voc(folder: Path, splits: Mapping[str, Scenes]) -> None:
    """Write ``JPEGImages``, ``Annotations`` and ``ImageSets/Main``."""
    for split, scenes in splits.items():
        for name, scene in scenes:
            _put(folder / f"JPEGImages/{name}.jpg", scene.jpeg)
            _put(folder / f"Annotations/{name}.xml", _voc_xml(name, scene))
        names = "".join(f"{name}\n" for name, _ in scenes)
        _put(folder / f"ImageSets/Main/{_VOC_NAMES[split]}.txt", names.encode())


def write_coco(folder: Path, splits: Mapping[str, Scenes]) -> None:
    """Write ``images`` and ``annotations/instances_<split>.json``."""
    for split, scenes in splits.items():
        for name, scene in scenes:
            _put(folder / f"images/{name}.jpg", scene.jpeg)
        _put(folder / f"annotations/instances_{_VOC_NAMES[split]}.json", json.dumps(_coco_json(scenes)).encode())


def write_yolo(folder: Path, splits: Mapping[str, Scenes]) -> None:
    """Write ``images/<split>``, ``labels/<split>`` and ``data.yaml``."""
    size = np.array([HEIGHT, WIDTH] * 2)
    for split, scenes in splits.items():
        for name, scene in scenes:
            _put(folder / f"images/{_VOC_NAMES[split]}/{name}.jpg", scene.jpeg)
            lines = []
            for shape, (top, left, bottom, right) in zip(scene.names, (scene.boxes_yxyx / size).tolist(), strict=True):
                centre_and_size = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
                lines.append(
                    " ".join([str(SHAPES.index(shape)), *(f"{value:.6f}" for value in centre_and_size)]) + "\n"
                )
            _put(folder / f"labels/{_VOC_NAMES[split]}/{name}.txt", "".join(lines).encode())
    folders = "".join(f"{word}: images/{word}\n" for word in map(_VOC_NAMES.__getitem__, splits))
    _put(folder / "data.yaml", f"path: .\n{folders}nc: {len(SHAPES)}\nnames: [{', '.join(SHAPES)}]\n".encode())


def write_records(folder: Path, splits: Mapping[str, Scenes]) -> None:
    """Write TFRecords, ``label_map.pbtxt`` and a ``pipeline.config``."""
    images = [_annotated(name, scene, split) for split, scenes in splits.items() for name, scene in scenes]
    write_tfrecords(DetectionData(tuple(images), SHAPES, ("demo",)), folder, Problems())
    _put(folder / "pipeline.config", PIPELINE_CONFIG.encode())


WRITERS: dict[str, Callable[[Path, Mapping[str, Scenes]], None]] = {
    "voc": write_voc,
    "coco": write_coco,
    "yolo": write_yolo,
    "tfrecord": write_records,
}


def _annotated(name: str, scene: Scene, split: str) -> AnnotatedImage:
    boxes = (scene.boxes_yxyx / np.array([HEIGHT, WIDTH] * 2)).astype(np.float32)
    classes = np.array([SHAPES.index(shape) for shape in scene.names], np.int64)
    flags = np.zeros(len(classes), bool)
    return AnnotatedImage(
        _Drawn(scene.jpeg), f"{name}.jpg", HEIGHT, WIDTH, 1, boxes, classes, flags, flags, split, f"{name}.jpg", b""
    )


def _voc_xml(name: str, scene: Scene) -> bytes:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = f"{name}.jpg"
    _children(ElementTree.SubElement(root, "size"), {"width": WIDTH, "height": HEIGHT, "depth": 3})
    for shape, (top, left, bottom, right) in zip(scene.names, scene.boxes_yxyx.tolist(), strict=True):
        element = ElementTree.SubElement(root, "object")
        _children(element, {"name": shape, "difficult": 0})
        corners = {"xmin": left, "ymin": top, "xmax": right, "ymax": bottom}
        _children(ElementTree.SubElement(element, "bndbox"), corners)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root)) + b"\n"


def _children(parent: ElementTree.Element, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        ElementTree.SubElement(parent, name).text = str(value)


def _coco_json(scenes: Scenes) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for number, (_, scene) in enumerate(scenes):
        for shape, (top, left, bottom, right) in zip(scene.names, scene.boxes_yxyx.tolist(), strict=True):
            width, height = right - left, bottom - top
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": SHAPES.index(shape),
                    "bbox": [left, top, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    return {
        "images": [
            {"id": number, "file_name": f"{name}.jpg", "height": HEIGHT, "width": WIDTH}
            for number, (name, _) in enumerate(scenes)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": shape} for number, shape in enumerate(SHAPES)],
    }


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
