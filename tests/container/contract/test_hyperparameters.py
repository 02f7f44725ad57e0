import json
from typing import Any

import pytest

from trainbox.container.contract import hyperparameters
from trainbox.errors import HyperparameterError

VALUES = [True, False, None, 0, 2, -3, 0.5, 1e-3, "eu-west-1", [1, 2], ["a", "b"], [[0.1, 0.2]], {"a": 1, "b": [2]}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("write", [str, json.dumps, hyperparameters.encode], ids=["str", "json", "ours"])
def test_all_encodings_become_what_their_writer_had(write: Any, value: Any) -> None:
    written = write({"x": value})["x"] if write is hyperparameters.encode else write(value)
    assert isinstance(written, str)
    decoded = hyperparameters.decode({"x": written})["x"]
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" 12 ", 12),
        ("1e-3", 0.001),
        ("True", True),
        ("TRUE", True),
        ("true", True),
        ("False", False),
        ("false", False),
        ('"false"', "false"),
        ("None", None),
        ("null", None),
        ("", ""),
        ("  eu-west-1\n", "eu-west-1"),
        ('"eu-west-1"', "eu-west-1"),
        ("('user', 'local')", ["user", "local"]),
        ("[True, None]", [True, None]),
        ("user/throttle > 0.1", "user/throttle > 0.1"),
        ("[not a list", "[not a list"),
        ("{1, 2}", "{1, 2}"),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000),
        ("007", "007"),
    ],
)
def test_text_becomes_the_value_it_stands_for_or_stays(text: str, value: Any) -> None:
    decoded = hyperparameters.decode({"x": text})["x"]
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize("text", ["[" * 100_000, "(" * 100_000, "{'a':" * 50_000])
def test_deep_nesting_stays_text(text: str) -> None:
    assert hyperparameters.decode({"x": text})["x"] == text


def test_text_that_only_looks_like_python_makes_no_noise(recwarn: pytest.WarningsRecorder) -> None:
    assert hyperparameters.decode({"x": r"['\d']"})["x"] == [r"\d"]
    assert not recwarn.list


def test_missing_file_means_defaults(tree) -> None:
    assert hyperparameters.read(tree.paths) == {}
    assert hyperparameters.as_received(tree.paths) == b"{}\n"


def test_received_bytes_are_kept(tree) -> None:
    content = b'{"epochs" :   " 12 "}'
    tree.write("hyperparameters.json", content)
    assert hyperparameters.as_received(tree.paths) == content
    assert hyperparameters.read(tree.paths) == {"epochs": 12}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"epochs": "1", "epochs": "2"}', "'epochs' occurs twice"),
        (b'{"a": "{\\"b\\": 1, \\"b\\": 2}"}', "'a' cannot be trusted"),
        (b'\xef\xbb\xbf{"epochs": "1"}', "byte order mark"),
        ('{"epochs": "1"}'.encode("utf-16"), "byte order mark"),
        (b'{"name": "\xe9"}', "not UTF-8"),
        (b'{"learning_rate": NaN}', "NaN"),
        (b'{"learning_rate": Infinity}', "Infinity"),
        (b'{"learning_rate": 1e999}', "not finite"),
        (b'["epochs"]', "Received: an array"),
        (b'"epochs"', "Received: a string"),
        (b'{"epochs": "1"', "JSON"),
        (b"", "JSON"),
        (b'{"a":' * 100_000, "JSON"),
        (b" " * (5 * 1024 * 1024), "larger than"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_untrustworthy_files_are_refused_in_one_line(tree, content: bytes, says: str) -> None:
    tree.write("hyperparameters.json", content)
    with pytest.raises(HyperparameterError) as refusal:
        hyperparameters.read(tree.paths)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_file_that_cannot_be_read_is_refused(tree) -> None:
    tree.paths.hyperparameters.mkdir()
    with pytest.raises(HyperparameterError, match="cannot be read"):
        hyperparameters.read(tree.paths)


def test_names_that_clients_add_are_left_out_unless_known() -> None:
    values = {
        "epochs": 1,
        "sagemaker_region": "eu-west-1",
        "sagemaker_program": "t.py",
        "_tuning_objective_metric": "x",
    }
    kept, left_out = hyperparameters.without_reserved(values, {"epochs": None, "sagemaker_region": None})
    assert kept == {"epochs": 1, "sagemaker_region": "eu-west-1"}
    assert left_out == ["_tuning_objective_metric", "sagemaker_program"]
