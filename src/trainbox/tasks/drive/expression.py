"""A filter's expression: comparisons, ``and``/``or``/``not`` and arithmetic over a record's keys. Nothing is executed.

The text is parsed by ``ast`` and walked over an allow-list of nodes: no calls, no attributes, no comprehension.
A record's key is written as it stands in the tub (``user/throttle``, ``imu/accel[0]``), or as one of the short
names ``angle``, ``throttle``, ``mode``, ``index``, ``session``.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

LONGEST, DEEPEST = 1000, 30

_ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_COMPARISONS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
_SIGNS: Mapping[type, Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}


class CannotApply(Exception):
    """The expression has no answer for this record: a key is missing or of another type."""


class Expression:
    """A checked expression; ``Expression(text)`` raises ValueError, one line, where it is not one."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"an expression has at most {LONGEST} characters, not {len(text)}")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"{text!r} is not an expression such as: user/throttle > 0.2 and angle < 1") from error
        _refuse_foreign(self._tree, DEEPEST)

    def keeps(self, values: Mapping[str, Any]) -> bool:
        """Tell whether the record with these values is to be kept; raise CannotApply where that has no answer."""
        try:
            return bool(_value(self._tree, values))
        except (TypeError, ValueError, ZeroDivisionError, OverflowError, LookupError) as error:
            raise CannotApply(str(error)) from error


def _refuse_foreign(node: ast.AST, depth: int) -> None:
    """Raise ValueError at the first node that is not on the allow-list, or too deep."""
    allowed = (
        isinstance(node, (ast.BoolOp, ast.Compare, ast.Name, ast.List, ast.Tuple, ast.And, ast.Or, ast.Load))
        or (isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC)
        or (isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS)
        or (isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float, str)))
        or (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant))
        or type(node) in {*_ARITHMETIC, *_COMPARISONS, *_SIGNS}
    )
    if not allowed:
        raise ValueError(
            f"{type(node).__name__} is not allowed in an expression: use comparisons, and, or, not, + - * / %"
        )
    if depth == 0:
        raise ValueError("the expression is nested too deeply")
    for child in ast.iter_child_nodes(node):
        _refuse_foreign(child, depth - 1)


def _value(node: ast.AST, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.BoolOp():
            return (all if isinstance(node.op, ast.And) else any)(_value(part, values) for part in node.values)
        case ast.UnaryOp():
            return _SIGNS[type(node.op)](_value(node.operand, values))
        case ast.Compare():
            return _compared(node, values)
        case ast.List() | ast.Tuple():
            return [_value(part, values) for part in node.elts]
        case ast.Subscript(slice=ast.Constant(value=place)):
            return _value(node.value, values)[place]
        case ast.BinOp() if (key := _key(node)) in values:
            return values[key or ""]
        case ast.BinOp(right=ast.Subscript(value=name, slice=ast.Constant(value=place))) if (
            key := _key(ast.BinOp(node.left, node.op, name))
        ) in values:
            return values[key or ""][place]
        case ast.BinOp():
            return _computed(node, values)
        case ast.Name():
            return values[node.id]
    raise TypeError(type(node).__name__)


def _computed(node: ast.BinOp, values: Mapping[str, Any]) -> Any:
    left, right = _value(node.left, values), _value(node.right, values)
    # Texts and lists are refused: their repetition and formatting would be a way to use up all memory.
    if not all(isinstance(side, (int, float)) for side in (left, right)):
        raise TypeError("arithmetic needs numbers")
    return _ARITHMETIC[type(node.op)](left, right)


def _compared(node: ast.Compare, values: Mapping[str, Any]) -> bool:
    left = _value(node.left, values)
    for sign, part in zip(node.ops, node.comparators, strict=True):
        right = _value(part, values)
        if not _COMPARISONS[type(sign)](left, right):
            return False
        left = right
    return True


def _key(node: ast.AST) -> str | None:
    """Return ``a/b`` for names divided by names: how a record's key reads to the parser."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Name):
        left = _key(node.left)
        return None if left is None else f"{left}/{node.right.id}"
    return None
