"""``label_map.pbtxt``: the names of the classes, numbered from 1; 0 is the background."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainbox.errors import DataError
from trainbox.tasks.detect.formats.text_proto import parse_message


@dataclass(frozen=True)
class _Item:
    name: str | None = None
    id: int | None = None
    display_name: str | None = None


@dataclass(frozen=True)
class _Items:
    item: tuple[_Item, ...] = ()


@dataclass(frozen=True)
class LabelMap:
    """Class names by their number, as they are shown. Numbers start at 1 and may have gaps, as COCO's do.

    ``numbers`` finds a class by its ``name`` or its ``display_name``: data may use either.
    """

    where: str
    names: dict[int, str]
    numbers: dict[str, int]

    def labels(self) -> tuple[str, ...]:
        """Return the names in order of their numbers, class 0 being number 1; raise DataError where one is missing."""
        missing = next((number for number in range(1, max(self.names) + 1) if number not in self.names), None)
        if missing is not None:
            raise DataError(
                f"Label map '{self.where}' has a gap. Received: {len(self.names)} items up to id {max(self.names)}, "
                f"and none with id {missing}. Number the items from 1 without gaps."
            )
        return tuple(self.names[number] for number in sorted(self.names))


def read_label_map(content: bytes, where: str) -> LabelMap:
    """Parse a label map; raise DataError for id 0, an id or a name that occurs twice, or no items."""
    items = parse_message(content, _Items, where)[0].item
    if not items:
        raise DataError(f"Label map '{where}' has no items. Write: item {{ id: 1 name: 'dog' }}.")
    read = LabelMap(where, {}, {})
    for item in items:
        _add(read, item)
    return read


def _add(read: LabelMap, item: _Item) -> None:
    number, known_as = item.id, {name: None for name in (item.display_name, item.name) if name}
    shown = next(iter(known_as), None)
    if number is None or shown is None:
        raise DataError(
            f"Label map '{read.where}' has an item without id or name. Received: id {number}, name {shown}."
        )
    if number < 1:
        raise DataError(
            f"Label map '{read.where}' gives id {number} to '{shown}'. Ids start at 1: 0 is the background."
        )
    if number in read.names:
        raise DataError(f"Label map '{read.where}' gives id {number} twice, to '{read.names[number]}' and '{shown}'.")
    for name in known_as:
        if name in read.numbers:
            raise DataError(f"Label map '{read.where}' names the class '{name}' twice. Each name may have one id.")
    read.names[number] = shown
    read.numbers.update(dict.fromkeys(known_as, number))


def write_label_map(labels: Sequence[str]) -> str:
    """Return the text of a label map that numbers ``labels`` from 1."""
    return (
        "\n".join(f'item {{\n  id: {number}\n  name: "{_quoted(name)}"\n}}' for number, name in enumerate(labels, 1))
        + "\n"
    )


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
