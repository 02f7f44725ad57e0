"""Hyperparameters: a file of strings, in any of the three ways in which clients turn values into strings."""

import ast
import json
import warnings
from collections.abc import Mapping
from typing import Any

from trainbox.container.contract import documents
from trainbox.container.contract.paths import Paths
from trainbox.data import strict_json
from trainbox.errors import HyperparameterError

RESERVED_PREFIXES = ("sagemaker_", "_tuning_")
"""Names that clients and SageMaker add on their own: a user never wrote them, so they are never a user's mistake."""
OF_A_TRIAL = "_tuning_objective_metric"
"""What SageMaker gives to every training job of a tuning job, and to no other."""

_OPENING = ("[", "(", "{", "'", '"')
_WORDS = {"true": True, "false": False, "none": None, "null": None}


def read(paths: Paths) -> dict[str, Any]:
    """Return the decoded hyperparameters, empty where the file is missing; raise HyperparameterError."""
    received = documents.read_object(paths.hyperparameters, HyperparameterError)
    return decode(received or {})


def as_received(paths: Paths) -> bytes:
    """Return the bytes of the file, ``{}`` where it is missing."""
    try:
        return paths.hyperparameters.read_bytes()
    except FileNotFoundError:
        return b"{}\n"


def decode(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Turn strings into values: ``str()``, ``json.dumps()`` and bare text alike.

    "True", "true", "12", " 12 ", "1e-3", "None", "null", "[1, 2]", "['a']", "eu-west-1" and "\\"eu-west-1\\"" all
    become what their writer had. Text that is none of these stays text. Values that are no strings stay as they are.
    Raises HyperparameterError at a JSON object with duplicate keys.
    """
    decoded = {}
    for name, value in raw.items():
        try:
            decoded[name] = _decoded(value) if isinstance(value, str) else value
        except strict_json.DuplicateKey as problem:
            raise HyperparameterError(f"Hyperparameter '{name}' cannot be trusted: {problem}.") from problem
    return decoded


def encode(values: Mapping[str, Any]) -> dict[str, str]:
    """Turn values into strings that ``decode`` turns back into equal values."""
    return {name: json.dumps(value, allow_nan=False) for name, value in values.items()}


def without_reserved(values: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Split off the names that clients add on their own and that ``known`` does not list: (kept, left out)."""
    left_out = sorted(name for name in values if name.startswith(RESERVED_PREFIXES) and name not in known)
    return {name: value for name, value in values.items() if name not in left_out}, left_out


def _decoded(text: str) -> Any:
    stripped = text.strip()
    if stripped.lower() in _WORDS:
        return _WORDS[stripped.lower()]
    try:
        return strict_json.loads(stripped)
    except strict_json.DuplicateKey:
        raise
    except (ValueError, RecursionError):
        # NaN, Infinity and 1e999 come here too and stay text: whoever wants a number from them will refuse them.
        return _python_literal(stripped) if stripped.startswith(_OPENING) else stripped


def _python_literal(text: str) -> Any:
    """Return the list, dict or string that ``str()`` or ``repr()`` wrote, or the text itself where it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, list | dict | str) else text
