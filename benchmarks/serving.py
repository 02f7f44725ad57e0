"""Serve a detector as Trainbox does and as its predecessor did, on the same cores, network and pictures, and compare.

    python benchmarks/serving.py BUNDLE PICTURES [--seconds 20] [--concurrency 16] [--cores 2] [--peer-python PYTHON]

BUNDLE is a detector's model folder with saved_model, model.tflite and model_quantized.tflite; PICTURES a folder of
JPEGs. The other side is Flask behind gunicorn's sync workers, a TensorFlow SavedModel and base64 in JSON. It gets an
environment of its own, made once and kept where the tests keep theirs. Results are printed as Markdown, for
RESULTS.md. Nothing else should run meanwhile.
"""

import argparse
import base64
import contextlib
import io
import json
import multiprocessing
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from load import Load, load, request

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from environments import Environment, environment

PEER = Environment("3.11", ("flask", "gunicorn", "tensorflow-cpu==2.21.*", "pillow", "numpy"))
HERE = Path(__file__).parent
FLOAT, QUANTIZED = "model.tflite", "model_quantized.tflite"
STARTS = 5


@dataclass(frozen=True)
class Side:
    """What was measured of one way to serve."""

    name: str
    load: Load
    cold_start: float
    megabytes: float


def main() -> None:
    """Measure each side in turn and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--cores", type=int, default=2, help="that servers, clients and loops share")
    parser.add_argument("--pictures-used", type=int, default=40)
    parser.add_argument("--peer-python", type=Path, help="a Python that has flask, gunicorn, tensorflow already")
    asked = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: asked.cores])
    pictures = [path.read_bytes() for path in sorted(asked.pictures.rglob("*.jpg"))[: asked.pictures_used]]
    sizes = sum(map(len, pictures)) // len(pictures)
    print(f"Machine: {_processor()}, {asked.cores} cores, Python {platform.python_version()}")
    print(
        f"{len(pictures)} JPEGs of {sizes:,} bytes in the mean, {asked.concurrency} connections, {asked.seconds:g} s\n"
    )
    bare = {file: bare_rate(asked.bundle, file, pictures, asked.cores, asked.seconds) for file in (FLOAT, QUANTIZED)}
    ours = {file: our_side(asked, file, pictures) for file in (FLOAT, QUANTIZED)}
    peer = peer_side(asked, pictures)
    _print(asked, bare, ours, peer)
    print(f"Cold start of `trainbox serve`: {desk_start(asked, pictures[0]):.2f} s.")


def bare_rate(bundle: Path, file: str, pictures: Sequence[bytes], cores: int, seconds: float) -> float:
    """Return the pictures a second that a bare loop of decoding and LiteRT does, one process on each core."""
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        return sum(pool.starmap(_loop, [(str(bundle / file), pictures, seconds)] * cores, chunksize=1))


def _loop(path: str, pictures: Sequence[bytes], seconds: float) -> float:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    (entry,), outputs = interpreter.get_input_details(), interpreter.get_output_details()
    _, height, width, _ = entry["shape"]

    def answer(picture: bytes) -> None:
        image = Image.open(io.BytesIO(picture)).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        pixels = np.asarray(image)[None]
        if entry["dtype"] is np.float32:
            pixels = pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)
        interpreter.set_tensor(entry["index"], pixels)
        interpreter.invoke()
        for output in outputs:
            interpreter.get_tensor(output["index"])

    for picture in pictures[:10]:
        answer(picture)
    done, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        answer(pictures[done % len(pictures)])
        done += 1
    return done / (time.perf_counter() - began)


def our_side(asked: argparse.Namespace, file: str, pictures: Sequence[bytes]) -> Side:
    """Measure ``trainbox-container serve``, the program of the image, as it runs without Docker."""
    port = _free_port()
    asks = [request("/invocations", picture, "image/jpeg") for picture in pictures]
    with tempfile.TemporaryDirectory() as base:
        (Path(base) / "model").symlink_to(asked.bundle.absolute())
        variables = {"SAGEMAKER_BASE_DIR": base, "SAGEMAKER_BIND_TO_PORT": str(port), "TRAINBOX_MODEL_FILE": file}
        variables["MODEL_SERVER_WORKERS"] = str(asked.cores)
        command = [sys.executable, "-m", "trainbox.container", "serve"]
        return _measured(f"Trainbox, {file}", command, variables, port, asks, asked)


def desk_start(asked: argparse.Namespace, picture: bytes) -> float:
    """Return the seconds from ``trainbox serve``, which has a command line to read, to its first answer."""
    port = _free_port()
    command = [sys.executable, "-m", "trainbox", "serve", str(asked.bundle), "--port", str(port)]
    command += ["--workers", str(asked.cores)]
    return _cold_start(command, {}, port, request("/invocations", picture, "image/jpeg"))


def peer_side(asked: argparse.Namespace, pictures: Sequence[bytes]) -> Side:
    """Measure Flask, gunicorn, TensorFlow and base64."""
    python = asked.peer_python or environment(PEER)
    port = _free_port()
    command = [
        str(python),
        "-m",
        "gunicorn",
        "--workers",
        str(asked.cores),
        "--worker-class",
        "sync",
        "--timeout",
        "60",
    ]
    command += ["--bind", f"127.0.0.1:{port}", "--chdir", str(HERE), "flask_side:app"]
    manifest = json.loads((asked.bundle / "manifest.json").read_text())
    size = manifest["models"]["saved_model"]["inputs"]["image"][1:3]
    variables = {"SAVED_MODEL": str(asked.bundle / "saved_model"), "SIZE": json.dumps(size)}
    variables |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    bodies = [json.dumps({"image": base64.b64encode(one).decode(), "threshold": 0.5}).encode() for one in pictures]
    asks = [request("/invocations", body, "application/json") for body in bodies]
    return _measured("Flask, gunicorn sync, SavedModel", command, variables, port, asks, asked)


def _measured(
    name: str,
    command: list[str],
    variables: dict[str, str],
    port: int,
    asks: Sequence[bytes],
    asked: argparse.Namespace,
) -> Side:
    cold_start = _cold_start(command, variables, port, asks[0])
    with _server(command, variables, port, asks[0]) as (pid, _):
        measured = load(("127.0.0.1", port), asks, asked.concurrency, asked.seconds)
        megabytes = _memory(pid)
    return Side(name, measured, cold_start, megabytes)


def _cold_start(command: list[str], variables: dict[str, str], port: int, ask: bytes) -> float:
    """Return the median of the seconds from starting a server to its first answer."""
    starts = []
    for _ in range(STARTS):
        with _server(command, variables, port, ask) as (_, seconds):
            starts.append(seconds)
    return statistics.median(starts)


@contextlib.contextmanager
def _server(command: list[str], variables: dict[str, str], port: int, ask: bytes) -> Iterator[tuple[int, float]]:
    """Hold a running server; give its process id and the seconds to its first answer."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, **variables},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _answers(port, ask):
            if process.poll() is not None or time.perf_counter() > began + 120:
                raise RuntimeError(f"{' '.join(command)} does not answer")
            time.sleep(0.005)
        yield process.pid, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(port: int, ask: bytes) -> bool:
    """Tell whether the server gives a picture's answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(ask)
            return connection.recv(12).endswith(b"200")
    except OSError:
        return False


def _memory(pid: int) -> float:
    """Return the resident megabytes of a process and all below it."""
    pids, total = [pid], 0.0
    for one in pids:
        status = Path(f"/proc/{one}/status").read_text()
        total += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024
        for task in Path(f"/proc/{one}/task").iterdir():
            pids += [int(child) for child in (task / "children").read_text().split()]
    return total


def _print(asked: argparse.Namespace, bare: dict[str, float], ours: dict[str, Side], peer: Side) -> None:
    print(
        "| | requests/s | times the peer's | share of the bare loop | p50, ms | p99, ms | p99 / queueing minimum "
        "| cold start, s | memory, MB | failed |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for file, rate in bare.items():
        print(f"| bare loop, {file} | {rate:.1f} | | 1 | | | | | | |")
    for file, side in [*ours.items(), ("", peer)]:
        one = side.load
        share = f"{one.rate / bare[file]:.3f}" if file else ""
        # No server answers sooner than the cores compute what stands before: so long is what it must take.
        least = asked.concurrency / bare[file] if file else asked.concurrency / one.rate
        low, high = 1000 * one.quantile(0.5), 1000 * one.quantile(0.99)
        times = one.rate / peer.load.rate
        print(
            f"| {side.name} | {one.rate:.1f} | {times:.2f} | {share} | {low:.1f} | {high:.1f} "
            f"| {one.quantile(0.99) / least:.2f} | {side.cold_start:.2f} | {side.megabytes:.0f} | {one.failed} |"
        )
    print(
        f"\nThe client itself used {ours[QUANTIZED].load.client_seconds / ours[QUANTIZED].load.seconds:.2f} of a core "
        "beside the quantized file, on the same cores."
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _processor() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return platform.machine()


if __name__ == "__main__":
    main()
