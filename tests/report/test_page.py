"""A page stands alone, escapes what it is given, and shows every kind of block."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from trainbox.report import plots
from trainbox.report.page import (
    Block,
    Box,
    Cell,
    Chart,
    Charts,
    Commands,
    Details,
    Gallery,
    Notice,
    Page,
    Picture,
    Prose,
    Section,
    Stroke,
    Table,
    Tile,
    Tiles,
    render,
)

EVIL = "<script>alert('x')</script> & \"more\""
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Outline(HTMLParser):
    """Reads a page strictly enough to notice a tag left open, and collects what tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def drawing() -> plots.Drawing:
    numbers = np.arange(5.0)
    return plots.lines([plots.Line("a", numbers, numbers, 1), plots.Line("b", numbers, -numbers, 2)], "x", "y")


def page_of(*blocks: Block, title: str = "Title") -> str:
    return render(Page(title, "Subtitle", [Section("Part", blocks)], footer="Foot"))


def every_block(text: str) -> list[Block]:
    return [
        Prose(text),
        Notice([text], "bad"),
        Tiles([Tile(text, text, text)]),
        Table([text], [[Cell(text, bar=0.5, hint=text)]], caption=text),
        Charts([Chart(drawing(), text, text, wide=True)]),
        Gallery(text, [Picture(b"jpeg", 4, 3, text, [Stroke(0, 0, 1, 1, 2)], [Box(1, 1, 2, 2, 1, text)])], [text]),
        Commands(text, [text]),
        Details(text, [Prose(text)]),
    ]


@pytest.mark.parametrize("block", every_block(EVIL), ids=lambda block: block.kind)
def test_every_kind_of_block_escapes_and_closes_what_it_opens(block: Block) -> None:
    text = page_of(block)
    outline = Outline(text)
    assert outline.open == []
    assert "script" not in outline.seen
    assert "&lt;script&gt;" in text


def test_title_and_contents_are_escaped() -> None:
    text = render(Page(EVIL, EVIL, [Section(EVIL, [], contents=EVIL)], footer=EVIL))
    assert "script" not in Outline(text).seen


def test_page_asks_for_nothing_beside_itself() -> None:
    text = page_of(*every_block("words"))
    assert "default-src 'none'" in text
    addresses = Outline(text).addresses
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_contents_lead_to_every_section() -> None:
    text = render(Page("T", "", [Section("One", []), Section("Two", [], contents="2")]))
    outline = Outline(text)
    assert [address for address in outline.addresses if address.startswith("#part")] == ["#part-1", "#part-2"]
    assert {"part-1", "part-2"} <= set(outline.ids)


def test_ids_of_several_drawings_do_not_collide() -> None:
    numbers = np.arange(5.0)
    other = plots.lines([plots.Line("c", numbers, numbers**2, 1)], "x", "y")
    cloud = plots.cloud(numbers, numbers, "x", "y", (0, 4))
    ids = Outline(page_of(Charts([Chart(each, "") for each in (drawing(), other, cloud)]))).ids
    assert len(ids) == len(set(ids))


def test_page_has_a_light_and_a_dark_mode_and_fits_a_phone() -> None:
    text = page_of()
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport" content="width=device-width' in text


def test_boxes_lie_where_they_are_said_and_their_words_within_the_picture() -> None:
    boxes = [Box(10, 40, 30, 80, 1, "left"), Box(90, 5, 100, 20, 2, "right", dashed=True)]
    text = page_of(Gallery("g", [Picture(b"jpeg", 100, 100, "c", boxes=boxes)], large=True))
    assert '<div class="gallery large">' in text
    assert 'class="over-1" x="10" y="40" width="20" height="40"' in text
    assert 'class="over-2" stroke-dasharray="7 5" x="90" y="5" width="10" height="15"' in text
    assert '<text class="word word-1" x="13" y="35">left</text>' in text
    assert '<text class="word word-2" text-anchor="end" x="97" y="19">right</text>' in text


def test_a_shaded_cell_says_how_much() -> None:
    text = page_of(Table(["t"], [[Cell("7", shade=0.25, tone="bad"), Cell("plain")]]))
    assert '<td class="shade bad" style="--share:25%">' in text
    assert text.count("--share:") == 1
