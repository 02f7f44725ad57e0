"""A report as one HTML page that needs nothing beside itself: what it is made of, and how it becomes text.

Every text is escaped; only drawings made by ``trainbox.report.plots`` are taken as they are. The page has no scripts,
and its own policy forbids any and every request.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from jinja2 import Template

    from trainbox.report.plots import Drawing

Tone = Literal["", "good", "warning", "bad"]


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    kind: ClassVar[str] = "prose"
    text: str


@dataclass(frozen=True)
class Notice:
    """Lines in a box that stands out: what is good, to be known, or wrong."""

    kind: ClassVar[str] = "notice"
    lines: Sequence[str]
    tone: Tone = ""


@dataclass(frozen=True)
class Tile:
    """One large number, with what it is and how to take it."""

    label: str
    value: str
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Tiles:
    """Numbers side by side."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, a bar behind it (0..1) and a hint that a pointer shows.

    ``shade`` (0..1) colours the whole cell instead, as of a matrix: in the colour of its tone, or else of series 1.
    """

    text: str
    bar: float | None = None
    tone: Tone = ""
    hint: str = ""
    shade: float | None = None


@dataclass(frozen=True)
class Table:
    """Rows below titles. Columns named in ``numeric`` (from 0) are set to the right."""

    kind: ClassVar[str] = "table"
    titles: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    numeric: Sequence[int] = ()
    caption: str = ""

    @property
    def cells(self) -> list[list[Cell]]:
        """The rows, every cell a ``Cell``."""
        return [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows]


@dataclass(frozen=True)
class Chart:
    """A drawing with the sentence that says what to see in it. A ``wide`` one takes the whole width."""

    kind: ClassVar[str] = "chart"
    drawing: "Drawing"
    title: str
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Charts:
    """Charts side by side where there is room."""

    kind: ClassVar[str] = "charts"
    charts: Sequence[Chart]


@dataclass(frozen=True)
class Stroke:
    """A line over a picture, in its pixels, in the colour of series 1 or 2."""

    from_x: float
    from_y: float
    to_x: float
    to_y: float
    series: Literal[1, 2]


@dataclass(frozen=True)
class Box:
    """A box over a picture, in its pixels, in the colour of series 1 or 2, with a word on it."""

    left: float
    top: float
    right: float
    bottom: float
    series: Literal[1, 2]
    label: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture (the bytes of a JPEG file) of so many pixels, with strokes and boxes over it."""

    jpeg: bytes
    width: int
    height: int
    caption: str
    strokes: Sequence[Stroke] = ()
    boxes: Sequence[Box] = ()

    @property
    def address(self) -> str:
        """The picture as a data address."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")


@dataclass(frozen=True)
class Gallery:
    """Pictures in rows, ``large`` ones fewer in a row. ``legend`` names what series 1 and 2 over them are."""

    kind: ClassVar[str] = "gallery"
    title: str
    pictures: Sequence[Picture]
    legend: Sequence[str] = ()
    large: bool = False


@dataclass(frozen=True)
class Commands:
    """Lines to be typed, and what they do."""

    kind: ClassVar[str] = "commands"
    title: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Details:
    """Blocks folded away behind their title."""

    kind: ClassVar[str] = "details"
    title: str
    blocks: Sequence["Block"]


Block = Prose | Notice | Tiles | Table | Charts | Gallery | Commands | Details


@dataclass(frozen=True)
class Section:
    """A part of the page; its title stands in the list of contents."""

    title: str
    blocks: Sequence[Block]
    contents: str = ""
    """The shorter title for the list of contents; ``title`` where empty."""


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    lead: Sequence[Block] = field(default=())
    footer: str = ""


def render(page: Page) -> str:
    """Return the page as HTML."""
    return _template().render(page=page)


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent
    loader = FileSystemLoader(folder)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2")
