"""Every example is what its first lines say, and does what it says: as it is, or as --dry-run shows it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from opt_ml import Trained
from platforms.sagemaker.small_bundle import write_small_bundle
from serving.server import free_port
from trainbox import tasks
from trainbox.container.contract import hyperparameters
from trainbox.tasks.drive.config import DriveConfig

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.sh"))
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))
AT_AWS = ["detector-at-sagemaker.sh", "pilot-at-sagemaker.sh", "pilot-deployed.sh"]
HERE = ["detector-at-home.sh", "pilot-at-home.sh", "pilot-tuned.sh"]
RESULTS = (EXAMPLES.parent / "benchmarks/RESULTS.md").read_text()


@pytest.fixture(scope="session")
def zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the data that the examples name."""
    folder = tmp_path_factory.mktemp("zips")
    for task, name, size in (("drive", "tub", 150), ("detect", "photos", 12)):
        tasks.get(task).write_demo(folder / name, seed=1, size=size)
        shutil.make_archive(str(folder / name), "zip", folder / name)
        shutil.rmtree(folder / name)
    return folder


@pytest.fixture
def place(tmp_path: Path, zips: Path) -> Path:
    """Return a working folder as the examples want it."""
    for path in zips.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def run(name: str, folder: Path, *options: str, **environment: str) -> str:
    """Run an example in a folder; return what it prints."""
    command = [sys.executable] if name.endswith(".py") else ["sh"]
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(
        [*command, EXAMPLES / name, *options],
        cwd=folder,
        env={**os.environ, **path, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_example_is_listed_and_run_here() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    assert [name for name in (*SCRIPTS, *PROGRAMS) if f"]({name})" not in listed] == []
    assert sorted([*AT_AWS, *HERE, "detector-served.sh"]) == SCRIPTS
    assert PROGRAMS == ["detector-of-old.py", "robocars-of-old.py"]


@pytest.mark.parametrize("name", [*SCRIPTS, *PROGRAMS])
def test_the_first_lines_say_command_cost_and_score(name: str) -> None:
    head = [line.lstrip("# ") for line in (EXAMPLES / name).read_text().splitlines()[:12]]
    for word in ("Command:", "Cost:", "Score:"):
        assert [line for line in head if line.startswith(word)], f"{name} does not say its {word}"
    command = next(line for line in head if line.startswith("Command:"))
    assert f"examples/{name}" in command


def test_figures_are_those_that_were_measured() -> None:
    text = "".join((EXAMPLES / name).read_text() for name in SCRIPTS)
    for figure, measured in ((".43", ".4295"), (".75", ".7491"), ("323 s", "323"), (".44", ".4399"), (".40", ".3961")):
        assert figure in text and measured in RESULTS
    for figure in (".859", ".550", "1,239", ".854"):
        assert figure in text and figure in RESULTS


@pytest.mark.parametrize("name", HERE)
def test_jobs_of_this_machine_are_what_they_say(name: str, place: Path) -> None:
    said = json.loads(run(name, place, "--dry-run"))
    assert said["task"] == ("drive" if name.startswith("pilot") else "detect")
    assert said["platform"] == ("docker" if name == "detector-at-home.sh" else "local")
    assert not (place / "pilot").exists()


@pytest.mark.parametrize("name", AT_AWS)
def test_jobs_of_sagemaker_are_shown_and_nothing_is_asked_for(name: str, place: Path, aws: Aws) -> None:
    write_small_bundle(place / "pilot") if name == "pilot-deployed.sh" else None
    aws.settings(place)
    said = json.loads(run(name, place, "--dry-run"))
    assert aws.sagemaker.received == []
    if "request" in said:
        assert said["request"]["EnableManagedSpotTraining"] is True
        assert said["estimate"]["usd"][1] <= 0.50
    else:
        assert "my-pilot" in json.dumps(said)


@pytest.mark.parametrize("name", PROGRAMS)
def test_jobs_of_old_are_taken_as_they_were(name: str, tmp_path: Path, aws: Aws) -> None:
    given = {"ROLE": aws.role, "IMAGE": aws.image, "BUCKET": aws.bucket, "JOB": "as-of-old"}
    assert run(name, tmp_path, **given).strip() == "as-of-old"
    asked = [request for operation, request in aws.sagemaker.received if operation == "CreateTrainingJob"]
    values: dict[str, Any] = hyperparameters.decode(asked[0]["HyperParameters"])
    if name == "robocars-of-old.py":
        assert asked[0]["HyperParameters"] == {"sagemaker_region": '"eu-west-1"', "with_slide": "true"}
        assert isinstance(config := tasks.get("drive").config.parse(values), DriveConfig)
        assert (config.pilot, config.with_slide, config.batch_size) == ("robocars", 2, 32)
    else:
        parsed = tasks.get("detect").config.parse(values).model_dump()
        assert (parsed["num_steps"], parsed["quantize"], parsed["inference_type"]) == (100, True, "QUANTIZED_UINT8")
    # There is nothing in the bucket: it fails at once, and costs nothing.
    assert aws.sagemaker.wait("as-of-old").status == "Failed"


@pytest.mark.slow
def test_the_robocars_job_of_old_trains(place: Path, aws: Aws) -> None:
    aws.client("s3").upload_file(str(place / "tub.zip"), aws.bucket, "tubs/tub.zip")
    run("robocars-of-old.py", place, ROLE=aws.role, IMAGE=aws.image, BUCKET=aws.bucket, JOB="as-of-old")
    assert aws.sagemaker.wait("as-of-old", 800).status == "Completed"
    assert "models/as-of-old/output/model.tar.gz" in aws.keys("models/")


@pytest.mark.slow
def test_a_detector_is_served(tmp_path: Path, trained: Callable[[str], Trained]) -> None:
    shutil.copytree(trained("detect").folder.model, tmp_path / "detector")
    port = free_port()
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    from docs.conftest import wait_ready

    command = ["sh", str(EXAMPLES / "detector-served.sh"), "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **path}, text=True)
    try:
        wait_ready(port, process)
        assert process.poll() is None, "it answered, and is still there"
    finally:
        process.terminate()
        process.wait(40)
