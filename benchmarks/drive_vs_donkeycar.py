"""Train the same pilot on the same records with donkeycar and with Trainbox, and compare time, memory and driving.

    python benchmarks/drive_vs_donkeycar.py TUB [--only speed] [--only blocks] [--only reader] [--only memory]

TUB is an unharmed tub v2 (Trainbox's own results are of ``tub_v2_yuki``). donkeycar 5.4 gets a Python 3.12 environment
of its own, made once and kept where the tests keep theirs. Results are printed as Markdown, for RESULTS.md.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tub_parts import Parts, in_parts, records, write_long, write_part
from watching import Watched, watch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from environments import Environment, environment

DONKEYCAR = Environment(
    "3.12",
    (
        "donkeycar==5.4.0",
        "tensorflow-cpu==2.19.*",
        "tf-keras==2.19.*",
        "ai-edge-litert>=2.1.4",
        "setuptools<81",
        # Its training imports these, which only its extra "pc" asks for, together with a window toolkit.
        "albumentations==2.0.8",
        "matplotlib==3.11.*",
        "pandas==3.1.*",
    ),
)
SIDE = Path(__file__).with_name("donkeycar_side.py")
BENCHMARKS = ("reader", "speed", "blocks", "memory")
LONG = 20_000
MEMORY_EPOCHS = 4
"""Freed memory breaks up from epoch to epoch: one epoch says too little."""


def main() -> None:
    """Run the benchmarks asked for, or all, in turn: nothing else should keep the processors busy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tub", type=Path)
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="run only this; repeatable")
    parser.add_argument("--seed", type=int, default=1, help="of the split and of Trainbox's training")
    parser.add_argument("--epochs", type=int, default=100, help="at most, on both sides (donkeycar's default)")
    parser.add_argument("--donkeycar-python", type=Path, help="a Python that has donkeycar 5.4 and TensorFlow already")
    asked = parser.parse_args()
    print(f"Machine: {machine()}")
    for name in asked.only or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="trainbox-benchmark-") as folder:
            print(f"\n## {name}\n", flush=True)
            globals()[f"compare_{name}"](asked, Path(folder))


def compare_reader(asked: argparse.Namespace, folder: Path) -> None:
    """Time the reader of training, to a file of decoded images, against Pillow alone in one process."""
    from trainbox.data.cache import build_cache
    from trainbox.data.problems import Problems
    from trainbox.tasks.drive.tubs import read_tubs

    paths = [asked.tub / "images" / record["cam/image_array"] for record in records(asked.tub)]
    references = [record.image for tub in read_tubs([asked.tub], Problems()) for record in tub.records]

    def bare() -> None:
        for path in paths:
            np.asarray(Image.open(path).convert("RGB"))

    rates: dict[str, list[float]] = {}
    for turn in range(3):
        for name, work in (
            ("Pillow alone, one process", bare),
            (
                "reader, one process",
                lambda turn=turn: build_cache(references, (120, 160), folder / f"a{turn}", Problems(), 1),
            ),
            (
                "reader, a process per processor",
                lambda turn=turn: build_cache(references, (120, 160), folder / f"b{turn}", Problems()),
            ),
        ):
            started = time.perf_counter()
            work()
            rates.setdefault(name, []).append(len(paths) / (time.perf_counter() - started))
    print("| images/s, best of 3 turns | |\n|---|---|")
    for name, found in rates.items():
        print(f"| {name} | {max(found):,.0f} |")


def compare_speed(asked: argparse.Namespace, folder: Path) -> None:
    """Time both sides to donkeycar's best validation loss, on the random split that donkeycar makes."""
    parts = in_parts(asked.tub, asked.seed, blocks=False)
    theirs = donkeycar(asked, parts, folder)
    # donkeycar changes neither images nor commands unless told to, so here Trainbox does not either.
    ours = trainbox(asked, parts, folder, "augment=false", "smooth_steering=0")
    race(asked, parts, theirs, ours, answers_of(asked, parts.validation, folder))


def compare_blocks(asked: argparse.Namespace, folder: Path) -> None:
    """Compare steering, and the time it took, on blocks of frames that neither side trained on; both by defaults."""
    parts = in_parts(asked.tub, asked.seed, blocks=True)
    theirs = donkeycar(asked, parts, folder)
    ours = trainbox(asked, parts, folder)
    answers = answers_of(asked, parts.validation, folder)
    race(asked, parts, theirs, ours, answers)
    wanted = commands(asked.tub, parts.validation)
    error = {side: answer - wanted for side, answer in answers.items()}
    gain = {side: 1 - (difference**2).mean(0) / wanted.var(0) for side, difference in error.items()}
    print()
    table(
        {
            "steering R2": {side: value[0] for side, value in gain.items()},
            "steering, mean absolute error": {
                side: np.abs(difference[:, 0]).mean() for side, difference in error.items()
            },
            "throttle R2": {side: value[1] for side, value in gain.items()},
        }
    )


def race(
    asked: argparse.Namespace, parts: Parts, theirs: Watched, ours: Watched, answers: dict[str, np.ndarray]
) -> None:
    """Print when each side was at donkeycar's best validation loss, what it took, and where it ended."""
    driven = commands(asked.tub, parts.validation)
    exact = {side: float(((answer - driven) ** 2).mean(0).sum()) for side, answer in answers.items()}
    curve = {"donkeycar": theirs.values("val_loss"), "Trainbox": ours.values("val_loss")}
    begun = {"donkeycar": theirs.first("Starting training"), "Trainbox": ours.first("train_examples=")}
    best_at, best = min(curve["donkeycar"], key=lambda point: point[1])
    target = min(best, exact["donkeycar"])
    reached = {
        "donkeycar": best_at,
        "Trainbox": next((at for at, loss in curve["Trainbox"] if loss <= target), float("nan")),
    }
    epochs = {
        side: 1 + [at for at, _ in curve[side]].index(reached[side]) if reached[side] == reached[side] else 0
        for side in curve
    }
    print(
        f"Target: validation loss {target:.4f}, the lower of donkeycar's best as reported and as computed afterwards.\n"
    )
    table(
        {
            "epochs to the target": epochs,
            "seconds to the target, from the start of the process": reached,
            "seconds to the target, from the start of training": {side: reached[side] - begun[side] for side in curve},
            "training images/s, validation included (median epoch)": {
                side: rate(curve[side], len(parts.train)) for side in curve
            },
            "peak memory of all processes, MB": {
                "donkeycar": theirs.peak_bytes / 1e6,
                "Trainbox": ours.peak_bytes / 1e6,
            },
            "seconds of the whole run, files written": {"donkeycar": theirs.seconds, "Trainbox": ours.seconds},
            "best validation loss as reported": {side: min(loss for _, loss in curve[side]) for side in curve},
            "loss of the file written, computed by donkeycar": exact,
        }
    )
    for side, points in curve.items():
        print(f"\n{side}, val_loss by epoch: {' '.join(f'{loss:.4f}' for _, loss in points)}")


def compare_memory(asked: argparse.Namespace, folder: Path) -> None:
    """Measure the memory of Trainbox's whole run over 20,000 records."""
    tubs = write_long(asked.tub, LONG, folder / "tubs")
    job = [sys.executable, "-m", "trainbox", "train", "drive", tubs, "-p", f"epochs={MEMORY_EPOCHS}"]
    ours = watch([*job, "--out", folder / "pilot"])
    print(f"Peak memory of all processes at {LONG:,} records: {ours.peak_bytes / 1e6:,.0f} MB")
    print(f"{MEMORY_EPOCHS} epochs, start to finish: {ours.seconds:.0f} s")


def donkeycar(asked: argparse.Namespace, parts: Parts, folder: Path) -> Watched:
    """Train donkeycar's linear pilot with all its defaults."""
    request = {
        "do": "train",
        "tub": str(write_part(asked.tub, parts.train + parts.validation, folder / "both")),
        "model": str(folder / "linear.keras"),
        "train": parts.train,
        "validation": parts.validation,
        "epochs": asked.epochs,
    }
    return side(asked, request, folder)


def trainbox(asked: argparse.Namespace, parts: Parts, folder: Path, *parameters: str) -> Watched:
    """Train Trainbox's linear pilot as a user does, the split given as two channels."""
    channels = [
        f"{name}={write_part(asked.tub, getattr(parts, name), folder / name)}" for name in ("train", "validation")
    ]
    settings = (f"epochs={asked.epochs}", f"seed={asked.seed}", *parameters)
    options = [option for setting in settings for option in ("-p", setting)]
    return watch([sys.executable, "-m", "trainbox", "train", "drive", *channels, *options, "--out", folder / "pilot"])


def side(asked: argparse.Namespace, request: dict, folder: Path) -> Watched:
    """Have donkeycar's own Python do something."""
    document = folder / f"{request['do']}.json"
    document.write_text(json.dumps(request))
    return watch([asked.donkeycar_python or environment(DONKEYCAR), SIDE, document], folder=folder)


def answers_of(asked: argparse.Namespace, images: list[str], folder: Path) -> dict[str, np.ndarray]:
    """Have donkeycar load both sides' files and answer for images: float (n, 2), angle and throttle."""
    files = {"donkeycar": str(folder / "linear.keras"), "Trainbox": str(folder / "pilot" / "model.h5")}
    request = {"do": "answer", "tub": str(folder / "both"), "models": list(files.values()), "images": images}
    side(asked, {**request, "answers": str(folder / "answers.json")}, folder)
    return {
        name: np.array(answer)
        for name, answer in zip(files, json.loads((folder / "answers.json").read_text()), strict=True)
    }


def commands(tub: Path, images: list[str]) -> np.ndarray:
    """Return what the driver did at images: float (n, 2), angle and throttle."""
    by_name = {record["cam/image_array"]: record for record in records(tub)}
    return np.array([[by_name[name]["user/angle"], by_name[name]["user/throttle"]] for name in images])


def rate(curve: list[tuple[float, float]], images: int) -> float:
    """Return images/s of the median epoch, the first left out: it reads the images and compiles."""
    seconds = np.diff([at for at, _ in curve])
    return float(images / np.median(seconds)) if len(seconds) else float("nan")


def table(rows: dict[str, dict[str, float]]) -> None:
    """Print rows of both sides with their ratio."""
    print("| | donkeycar | Trainbox | Trainbox / donkeycar |\n|---|---|---|---|")
    for name, row in rows.items():
        theirs, ours = row["donkeycar"], row["Trainbox"]
        print(f"| {name} | {theirs:.4g} | {ours:.4g} | {ours / theirs:.3f} |")


def machine() -> str:
    """Return the processor, how many of them, and the memory."""
    import os

    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} x {model}, {memory:.0f} GB, load {os.getloadavg()[0]:.1f} before the start"


if __name__ == "__main__":
    main()
