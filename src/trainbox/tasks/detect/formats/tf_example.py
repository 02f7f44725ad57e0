"""``tf.train.Example`` without TensorFlow: its three messages, declared here for protobuf.

Field numbers are those of TensorFlow's ``example.proto`` and ``feature.proto``, so the bytes are the same on the wire.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

Values = Sequence[bytes] | Sequence[float] | Sequence[int]
_PACKAGE = "trainbox.tfexample"


class BrokenExample(Exception):
    """A record that is not a ``tf.train.Example``, or lacks what is needed. ``reason`` is a short stable phrase."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode_example(payload: bytes) -> dict[str, Values]:
    """Return each feature's values by its name: bytes, floats or ints; raise BrokenExample."""
    example = _message("Example")()
    try:
        example.ParseFromString(payload)
    except message.DecodeError:
        raise BrokenExample("record is not a tf.train.Example") from None
    features: dict[str, Values] = {}
    for entry in example.features.feature:
        kind = entry.value.WhichOneof("kind")
        features[entry.key] = tuple(getattr(entry.value, kind).value) if kind else ()
    return features


def encode_example(features: Mapping[str, Values]) -> bytes:
    """Return a serialised Example, features sorted by name so that the same input gives the same bytes.

    The type of a feature's first value decides its list. A feature without values is left out: TensorFlow refuses an
    empty list of another type than it was told to expect, and takes a missing one for an empty one.
    """
    example = _message("Example")()
    for name, values in sorted(features.items()):
        if values:
            entry = example.features.feature.add(key=name)
            getattr(entry.value, _list_kind(values[0])).value.extend(values)
    return bytes(example.SerializeToString(deterministic=True))


def texts(features: Mapping[str, Values], name: str) -> tuple[str, ...]:
    """Return a feature of texts; raise BrokenExample where it holds numbers."""
    values = features.get(name, ())
    if not all(isinstance(value, bytes) for value in values):
        raise BrokenExample(f"record has '{name}' of the wrong type")
    return tuple(value.decode("utf-8", "backslashreplace") for value in values)  # type: ignore[union-attr]


def numbers(features: Mapping[str, Values], name: str) -> tuple[float, ...]:
    """Return a feature of numbers; raise BrokenExample where it holds bytes."""
    values = features.get(name, ())
    if any(isinstance(value, bytes) for value in values):
        raise BrokenExample(f"record has '{name}' of the wrong type")
    return tuple(values)  # type: ignore[arg-type]


def integers(features: Mapping[str, Values], name: str) -> tuple[int, ...]:
    """Return a feature of whole numbers; raise BrokenExample where it holds anything else."""
    values = features.get(name, ())
    if not all(isinstance(value, int) for value in values):
        raise BrokenExample(f"record has '{name}' of the wrong type")
    return tuple(values)  # type: ignore[arg-type]


def _list_kind(first: bytes | float) -> str:
    return "bytes_list" if isinstance(first, bytes) else "int64_list" if isinstance(first, int) else "float_list"


@cache
def _message(name: str) -> Any:
    """Return a message class of a pool of our own, so that TensorFlow in the same process is not in the way."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_declaration())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def _declaration() -> descriptor_pb2.FileDescriptorProto:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="trainbox/tfexample.proto", package=_PACKAGE, syntax="proto2")
    lists = (("BytesList", kinds.TYPE_BYTES), ("FloatList", kinds.TYPE_FLOAT), ("Int64List", kinds.TYPE_INT64))
    for name, kind in lists:
        values = file.message_type.add(name=name).field.add(name="value", number=1, type=kind, label=3)
        values.options.packed = kind != kinds.TYPE_BYTES
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (field, (name, _)) in enumerate(zip(("bytes_list", "float_list", "int64_list"), lists, strict=True), 1):
        _nested(feature, field, number, name).oneof_index = 0
    # A map is the same on the wire as a repeated message of key and value, which needs no generated code.
    entry = file.message_type.add(name="FeatureEntry")
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=1)
    _nested(entry, "value", 2, "Feature")
    _nested(file.message_type.add(name="Features"), "feature", 1, "FeatureEntry").label = kinds.LABEL_REPEATED
    _nested(file.message_type.add(name="Example"), "features", 1, "Features")
    return file


def _nested(owner: Any, name: str, number: int, kind: str) -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    return owner.field.add(
        name=name, number=number, type=field.TYPE_MESSAGE, label=field.LABEL_OPTIONAL, type_name=f".{_PACKAGE}.{kind}"
    )
