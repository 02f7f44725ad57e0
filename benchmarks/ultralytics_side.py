"""Runs in ultralytics' own Python: trains YOLO from scratch, then answers for pictures with its best weights.

The first argument names a JSON file: {"data": data.yaml, "model": "yolo11n.yaml", "size", "batch", "seconds", "seed",
"folder", "images": [files], "answers": file to write}. It gets all processors: by itself it takes one thread.
"""

import json
import os
import sys
import time
from pathlib import Path


def main():
    """Train for the seconds given, a line an epoch, and write what is found in the pictures."""
    request = json.loads(Path(sys.argv[1]).read_text())
    import torch

    add_suppression(torch)
    from ultralytics import YOLO

    torch.set_num_threads(os.cpu_count())
    model = YOLO(request["model"])
    started = time.monotonic()
    images = {"seen": 0, "at": started}

    def begin_epoch(trainer):
        torch.set_num_threads(os.cpu_count())
        images["at"] = time.monotonic()

    def end_epoch(trainer):
        rate = len(trainer.train_loader.dataset) / (time.monotonic() - images["at"])
        print(f"\nepoch={trainer.epoch + 1}; images_per_second={rate:.2f};", flush=True)

    def validated(trainer):
        score = trainer.metrics.get("metrics/mAP50(B)", 0.0)
        print(
            f"\nepoch={trainer.epoch + 1}; val_mAP50={score:.4f}; trained={time.monotonic() - started:.1f};", flush=True
        )

    model.add_callback("on_train_epoch_start", begin_epoch)
    model.add_callback("on_train_epoch_end", end_epoch)
    model.add_callback("on_fit_epoch_end", validated)
    model.train(
        data=request["data"], imgsz=request["size"], batch=request["batch"], epochs=1000, patience=1000,
        time=request["seconds"] / 3600, seed=request["seed"], device="cpu", workers=2, project=request["folder"],
        name="yolo", pretrained=False, plots=False, verbose=False, exist_ok=True,
    )  # fmt: skip
    best = YOLO(str(Path(request["folder"]) / "yolo" / "weights" / "best.pt"))
    answers = []
    for image in request["images"]:
        found = best.predict(image, imgsz=request["size"], conf=0.001, iou=0.7, max_det=300, verbose=False)[0].boxes
        answers.append({"boxes": found.xyxyn.tolist(), "classes": found.cls.tolist(), "scores": found.conf.tolist()})
    Path(request["answers"]).write_text(json.dumps(answers))


def add_suppression(torch):
    """Register torchvision's one operator that YOLO uses: its own is compiled for PyTorch with CUDA and does not load.

    It ends after the 300 boxes that YOLO keeps of a picture.
    """
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

    def suppress(boxes, scores, iou_threshold):
        order, kept = scores.argsort(descending=True), []
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        while len(order) and len(kept) < 300:
            best, order = order[0], order[1:]
            kept.append(best)
            low = torch.maximum(boxes[best, :2], boxes[order, :2])
            high = torch.minimum(boxes[best, 2:], boxes[order, 2:])
            both = (high - low).clamp(min=0).prod(1)
            order = order[both <= iou_threshold * (areas[best] + areas[order] - both)]
        return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.int64)

    torch.library.impl("torchvision::nms", "CPU", suppress)
    import torchvision.extension

    # It asks this before each call, and knows of its own compiled operators only.
    torchvision.extension._has_ops = lambda: True


if __name__ == "__main__":
    main()
