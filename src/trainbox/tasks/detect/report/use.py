"""How the detector's files are used: what they take and give, and the lines that run them."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainbox.report.page import Block, Commands, Details, Prose, Section, Table
from trainbox.tasks.detect.scoring import FLOAT_FILE, QUANTIZED_FILE

_OUTPUTS = (
    ("0", "detection_boxes", "ymin, xmin, ymax, xmax as shares of the picture's height and width"),
    ("1", "detection_classes", "numbers of the labels below, from 0, as float32"),
    ("2", "detection_scores", "0 to 1, best first"),
    ("3", "num_detections", "how many of them there are; what stands behind is to be passed over"),
)


def use_section(manifest: Mapping[str, Any]) -> Section:
    """Return what whoever puts the files into an app must know."""
    height, width = manifest["models"][FLOAT_FILE]["inputs"]["image"][1:3]
    labels = manifest["labels"]
    blocks: list[Block] = [
        Prose(f"Feed the whole picture, turned upright as its EXIF says, as RGB resized to {width} × {height} pixels. "
              "It need not keep its proportions: the network was trained on pictures resized the same way."),
        Table(("File", "Input"), _inputs(manifest["models"])),
        Table(("Output", "Name", "Holds"), _OUTPUTS, caption="The TFLite files answer in this order:"),
        Commands("On this computer, with boxes drawn", ["trainbox predict MODEL photo.jpg --draw seen"]),
        Commands("In Python, with LiteRT", _litert(width, height)),
        Commands("In Python, with MediaPipe", _mediapipe(_threshold(manifest))),
    ]  # fmt: skip
    blocks.append(Details(f"Labels: {len(labels)}", [Table(("Number", "Label"), _numbered(labels))]))
    return Section("Put it into an app", blocks, contents="Use it")


def _inputs(models: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    takes = "float32, -1 to 1: pixel / 127.5 - 1"
    rows = [[FLOAT_FILE, takes]]
    if QUANTIZED_FILE in models:
        whole = models[QUANTIZED_FILE]["kind"] == "tflite_int8"
        rows.append([QUANTIZED_FILE, "uint8, 0 to 255: pixels as they are" if whole else takes])
    return rows


def _litert(width: int, height: int) -> list[str]:
    return [
        "import numpy as np",
        "from ai_edge_litert.interpreter import Interpreter",
        "from PIL import Image, ImageOps",
        "",
        f'picture = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB").resize(({width}, {height}))',
        f'detector = Interpreter("{FLOAT_FILE}").get_signature_runner()',
        "found = detector(image=np.float32(picture)[None] / 127.5 - 1)",
        'count = int(found["num_detections"][0])',
        'print(found["detection_classes"][0, :count], found["detection_scores"][0, :count])',
    ]


def _mediapipe(threshold: float) -> list[str]:
    return [
        "import mediapipe as mp",
        "from mediapipe.tasks.python import BaseOptions, vision",
        "",
        f'options = vision.ObjectDetectorOptions(base_options=BaseOptions(model_asset_path="{FLOAT_FILE}"),',
        f"                                       score_threshold={threshold:.2f})",
        "detector = vision.ObjectDetector.create_from_options(options)",
        'print(detector.detect(mp.Image.create_from_file("photo.jpg")))',
    ]


def _threshold(manifest: Mapping[str, Any]) -> float:
    metrics = manifest["metrics"]
    best = metrics["files"][metrics["scored_file"]]["best_threshold"]
    return best["threshold"] if best else 0.5


def _numbered(labels: Sequence[str]) -> list[list[str]]:
    return [[str(number), label] for number, label in enumerate(labels)]
