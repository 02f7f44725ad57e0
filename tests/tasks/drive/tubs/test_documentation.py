"""docs/tubs.md names every reason that reading gives."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainbox

SOURCE = Path(trainbox.__file__).parent
PAGE = (SOURCE.parents[1] / "docs" / "tubs.md").read_text()
MODULES = sorted(
    path
    for path in [*(SOURCE / "data").glob("*.py"), *(SOURCE / "tasks/drive/tubs").glob("*.py")]
    if path.name not in {"cache.py", "split.py"}
)
TELLING = {"skip", "warn", "leave_out", "UnusableRecord", "UnreadableFile", "UnreadableImage", "append"}


def reasons(path: Path) -> Iterator[str]:
    """Yield the reasons written in a module: given to the calls that count or raise them, or returned."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in TELLING:
                yield from texts(node.args[0])
        elif isinstance(node, ast.Return) and node.value is not None:
            yield from texts(node.value)


def texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) for part in node.values[:1] if isinstance(part, ast.Constant)).strip()


def is_reason(text: str) -> bool:
    return " " in text and not text.startswith(("'", "a file ", "another kind", "a truncated", "an empty"))


FOUND = sorted({(reason, path.name) for path in MODULES for reason in reasons(path) if is_reason(reason)})


def test_reasons_are_found():
    assert len(FOUND) > 40


@pytest.mark.parametrize(("reason", "module"), FOUND)
def test_every_reason_is_explained(reason: str, module: str):
    assert reason in PAGE, f"{module} says '{reason}', docs/tubs.md does not"
