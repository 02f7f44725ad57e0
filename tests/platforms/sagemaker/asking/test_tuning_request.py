"""The request of a tuning job: held to the service's model, and to what the container reads and logs."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from botocore.validate import ParamValidator

from amazon.protocol import model
from amazon.shapes import violations
from trainbox import tasks
from trainbox.container.contract import hyperparameters
from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.asking import request, tuning_request
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.search import Search, objective, space
from trainbox.tasks import get
from trainbox.training.progress import metric_line

PLAN = {
    "region": "eu-west-1",
    "role": "arn:aws:iam::123456789012:role/trainbox",
    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/trainbox:train",
    "bucket": "trainbox-123456789012",
    "instance_type": "ml.c5.2xlarge",
}
INPUTS = {"train": "s3://trainbox-123456789012/trainbox/data/abc/"}
SHAPE = model("sagemaker").operation_model("CreateHyperParameterTuningJob").input_shape


def searched(task: str = "drive", over: tuple[str, ...] = (), wanted: str | None = None, **changes: Any) -> Search:
    name, direction = objective(get(task), wanted)
    fixed = {"epochs": 7}
    return Search(
        task, dict.fromkeys(INPUTS, Path()), fixed, space(get(task).config, over, fixed), name, direction, **changes
    )


def asked(search: Search, **changes: Any) -> dict[str, Any]:
    return tuning_request.tuning_job(search, Plan(**{**PLAN, **changes}), INPUTS, "laps-1")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"spot": True, "max_runtime_seconds": 600},
        {"kms_key": "alias/mine", "subnets": ("subnet-1",), "security_groups": ("sg-1",), "tags": {"team": "cars"}},
        {"environment": {"TF_NUM_INTRAOP_THREADS": "4"}},
    ],
)
def test_every_request_holds_to_the_model_of_the_service(task_name: str, changes: dict[str, Any]) -> None:
    made = asked(searched(task_name), **changes)
    assert not ParamValidator().validate(made, SHAPE).generate_report()
    assert list(violations(made, SHAPE)) == []


def test_its_trials_are_the_training_jobs_that_train_would_make() -> None:
    search = searched(over=("learning_rate",))
    definition = asked(search, spot=True)["TrainingJobDefinition"]
    one = request.training_job(search.job({}, "laps-1"), Plan(**PLAN, spot=True), INPUTS)
    assert definition.pop("StaticHyperParameters") == one["HyperParameters"] == {"task": "drive", "epochs": "7"}
    assert definition == {key: value for key, value in one.items() if key not in tuning_request.OF_A_JOB_ALONE}


def test_ranges_are_text_with_their_scaling() -> None:
    over = ("learning_rate=1e-5:3e-3:log", "batch_size=16:128", "smooth_steering=0:3", "dropout", "augment")
    assert asked(searched(over=over))["HyperParameterTuningJobConfig"]["ParameterRanges"] == {
        "IntegerParameterRanges": [
            {"Name": "batch_size", "MinValue": "16", "MaxValue": "128", "ScalingType": "Linear"}
        ],
        "ContinuousParameterRanges": [
            {"Name": "learning_rate", "MinValue": "0.00001", "MaxValue": "0.003", "ScalingType": "Logarithmic"},
            {"Name": "smooth_steering", "MinValue": "0", "MaxValue": "3", "ScalingType": "Linear"},
        ],
        "CategoricalParameterRanges": [
            {"Name": "dropout", "Values": ['"none"', '"dense"']},
            {
                "Name": "augment",
                "Values": ["false", '["mirror"]', '["mirror", "brightness", "contrast", "blur", "shadow"]'],
            },
        ],
    }


def test_the_container_reads_what_sagemaker_makes_of_the_ranges(task_name: str) -> None:
    search = searched(task_name)
    ranges = asked(search)["HyperParameterTuningJobConfig"]["ParameterRanges"]
    config, static = get(task_name).config, asked(search)["TrainingJobDefinition"]["StaticHyperParameters"]
    for one in ranges["ContinuousParameterRanges"]:
        for text in (one["MinValue"], one["MaxValue"], "0.0013", "0.0013000000000000002", "1.3E-3"):
            value = hyperparameters.decode({one["Name"]: text})[one["Name"]]
            assert value == float(text) and config.parse({one["Name"]: value})
    for one in ranges["CategoricalParameterRanges"]:
        for text, meant in zip(one["Values"], search.space[one["Name"]].ends, strict=True):
            value = hyperparameters.decode({one["Name"]: text})[one["Name"]]
            assert config.parse({one["Name"]: value}) == config.parse({one["Name"]: meant})
    # SageMaker adds one of its own to every trial.
    given = {**static, "_tuning_objective_metric": search.objective}
    values, unused = hyperparameters.without_reserved(hyperparameters.decode(given), config.model_fields)
    assert unused == ["_tuning_objective_metric"]
    assert config.parse(values).epochs == 7


def test_the_objective_is_read_from_the_line_that_the_container_prints(task_name: str) -> None:
    task = get(task_name)
    for name in task.measures:
        made = asked(searched(task_name, wanted=name))
        config = made["HyperParameterTuningJobConfig"]
        assert config["HyperParameterTuningJobObjective"]["MetricName"] == name
        definitions = made["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
        regex = next(one["Regex"] for one in definitions if one["Name"] == name)
        scores = {other: 0.25 + place for place, other in enumerate(task.measures)}
        manifest = {"scored_file": "model.tflite", "files": {"model.tflite": {**scores, name: -0.125}}}
        line = metric_line(tasks.measured(task, manifest))
        found = re.findall(regex, line)
        assert found == ["-0.125"]
        assert re.findall(regex, metric_line({f"val_{name}": 0.5, "val_loss": 1.0})) == []


def test_falling_behind_is_only_seen_where_every_epoch_logs_the_objective(task_name: str) -> None:
    watched = get(task_name).watched
    by_epoch = asked(searched(task_name, wanted=watched))["HyperParameterTuningJobConfig"]
    at_the_end = asked(searched(task_name))["HyperParameterTuningJobConfig"]
    assert by_epoch["TrainingJobEarlyStoppingType"] == "Auto"
    assert at_the_end["TrainingJobEarlyStoppingType"] == "Off"


def test_limits_are_those_of_the_search() -> None:
    config = asked(searched(trials=40, parallel=3, seed=11))["HyperParameterTuningJobConfig"]
    assert config["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 40, "MaxParallelTrainingJobs": 3}
    assert (config["Strategy"], config["RandomSeed"]) == ("Bayesian", 11)
    few = asked(searched(over=("dropout=none,dense",), trials=40, parallel=3))["HyperParameterTuningJobConfig"]
    assert few["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2}


def test_the_command_asks_for_the_same() -> None:
    made = asked(searched())
    words = shlex.split(request.as_command(made, "eu-west-1", tuning_request.OPERATION))
    assert words[:5] == ["aws", "sagemaker", "create-hyper-parameter-tuning-job", "--region", "eu-west-1"]
    told = dict(zip(words[5::2], words[6::2], strict=True))
    assert told["--hyper-parameter-tuning-job-name"] == "laps-1"
    assert json.loads(told["--hyper-parameter-tuning-job-config"]) == made["HyperParameterTuningJobConfig"]
    assert json.loads(told["--training-job-definition"]) == made["TrainingJobDefinition"]
    assert json.loads(told["--tags"]) == made["Tags"]


def test_names_are_short_enough() -> None:
    for task in ("drive", "a-task-with-quite-a-long-name"):
        assert tuning_request.NAME.fullmatch(tuning_request.default_name(task))
    with pytest.raises(UsageError, match="1 to 32 letters"):
        tuning_request.tuning_job(searched(), Plan(**PLAN), INPUTS, "x" * 33)
