"""The parts of a report that every model has."""

from pathlib import Path
from typing import Any

import pytest

from trainbox.report.page import Charts, Details, Prose, Table
from trainbox.report.sections import files_section, learning_section, page, problem_blocks, trained_on, verdict


def manifest(**history: Any) -> dict[str, Any]:
    epochs = [{"loss": 1.0, "val_loss": 2.0, "val_skill": 0.5, "learning_rate": 0.1}]
    proof = {"runtime": "r", "examples": 3, "largest_difference": 0.5, "tolerance": None}
    return {
        "created": "today",
        "data": {"fingerprint": "f00d"},
        "versions": {"keras": "3"},
        "hyperparameters": {"b": None, "a": True},
        "models": {"m.tflite": {"proof": proof, "loads_on": []}},
        "history": {
            "epochs": epochs, "best_epoch": 1, "stopped": "epochs", "seconds": 2.0, "images_per_second": 4.0, **history
        },
    }  # fmt: skip


def titles(section: Any) -> list[str]:
    return [chart.title for block in section.blocks if isinstance(block, Charts) for chart in block.charts]


def test_scores_are_drawn_where_the_history_has_them() -> None:
    scores = {"val_skill": "skill", "val_absent": "absent"}
    assert titles(learning_section(manifest(), "it was best", scores)) == [
        "Loss",
        "Scores on validation",
        "Learning rate",
    ]
    assert titles(learning_section(manifest(), "it was best")) == ["Loss", "Learning rate"]
    assert titles(learning_section(manifest(), "it was best", {"val_absent": "absent"})) == ["Loss", "Learning rate"]


@pytest.mark.parametrize(
    ("history", "says"),
    [
        ({}, "The model is that of epoch 1, where it was best."),
        ({"data_wait": 0.013}, "1 % of the time was spent waiting for data."),
        ({"resumed_from": 40}, "resumed from a checkpoint at step 40"),
        ({"stopped": "early stop"}, "on validation it no longer got better"),
    ],
)
def test_words_say_how_it_went(history: dict[str, Any], says: str) -> None:
    prose = next(
        block for block in learning_section(manifest(**history), "it was best").blocks if isinstance(block, Prose)
    )
    assert says in prose.text
    assert ("waiting" in prose.text) == ("data_wait" in history)


def test_hyperparameters_are_sorted_and_said_as_they_are_given() -> None:
    details = learning_section(manifest(), "").blocks[-1]
    assert isinstance(details, Details)
    table = details.blocks[0]
    assert isinstance(table, Table) and [list(row) for row in table.rows] == [["a", "true"], ["b", "–"]]


def test_a_rounded_file_has_its_difference_reported_only(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(bytes(2_500_000))
    table = files_section(tmp_path, manifest(), "pictures", "Where").blocks[1]
    assert isinstance(table, Table)
    assert [cell.text for cell in table.cells[0]] == ["m.tflite", "2.50 MB", "r", "3", "0.500000", "reported only"]
    assert table.titles[3] == "Pictures"


def test_problems_are_counted_and_the_most_frequent_come_first() -> None:
    skipped = {"rare": {"count": 1, "examples": ["a"]}, "often": {"count": 9, "examples": list("abcdefg")}}
    (block,) = problem_blocks({"skipped": skipped, "warnings": {}})
    assert block.title == "What was skipped, and why: 10"
    table = block.blocks[0]
    assert isinstance(table, Table) and table.rows[0] == ["often", "9", "a\nb\nc\nd\ne"]


def test_the_foot_says_on_what_and_with_what() -> None:
    made = page({**manifest(), "job": {"name": "night-run"}}, "Detector of cat", "Trained.", [], [])
    assert "Written today by Trainbox. Data f00d. keras 3." in made
    assert "Detector of cat: night-run" in made


def test_what_it_was_trained_on_is_said_in_words() -> None:
    history = {"epochs": [{}], "seconds": 12.3}
    assert trained_on({"history": history}, "30 pictures", "6 pictures") == (
        "Trained on 30 pictures, 1 epoch in 12 s. Every score is of 6 pictures it was never trained on."
    )


def test_warnings_come_first_and_only_once() -> None:
    bad, said = verdict(["It finds little."], ["mAP50 .1", "WARNING: It finds little."])
    assert (bad.tone, list(bad.lines)) == ("bad", ["It finds little."])
    assert (said.tone, list(said.lines)) == ("", ["mAP50 .1"])
    assert [notice.tone for notice in verdict([], ["mAP50 .9"])] == ["good"]
    assert verdict([], []) == []
