"""docs/hyperparameters.md is held to every task's config: the tables below are what the page must have."""

import json
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from trainbox.tasks import get
from trainbox.tasks.drive.config import JOB_OF_OLD
from trainbox.training.config import TrainingConfig

PAGE = Path(__file__).parents[2] / "docs" / "hyperparameters.md"
SIGNS = ((Gt, ">", "gt"), (Ge, ">=", "ge"), (Lt, "<", "lt"), (Le, "<=", "le"))


def default(field: FieldInfo) -> str:
    """Return the default as one writes it in a job: in JSON."""
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{json.dumps(value)}`"


def choices(annotation: Any) -> tuple[str, ...]:
    """Return the words there are to choose from, none where it is no choice; None is said by the default."""
    if get_origin(annotation) in (Union, UnionType):
        return tuple(word for part in get_args(annotation) for word in choices(part))
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def bounds(field: FieldInfo) -> str:
    """Return the bounds, or the choices there are."""
    said: list[str] = []
    for bound in field.metadata:
        said += [f"{sign} {getattr(bound, name):g}" for kind, sign, name in SIGNS if isinstance(bound, kind)]
    return ", ".join(choices(field.annotation)) or "; ".join(said)


def row(name: str, field: FieldInfo) -> str:
    return f"| `{name}` | {default(field)} | {bounds(field)} | {field.description} |"


def table(rows: list[str]) -> str:
    """Return a table of hyperparameters in Markdown."""
    return "\n".join(["| name | default | bounds | meaning |", "|---|---|---|---|", *rows])


def section(title: str) -> str:
    page = PAGE.read_text()
    assert f"## {title}\n" in page
    return page.split(f"## {title}\n")[1].split("\n## ")[0]


def test_page_lists_what_every_task_has() -> None:
    wanted = table([row(name, field) for name, field in TrainingConfig.model_fields.items()])
    assert wanted in section("Every task"), f"docs/hyperparameters.md must have this table:\n{wanted}"


def test_page_lists_what_a_task_has_of_its_own_or_otherwise(task_name: str) -> None:
    shared = {name: row(name, field) for name, field in TrainingConfig.model_fields.items()}
    fields = get(task_name).config.model_fields
    wanted = table([row(name, field) for name, field in fields.items() if row(name, field) != shared.get(name)])
    assert wanted in section(f"Task `{task_name}`"), f"docs/hyperparameters.md must have this table:\n{wanted}"


def test_page_says_what_jobs_of_old_get() -> None:
    page = PAGE.read_text()
    for name, value in JOB_OF_OLD.items():
        assert f"`{name}` {value}" in page


def test_page_says_what_is_searched(task_name: str) -> None:
    searched = get(task_name).config.searched
    wanted = "; ".join(f"`{name}={one.say()}`" for name, one in searched.items())
    assert f"| `{task_name}` | {wanted} |" in section("What `trainbox tune` searches")
