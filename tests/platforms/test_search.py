"""What is searched: words, ranges of the tasks' own, bounds; and which number says that one model is better."""

from pathlib import Path
from typing import Any

import pytest

from toy_task import ToyConfig, ToyTask
from trainbox.errors import HyperparameterError, TrainboxError, UsageError
from trainbox.platforms.search import Search, achieved, combinations, objective, space
from trainbox.tasks import get
from trainbox.training.search import Choice, Span


@pytest.mark.parametrize(
    ("worded", "means"),
    [
        ("learning_rate=3e-4:.003:log", Span(0.0003, 0.003, log=True)),
        ("off=-2:2", Span(-2.0, 2.0)),
        ("batch_size=4:16", Span(4, 16, whole=True)),
        ("steps_per_epoch=1:9:log", Span(1, 9, log=True, whole=True)),
        ("batch_size=4,8,4", Choice((4, 8))),
        ("learning_rate=null, 1e-3", Choice((None, 1e-3))),
        ('linger="nowhere",report', Choice(("nowhere", "report"))),
        ("precision", Choice(("auto", "float32", "bfloat16"))),
        ("off", Span(-4, 4)),
    ],
)
def test_a_range_is_what_was_worded(worded: str, means: Span | Choice) -> None:
    found = space(ToyConfig, [worded], {})
    assert found == {worded.partition("=")[0]: means}
    # What a search says of itself words the same again.
    name, said = next((name, one.say()) for name, one in found.items())
    assert space(ToyConfig, [f"{name}={said}"], {})[name].ends == means.ends


def test_lists_are_choices_too() -> None:
    config = get("drive").config
    assert space(config, ['augment="mirror,blur",false'], {})["augment"] == Choice(("mirror,blur", False))
    assert space(config, ['augment=["mirror"],["blur"]'], {})["augment"] == Choice((["mirror"], ["blur"]))
    said = space(config, ["augment"], {})["augment"].say()
    assert combinations(space(config, [f"augment={said}"], {})) == 3


@pytest.mark.parametrize(
    ("worded", "says"),
    [
        ("epoch=1:2", "Unknown hyperparameter 'epoch'. Did you mean 'epochs'"),
        ("epochs", "'epochs' has no range of its own. Give --over epochs=LOW:HIGH. With a range of their own: off"),
        ("epochs=0:5", "--over epochs=0:5: Hyperparameter 'epochs' is wrong"),
        ("epochs=1.5:5", "is a whole number"),
        ("off=2:1", "the lower end comes first"),
        ("off=0:1:log", "wants ends above 0"),
        ("off=1", "2 to 30 different values"),
        ("precision=float32,float99", "Hyperparameter 'precision' is wrong"),
        ("seed=1:2", "'seed' is fixed with -p"),
    ],
)
def test_what_cannot_be_searched_is_said(worded: str, says: str) -> None:
    with pytest.raises(TrainboxError) as said:
        space(ToyConfig, [worded], {"seed": 1})
    assert says in str(said.value)
    assert said.value.exit_status == 2
    assert "\n" not in str(said.value)


def test_what_a_task_names_is_searched_where_nothing_is_said_and_what_is_fixed_stays() -> None:
    assert list(space(ToyConfig, [], {})) == ["off", "batch_size"]
    assert list(space(ToyConfig, [], {"off": 1.0})) == ["batch_size"]
    with pytest.raises(UsageError, match="nothing to search"):
        space(ToyConfig, [], {"off": 1.0, "batch_size": 8})
    with pytest.raises(UsageError, match="given twice"):
        space(ToyConfig, ["off", "off=1:2"], {})


def test_every_task_names_ranges_that_hold_to_its_own_bounds(task_name: str) -> None:
    config = get(task_name).config
    found = space(config, [], {})
    assert len(found) >= 2
    for name, one in found.items():
        assert len({str(config.parse({name: end}).model_dump()[name]) for end in one.ends}) > 1


def test_a_bound_is_tried_together_with_what_is_fixed() -> None:
    with pytest.raises(HyperparameterError, match="learning_rate"):
        space(get("drive").config, ["learning_rate=1:11"], {"pilot": "linear"})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        *[({"trials": 0}, "--trials"), ({"parallel": 101}, "--parallel"), ({"seed": -1}, "--seed")],
        ({"max_runtime_seconds": 0}, "--max-runtime"),
    ],
)
def test_numbers_out_of_reach_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Search("toy", {"train": Path()}, {}, {"off": Span(0, 1)}, "mae", "minimize", **changes)


def test_the_objective_is_the_tasks_first_measure_or_what_it_watches(task_name: str) -> None:
    task = get(task_name)
    assert objective(task, None)[0] == next(iter(task.measures))
    assert objective(task, task.watched)[1] in {"minimize", "maximize"}
    with pytest.raises(UsageError, match=f"Unknown objective 'speed'. Task {task_name} has: .*{task.watched}"):
        objective(task, "speed")


def test_what_was_achieved_is_read_from_the_manifest() -> None:
    scores = {"scored_file": "b", "files": {"a": {"mae": 1.0}, "b": {"mae": 0.5}}}
    manifest = {"metrics": scores, "history": {"epochs": [{"val_loss": 3.0}, {"val_loss": 2.0}, {"val_loss": 4.0}]}}
    assert achieved(ToyTask(), "mae", manifest) == 0.5
    assert achieved(ToyTask(), "val_loss", manifest) == 2.0
    assert achieved(get("detect"), "val_mAP", {"history": {"epochs": [{"val_mAP": 0.2}, {"val_mAP": 0.1}]}}) == 0.2
    assert achieved(ToyTask(), "mae", {"metrics": {"files": {"b": {"mae": None}}, "scored_file": "b"}}) is None
    assert achieved(ToyTask(), "mae", {"metrics": {}}) is None
