"""The study alone, trials being a formula: what it proposes, and that an interruption changes nothing of it."""

from pathlib import Path
from typing import Any

import pytest

from trainbox.errors import UsageError
from trainbox.platforms.search import Search, Space
from trainbox.platforms.study import Record, Study
from trainbox.training.search import Choice, Span

WIDE: Space = {"off": Span(-4, 4), "rate": Span(1e-4, 1e-2, log=True), "augment": Choice((("mirror",), False))}
FEW: Space = {"a": Choice((1, 2, 3)), "b": Span(1, 2, whole=True)}


def search(space: Space = WIDE, trials: int = 12, **changes: Any) -> Search:
    return Search(
        **{
            **{"task": "toy", "channels": {"train": Path("data")}, "fixed": {}, "space": space, "objective": "mae"},
            **{"direction": "minimize", "trials": trials, **changes},
        }
    )


def score(values: dict[str, Any]) -> float:
    return float(values.get("off", 0) ** 2 + (values.get("augment") is False) + values.get("a", 0))


def go_on(study: Study, most: int = 100, fail: tuple[int, ...] = ()) -> None:
    """Run trials to the end, or so many of them."""
    while most and study.begun < study.wanted:
        number, values, _ = study.ask()
        failed = "it failed" if number in fail else None
        study.tell(Record(number, values, None if failed else score(values), failed=failed))
        most -= 1


def tried(study: Study) -> list[Any]:
    return [record.hyperparameters for record in study.records()]


def test_the_same_seed_proposes_the_same_and_another_something_else(tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        study = Study.open(search(seed=seed), tmp_path / name, resume=False)
        go_on(study)
        made.append(tried(study))
    assert made[0] == made[1] != made[2]
    assert all(-4 <= one["off"] <= 4 and 1e-4 <= one["rate"] <= 1e-2 for one in made[0])
    assert {str(one["augment"]) for one in made[0]} == {"['mirror']", "False"}


def test_it_learns_from_what_it_tried(tmp_path: Path) -> None:
    study = Study.open(search({"off": Span(-4, 4)}, trials=30), tmp_path, resume=False)
    go_on(study)
    scores = [record.score or 0.0 for record in study.records()]
    assert sum(scores[-10:]) < sum(scores[:8])
    best = study.best()
    assert best and best.score == min(scores) < 0.3


def test_an_interrupted_search_tries_what_it_would_have_tried(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    first = Study.open(search(), whole, resume=False)
    go_on(first)
    second = Study.open(search(), broken, resume=False)
    go_on(second, most=5)
    number, values, _ = second.ask()
    second.drop(number)  # ctrl-C
    third = Study.open(search(), broken, resume=True)
    assert third.begun == 5
    again, same, _ = third.ask()
    assert same == values
    # Killed here, with a trial under way: it is nobody's.
    fourth = Study.open(search(), broken, resume=True)
    assert fourth.begun == 5
    go_on(fourth)
    assert tried(fourth) == tried(first)
    assert again > number


def test_resuming_another_search_is_refused(tmp_path: Path) -> None:
    Study.open(search(), tmp_path, resume=False)
    Study.open(search(trials=99, parallel=4), tmp_path, resume=True)
    with pytest.raises(UsageError, match=r'holds another search: its over was .* now {"a": "1,2,3"'):
        Study.open(search(FEW), tmp_path, resume=True)
    with pytest.raises(UsageError, match="its seed was 0, now 3"):
        Study.open(search(seed=3), tmp_path, resume=True)


def test_a_small_space_is_tried_whole_and_nothing_of_it_twice(tmp_path: Path) -> None:
    study = Study.open(search(FEW), tmp_path, resume=False)
    assert study.wanted == 6
    go_on(study, most=2)
    study = Study.open(search(FEW), tmp_path, resume=True)
    go_on(study)
    assert sorted((one["a"], one["b"]) for one in tried(study)) == [(a, b) for a in (1, 2, 3) for b in (1, 2)]


def test_what_was_tried_already_is_known(tmp_path: Path) -> None:
    study = Study.open(search({"a": Choice((1, 2)), "b": Choice((1, 2))}, trials=3), tmp_path, resume=False)
    for _ in range(8):
        number, values, same = study.ask()
        if same:
            assert same.hyperparameters == values and same.number < number
            break
        study.tell(Record(number, values, score(values)))
    else:
        pytest.fail("eight draws from four combinations, and none twice")


def test_failed_trials_are_passed_over_and_the_first_of_equals_is_best(tmp_path: Path) -> None:
    study = Study.open(search({"b": Span(1, 9, whole=True)}, trials=4), tmp_path, resume=False)
    go_on(study, fail=(1,))
    assert [record.failed for record in study.records()] == ["it failed", None, None, None]
    best = study.best()
    assert best and best.number == 2


def test_the_most_is_best_where_it_is_to_be_maximized(tmp_path: Path) -> None:
    study = Study.open(search({"off": Span(0, 4)}, trials=5, direction="maximize"), tmp_path, resume=False)
    go_on(study)
    best = study.best()
    assert best and best.score == max(record.score or 0.0 for record in study.records())
