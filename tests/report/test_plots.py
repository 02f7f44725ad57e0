"""Drawings take their colours from the page, keep text as text, and leave matplotlib as it was."""

import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from trainbox.report import plots

X = np.linspace(-1, 1, 50)


def drawings() -> dict[str, plots.Drawing]:
    return {
        "lines": plots.lines([plots.Line("first <&>", X, X**2, 1), plots.Line("second", X, X, 2)], "x", "y"),
        "one point": plots.lines([plots.Line("only", X[:1], X[:1], 1)], "epoch", "loss", counted=True, marked_x=1.0),
        "bars": plots.bars(np.arange(6.0), np.arange(5), "angle"),
        "cloud": plots.cloud(X, X, "driver", "pilot", (-1, 1)),
    }


@pytest.mark.parametrize("name", ["lines", "one point", "bars", "cloud"])
def test_drawing_is_svg_in_the_colours_of_the_page(name: str) -> None:
    svg = drawings()[name].svg
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert "width" not in root.attrib, "its size is the page's business"
    assert set(re.findall(r"(?:fill|stroke): (#[0-9a-f]+)", svg)) <= {"#ffffff"}
    assert "var(--soft)" in svg
    assert "<style" not in svg, "a style inside a drawing would reach the whole page"


def test_labels_are_text_in_the_type_of_the_page() -> None:
    svg = drawings()["lines"].svg
    texts = ["".join(element.itertext()) for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert {"first <&>", "second", "x", "y"} <= set(texts)
    assert "DejaVu" not in svg


def test_same_data_gives_the_same_drawing_and_its_own_ids() -> None:
    first, again = drawings()["lines"].svg, drawings()["lines"].svg
    assert first == again
    referred = set(re.findall(r"url\(#([\w-]+)\)|href=\"#([\w-]+)\"", first))
    ids = set(re.findall(r' id="([\w-]+)"', first))
    assert {one or other for one, other in referred} == ids


def test_values_that_are_not_finite_break_the_line_only() -> None:
    holes = np.where(np.arange(50) % 7 == 0, np.nan, X)
    assert "NaN" not in plots.lines([plots.Line("loss", X, holes, 1)], "x", "y").svg


def test_cloud_lies_where_the_points_are() -> None:
    """A point beyond the bounds is drawn at the edge rather than dropped."""
    inside = plots.cloud(np.zeros(3), np.zeros(3), "x", "y", (-1, 1)).svg
    beyond = plots.cloud(np.zeros(3), np.full(3, 9.0), "x", "y", (-1, 1)).svg
    assert inside != beyond
    assert "base64" in beyond


def test_matplotlib_is_left_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    drawings()
    assert dict(matplotlib.rcParams) == before
