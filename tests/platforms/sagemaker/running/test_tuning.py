"""A tuning job at the fake, over real HTTP: made, watched, interrupted and resumed, and its best model brought back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from toy_task import ToyConfig
from trainbox.errors import UsageError
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.aws.failures import AwsRefused
from trainbox.platforms.sagemaker.running import tuning
from trainbox.platforms.search import Search, space
from trainbox.platforms.tuning import TuningFailed

Toy = Callable[..., TrainingJob]
Plans = Callable[..., Plan]


@pytest.fixture
def search(toy_here: Toy) -> Callable[..., Search]:
    """Return a maker of searches on the toy's data."""

    def make(fixed: dict[str, Any] | None = None, **changes: Any) -> Search:
        values = {"epochs": 1, **(fixed or {})}
        ranges = space(ToyConfig, ["off=-2:2", "batch_size=4,8"], values)
        return Search("toy", toy_here().channels, values, ranges, "mae", "minimize", **{"trials": 2, **changes})

    return make


def test_a_name_that_is_taken_and_a_quota_are_said_and_nothing_is_kept(
    search: Callable[..., Search], plan: Plans, aws: Aws, tmp_path: Path
) -> None:
    for code, says in (("ResourceInUse", "Try again"), ("ResourceLimitExceeded", "quota")):
        aws.sagemaker.fail("CreateHyperParameterTuningJob", code, message="The account-level service limit: no.")
        with pytest.raises(AwsRefused, match=says) as refused:
            tuning.run(
                search(), tmp_path / code, plan=plan(), account=aws.account(), name="toy-1", detach=True, say=print
            )
        assert "\n" not in str(refused.value)
        assert not (tmp_path / code / tuning.FILE).exists()


def test_another_search_is_not_resumed_and_none_is_not_either(
    search: Callable[..., Search], aws: Aws, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="holds no search to resume"):
        tuning.resume(search(), tmp_path, account=aws.account(), say=print)


@pytest.mark.slow
def test_the_best_training_jobs_bundle_comes_back(
    search: Callable[..., Search], plan: Plans, aws: Aws, tmp_path: Path
) -> None:
    said: list[str] = []
    wanted, out = search(), tmp_path / "out"
    started = tuning.run(wanted, out, plan=plan(), account=aws.account(), name="toy-1", detach=True, say=said.append)
    assert started is None and (out / tuning.FILE).is_file()
    # From another process, later, with AWS away for a moment.
    aws.sagemaker.fail("DescribeHyperParameterTuningJob", "ThrottlingException", times=2)
    found = tuning.resume(wanted, out, account=aws.account(), say=said.append)
    assert found and len(found.records) == 2
    assert found.best.score == min(record.score or 99 for record in found.records)
    kept = json.loads((out / "trials.json").read_text())
    assert kept["best"] == found.best.number and kept["objective"] == "mae"
    manifest = json.loads((found.bundle / "manifest.json").read_text())
    assert manifest["metrics"]["files"]["model.tflite"]["mae"] == pytest.approx(found.best.score, rel=1e-4)
    for name, value in found.best.hyperparameters.items():
        assert manifest["hyperparameters"][name] == pytest.approx(value)
    assert manifest["hyperparameters"]["epochs"] == 1
    assert any("2 of 2 trainings done" in line for line in said)


@pytest.mark.slow
def test_where_all_fail_each_reason_is_counted(
    search: Callable[..., Search], plan: Plans, aws: Aws, tmp_path: Path
) -> None:
    with pytest.raises(TuningFailed, match=r"All 2 trials failed: 2 x .*the toy failed"):
        tuning.run(
            search({"fail_in": "reading"}),
            tmp_path / "out",
            plan=plan(),
            account=aws.account(),
            name="toy-2",
            detach=False,
            say=print,
        )
