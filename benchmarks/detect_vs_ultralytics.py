"""Train a detector on the same pictures with ultralytics' YOLO11n, from scratch, and with Trainbox, and compare.

    python benchmarks/detect_vs_ultralytics.py DATA CHECKPOINT [--minutes 15] [--only yolo] [--only trainbox]

DATA is annotated pictures with a split of their own (Trainbox's own results are of BCCD), CHECKPOINT a folder with the
SSDLite checkpoint that Trainbox starts from; no weights of YOLO are to be had. Both get all processors and the same
time. ultralytics gets a Python 3.11 environment of its own. Results are printed as Markdown, for RESULTS.md.
"""

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from drive_vs_donkeycar import machine
from watching import Watched, watch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from environments import Environment, environment

ULTRALYTICS = Environment(
    "3.11",
    (
        "torch==2.13.0",
        "pyyaml",
        "opencv-python-headless",
        "matplotlib",
        "pillow",
        "psutil",
        "requests",
        "scipy",
        "polars",
    ),
    ("torchvision==0.28.0", "ultralytics==8.4.190", "ultralytics-thop"),
)
SIDE = Path(__file__).with_name("ultralytics_side.py")
BENCHMARKS = ("yolo", "trainbox", "latency")
YOLO_SIZE, BATCH = 320, 16
INVOCATIONS = 200


def main() -> None:
    """Run the sides asked for, or all, in turn: nothing else should keep the processors busy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="run only this; repeatable")
    parser.add_argument("--minutes", type=float, default=15, help="of training on each side")
    parser.add_argument(
        "--epochs", type=int, default=40, help="validations of Trainbox's training, over which its rate falls"
    )
    parser.add_argument("--size", type=int, default=300, help="side in pixels of what Trainbox's network sees")
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE, a further hyperparameter; repeatable")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ultralytics-python", type=Path, help="a Python that has ultralytics already")
    asked = parser.parse_args()
    print(f"Machine: {machine()}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="trainbox-benchmark-") as folder:
        for name in asked.only or BENCHMARKS:
            {"yolo": train_yolo, "trainbox": train_trainbox, "latency": time_files}[name](asked, Path(folder))


def train_yolo(asked: argparse.Namespace, folder: Path) -> None:
    """Train YOLO11n on the data written as YOLO wants it, and score its answers with the same scorer as ours."""
    from trainbox.data.problems import Problems
    from trainbox.tasks.detect import metrics
    from trainbox.tasks.detect.dataset import read_dataset

    (folder / "scratch").mkdir()
    data = read_dataset([asked.data], Problems(), folder / "scratch")
    files = write_yolo(data, folder / "data")
    tested = [index for index, image in enumerate(data.images) if image.split == "test"]
    request = {
        "data": str(folder / "data" / "data.yaml"), "model": "yolo11n.yaml", "size": YOLO_SIZE, "batch": BATCH,
        "seconds": asked.minutes * 60, "seed": asked.seed, "folder": str(folder),
        "images": [str(files[index]) for index in tested], "answers": str(folder / "answers.json"),
    }  # fmt: skip
    (folder / "yolo.json").write_text(json.dumps(request))
    python = asked.ultralytics_python or environment(ULTRALYTICS)
    seen = watch([python, SIDE, folder / "yolo.json"], {"OMP_NUM_THREADS": "2", "YOLO_OFFLINE": "true"}, folder)
    truths = [
        metrics.Truth(image.boxes_yxyx, image.classes, (image.height, image.width), image.crowd)
        for image in (data.images[index] for index in tested)
    ]
    found = [detections(answer) for answer in json.loads((folder / "answers.json").read_text())]
    scores = metrics.score(truths, found, data.labels)
    report("YOLO11n from scratch, 320 px", seen, scores["mAP50"], scores["mAP"])


def detections(answer: dict[str, Any]) -> Any:
    """Return YOLO's answer (xyxy, shares of the sides) as Trainbox's scorer reads it."""
    from trainbox.tasks.detect.metrics import Detections

    boxes = np.array(answer["boxes"], np.float32).reshape(-1, 4)[:, [1, 0, 3, 2]]
    return Detections(boxes, np.array(answer["classes"], np.int64), np.array(answer["scores"], np.float32))


def write_yolo(data: Any, folder: Path) -> list[Path]:
    """Write pictures and labels in YOLO's layout; return the picture files in the data's order."""
    names = {"train": "train", "validation": "val", "test": "test"}
    files = []
    for number, image in enumerate(data.images):
        split = names.get(image.split, "train")
        picture = folder / "images" / split / f"{number:05d}.jpg"
        label = folder / "labels" / split / f"{number:05d}.txt"
        for path in (picture, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(image.image.read())
        lines = []
        for label_number, (top, left, bottom, right) in zip(image.classes, image.boxes_yxyx, strict=True):
            centre = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
            lines.append(f"{label_number} " + " ".join(f"{value:.6f}" for value in centre))
        label.write_text("\n".join(lines) + "\n")
        files.append(picture)
    splits = "\n".join(f"{name}: images/{name}" for name in ("train", "val", "test"))
    classes = "\n".join(f"  {number}: {name}" for number, name in enumerate(data.labels))
    (folder / "data.yaml").write_text(f"path: {folder}\n{splits}\nnames:\n{classes}\n")
    return files


def train_trainbox(asked: argparse.Namespace, folder: Path) -> None:
    """Train from the checkpoint through the command line, and score the files on the test pictures."""
    out = folder / "detector"
    options = {
        "epochs": asked.epochs, "image_size": asked.size, "seed": asked.seed, "batch_size": BATCH,
        "quantize": "true", "inference_type": "QUANTIZED_UINT8",
    }  # fmt: skip
    options |= dict(setting.split("=", 1) for setting in asked.set)
    parts = [part for name, value in options.items() for part in ("-p", f"{name}={value}")]
    channels = [f"train={asked.data}", f"checkpoint={asked.checkpoint}"]
    seen = watch([sys.executable, "-m", "trainbox", "train", "detect", *channels, *parts, "--out", out])
    scored = watch([sys.executable, "-m", "trainbox", "evaluate", out, asked.data, "--json"])
    text = "\n".join(line for _, line in scored.lines)
    scores = json.loads(text[text.index("{\n") : text.rindex("}") + 1])
    best = scores["model.tflite"]
    report(
        f"Trainbox, SSDLite MobileNetV2 from the checkpoint, {asked.size} px {' '.join(asked.set)}",
        seen,
        best["mAP50"],
        best["mAP"],
    )
    print(f"model_quantized.tflite, uint8: test mAP50 {scores['model_quantized.tflite']['mAP50']:.4f}\n")


def report(name: str, seen: Watched, score50: float, score: float) -> None:
    """Print one side's figures and its curve."""
    rates = [value for _, value in seen.values("images_per_second")][1:]
    curve = "  ".join(f"{at:.0f} s {value:.3f}" for at, value in seen.values("val_mAP50"))
    print(f"### {name}\n")
    print(f"- test mAP50 {score50:.4f}, mAP {score:.4f}")
    print(f"- training images/s, median epoch: {np.median(rates):.1f}")
    print(f"- peak memory of all processes: {seen.peak_bytes / 1e6:.0f} MB; whole run {seen.seconds:.0f} s")
    print(f"- validation mAP50 by seconds since the start of the process: {curve}\n", flush=True)


def time_files(asked: argparse.Namespace, folder: Path) -> None:
    """Time Trainbox's answer to a picture file against the bare interpreter and a bare decoder, in turn."""
    from ai_edge_litert.interpreter import Interpreter

    from trainbox.export.bundle import Bundle
    from trainbox.tasks.detect import task

    if not (folder / "detector").is_dir():
        print("Not timed, since no detector was trained in this run: ask for --only trainbox --only latency.")
        return
    contents = [path.read_bytes() for path in sorted(asked.data.rglob("*.jpg"))[:INVOCATIONS]]
    predictor = task.predictor(Bundle.open(folder / "detector"))
    bare = {}
    for name in ("model.tflite", "model_quantized.tflite"):
        bare[name] = Interpreter(model_path=str(folder / "detector" / name), num_threads=1)
        bare[name].allocate_tensors()
    took: dict[str, list[float]] = {}
    for content in contents:
        decoded = timed(took, "bare decoder", decode, content)
        for name, interpreter in bare.items():
            timed(took, f"{name}, bare interpreter, one thread", invoke, interpreter, decoded, asked.size)
        timed(took, "trainbox predict, from file to boxes", predictor.predict, content)
    for name, milliseconds in took.items():
        print(f"- {name}: {np.median(milliseconds):.1f} ms a picture, median of {len(milliseconds)}")


def timed(took: dict[str, list[float]], name: str, work: Callable[..., Any], *arguments: Any) -> Any:
    """Do some work, noting its milliseconds."""
    before = time.perf_counter()
    done = work(*arguments)
    took.setdefault(name, []).append(1000 * (time.perf_counter() - before))
    return done


def decode(content: bytes) -> Image.Image:
    """Decode a picture with Pillow alone."""
    return Image.open(io.BytesIO(content)).convert("RGB")


def invoke(interpreter: Any, picture: Image.Image, side: int) -> np.ndarray:
    """Resize a picture and ask an interpreter about it."""
    details = interpreter.get_input_details()[0]
    pixels = np.asarray(picture.resize((side, side)))[None].astype(details["dtype"])
    interpreter.set_tensor(details["index"], pixels)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


if __name__ == "__main__":
    main()
