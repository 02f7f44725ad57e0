"""The same data, hyperparameters and seed give the same bundle, wherever the job runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from opt_ml import quick
from trainbox.platforms import docker, local
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.running import training

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SAME_BYTES = (".tflite", ".txt", ".pbtxt", "hyperparameters.json")
"""Files that say nothing of when and where they were made."""


def at_sagemaker(request: pytest.FixtureRequest, job: TrainingJob, out: Path) -> None:
    aws: Aws = request.getfixturevalue("aws")
    plan = Plan(region=aws.region, role=aws.role, image=aws.image, bucket=aws.bucket, instance_type="ml.m5.xlarge")
    training.run(job, out, plan=plan)


def in_docker(request: pytest.FixtureRequest, job: TrainingJob, out: Path) -> None:
    docker.run(job, out, image=request.getfixturevalue("train_image"))


ELSEWHERE = {"docker": in_docker, "sagemaker": at_sagemaker}


def told(bundle: Path) -> dict[str, Any]:
    """Return what a bundle says that must not depend on where it was made."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    digests = {name: entry["sha256"] for name, entry in manifest["files"].items() if name.endswith(SAME_BYTES)}
    losses = [
        {key: epoch[key] for key in ("loss", "val_loss") if key in epoch} for epoch in manifest["history"]["epochs"]
    ]
    kept = ("task", "labels", "hyperparameters", "network")
    fingerprint = manifest["data"]["fingerprint"]
    files = sorted(manifest["files"])
    return {**{key: manifest[key] for key in kept}, "data": fingerprint, "files": files, "losses": losses, **digests}


def flattened(value: Any, path: str = "") -> dict[str, Any]:
    """Return every score by its path."""
    if not isinstance(value, dict | list):
        return {path: value}
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return {name: score for key, inner in pairs for name, score in flattened(inner, f"{path}/{key}").items()}


def scores(bundle: Path) -> dict[str, Any]:
    """Return a bundle's scores; frames without the name of their tub, which is that of the channel elsewhere."""
    found = flattened(json.loads((bundle / "manifest.json").read_text())["metrics"])
    return {name: one.partition("/")[2] if name.startswith("/frames/image/") else one for name, one in found.items()}


@pytest.fixture(scope="module")
def made_here(
    demo_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[TrainingJob, Path]]:
    """Return a task's job and what its bundle from this machine says, trained once."""
    made: dict[str, tuple[TrainingJob, Path]] = {}

    def make(task: str) -> tuple[TrainingJob, Path]:
        if task not in made:
            job = TrainingJob(task, {"train": demo_data(task)}, quick(task), f"same-{task}")
            made[task] = job, local.run(job, tmp_path_factory.mktemp(f"local-{task}") / "out")
        return made[task]

    return make


@pytest.mark.parametrize("platform", ELSEWHERE)
def test_all_platforms_make_the_same_bundle(
    platform: str,
    task_name: str,
    made_here: Callable[[str], tuple[TrainingJob, Path]],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    job, here = made_here(task_name)
    ELSEWHERE[platform](request, job, tmp_path / "out")
    assert told(tmp_path / "out") == told(here)
    assert scores(tmp_path / "out") == scores(here)
