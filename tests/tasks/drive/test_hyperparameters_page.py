"""docs/hyperparameters.md is held to the config: the table below is what the page must have."""

import json
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from trainbox.tasks.drive.config import JOB_OF_OLD, DriveConfig
from trainbox.training.config import TrainingConfig

PAGE = Path(__file__).parents[3] / "docs" / "hyperparameters.md"
SIGNS = ((Gt, ">", "gt"), (Ge, ">=", "ge"), (Lt, "<", "lt"), (Le, "<=", "le"))


def default(field: FieldInfo) -> str:
    """Return the default as one writes it in a job: in JSON."""
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{json.dumps(value)}`"


def bounds(field: FieldInfo) -> str:
    """Return the bounds, or the choices there are."""
    said: list[str] = []
    for bound in field.metadata:
        said += [f"{sign} {getattr(bound, name):g}" for kind, sign, name in SIGNS if isinstance(bound, kind)]
    choices: tuple[Any, ...] = getattr(field.annotation, "__args__", ())
    if choices and all(isinstance(choice, str) for choice in choices):
        said = [", ".join(choices)]
    return "; ".join(said)


def table(names: list[str]) -> str:
    """Return the table of these hyperparameters in Markdown."""
    fields = [(name, DriveConfig.model_fields[name]) for name in names]
    rows = [f"| `{name}` | {default(field)} | {bounds(field)} | {field.description} |" for name, field in fields]
    return "\n".join(["| name | default | bounds | meaning |", "|---|---|---|---|", *rows])


def test_page_lists_every_hyperparameter_of_drive() -> None:
    shared = list(TrainingConfig.model_fields)
    own = [name for name in DriveConfig.model_fields if name not in shared]
    page = PAGE.read_text()
    for names in (own, shared):
        assert table(names) in page, f"docs/hyperparameters.md must have this table:\n{table(names)}"


def test_page_says_what_jobs_of_old_get() -> None:
    page = PAGE.read_text()
    for name, value in JOB_OF_OLD.items():
        assert f"`{name}` {value}" in page
