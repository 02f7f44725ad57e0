"""docs/annotations.md names every reason that reading annotations gives; docs/tubs.md has those of files and images."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainbox

SOURCE = Path(trainbox.__file__).parent / "tasks/detect"
PAGE = (SOURCE.parents[3] / "docs" / "annotations.md").read_text()
MODULES = sorted(
    [*(SOURCE / "formats").glob("*.py"), *(SOURCE / f"{name}.py" for name in ("dataset", "reading", "boxes", "split"))]
)
TELLING = {"skip", "warn", "UnreadableFile", "_UnreadableXml", "Broken", "UnusableExample"}


def reasons(path: Path) -> Iterator[str]:
    """Yield the reasons written in a module: texts given to the calls that count or raise them, or beside a test."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in TELLING or name.lstrip("_").startswith(("Unreadable", "Unusable", "Broken")):
                yield from texts(node.args[0])
        elif isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple) and path.name == "boxes.py":
            yield from (text for one in node.iter.elts if isinstance(one, ast.Tuple) for text in texts(one.elts[0]))


def texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) for part in node.values[:1] if isinstance(part, ast.Constant)).strip()


FOUND = sorted({(reason, path.name) for path in MODULES for reason in reasons(path) if " " in reason})


def test_reasons_are_found() -> None:
    assert len(FOUND) > 40
    assert ("box has no area", "boxes.py") in FOUND


@pytest.mark.parametrize(("reason", "module"), FOUND)
def test_every_reason_is_explained(reason: str, module: str) -> None:
    assert reason in PAGE, f"{module} says '{reason}', docs/annotations.md does not"
