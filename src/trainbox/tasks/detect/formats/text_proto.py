"""Protobuf's text format read into dataclasses, which are the schema: fields by name, with types and defaults.

A field's type may be bool, int, float, str, a ``Literal`` of words (an enum), another such dataclass (``| None``
where it may be absent), or ``tuple[one of these, ...]`` where it repeats. Fields of the text that the dataclasses do
not have are read over and listed.
"""

import dataclasses
import math
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from trainbox.data.text import decode_text
from trainbox.errors import DataError

MAX_BYTES = 4 << 20
MAX_DEPTH = 32
_PACKAGE = "trainbox.text"
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    bool: _FIELD.TYPE_BOOL,
    int: _FIELD.TYPE_INT64,
    # Double, so that .00004 stays .00004 in what we write down later.
    float: _FIELD.TYPE_DOUBLE,
    str: _FIELD.TYPE_STRING,
}
_OPENING, _CLOSING = ("{", "<"), ("}", ">")

Kind = TypeVar("Kind")


def parse_message(content: bytes, kind: type[Kind], where: str) -> tuple[Kind, tuple[str, ...]]:
    """Return the message and the dotted names of the fields that were read over; raise DataError.

    ``where`` names the file for the error.
    """
    if len(content) > MAX_BYTES:
        raise DataError(f"'{where}' is too large for a text message: {len(content)} bytes, at most {MAX_BYTES}.")
    text = decode_text(content)
    message = _message_class(cast(type, kind))()
    try:
        unused = _Scan(text, where).unused(message.DESCRIPTOR)
        text_format.Parse(text, message, allow_unknown_field=True)
    except text_format.ParseError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"'{where}' cannot be read as a protobuf text message (line:column : why): {reason}") from None
    return cast(Kind, _to_dataclass(message, kind, where)), unused


class _Scan:
    """One pass over the tokens: how deep it nests, and which names the schema lacks."""

    def __init__(self, text: str, where: str) -> None:
        self._tokens = text_format.Tokenizer(text.split("\n"))
        self._where = where
        self._path: list[tuple[str, Any]] = []
        self._unused: dict[str, None] = {}

    def unused(self, descriptor: Any) -> tuple[str, ...]:
        """Return the names that ``descriptor`` has no field for, each once, in the order of the text."""
        self._path = [("", descriptor)]
        name = ""
        while not self._tokens.AtEnd():
            token = self._tokens.token
            self._tokens.NextToken()
            if token in _OPENING:
                self._enter(name)
            elif token in _CLOSING:
                self._path = self._path[:-1] or self._path
                name = ""
            elif self._is_field_name(token):
                name = token
                self._note(name)
        return tuple(self._unused)

    def _is_field_name(self, token: str) -> bool:
        return (token[0].isalpha() or token[0] == "_") and self._tokens.token in (":", *_OPENING)

    def _enter(self, name: str) -> None:
        here = self._path[-1][1]
        field = here.fields_by_name.get(name) if here is not None else None
        self._path.append((name, field.message_type if field is not None else None))
        if len(self._path) > MAX_DEPTH:
            raise DataError(f"'{self._where}' nests more than {MAX_DEPTH} messages deep. Received: {self._dotted()}.")

    def _note(self, name: str) -> None:
        here = self._path[-1][1]
        if here is not None and name not in here.fields_by_name:
            self._unused[".".join((*(part for part, _ in self._path[1:]), name))] = None

    def _dotted(self) -> str:
        return ".".join(part for part, _ in self._path[1:4]) + "..."


@cache
def _message_class(kind: type) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name=f"{kind.__qualname__}.proto", package=_PACKAGE, syntax="proto2")
    for owner in _dataclasses_below(kind):
        declared = file.message_type.add(name=owner.__name__)
        for number, (name, hint) in enumerate(get_type_hints(owner).items(), 1):
            _declare(file, declared, name, number, hint)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{kind.__name__}"))


def _dataclasses_below(kind: type) -> list[type]:
    found, waiting = [], [kind]
    while waiting:
        owner = waiting.pop()
        if owner in found:
            continue
        found.append(owner)
        items = [_item(hint)[0] for hint in get_type_hints(owner).values()]
        waiting += [item for item in items if isinstance(item, type) and dataclasses.is_dataclass(item)]
    return found


def _declare(file: Any, declared: Any, name: str, number: int, hint: Any) -> None:
    item, repeated = _item(hint)
    field = declared.field.add(
        name=name, number=number, label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    )
    if get_origin(item) is Literal:
        # A scope of its own, since words of two enums in one scope may not be the same.
        scope = file.message_type.add(name=f"{declared.name}_{name}")
        words = scope.enum_type.add(name="Word")
        for value, word in enumerate(get_args(item)):
            words.value.add(name=word, number=value)
        field.type, field.type_name = _FIELD.TYPE_ENUM, f".{_PACKAGE}.{scope.name}.Word"
    elif dataclasses.is_dataclass(item):
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{cast(type, item).__name__}"
    else:
        field.type = _SCALARS[item]


def _item(hint: Any) -> tuple[Any, bool]:
    """Return the type of one value, and whether the field repeats."""
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    if get_origin(hint) in (Union, UnionType):
        return next(arg for arg in get_args(hint) if arg is not NoneType), False
    return hint, False


def _to_dataclass(message: Any, kind: type, where: str) -> Any:
    values = {}
    for name, hint in get_type_hints(kind).items():
        item, repeated = _item(hint)
        if repeated:
            values[name] = tuple(_to_value(value, item, message, name, where) for value in getattr(message, name))
        elif message.HasField(name):
            values[name] = _to_value(getattr(message, name), item, message, name, where)
    return kind(**values)


def _to_value(value: Any, item: Any, message: Any, name: str, where: str) -> Any:
    if dataclasses.is_dataclass(item):
        return _to_dataclass(value, cast(type, item), where)
    if get_origin(item) is Literal:
        return message.DESCRIPTOR.fields_by_name[name].enum_type.values_by_number[value].name
    if item is float and not math.isfinite(value):
        raise DataError(f"'{where}' has a number that is not finite. Received: {name}: {value}.")
    return value
