"""Drawings for a page: SVG whose colours follow the page's light or dark mode, and whose text is text."""

import hashlib
import io
import re
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NARROW, _WIDE = (460, 290), (960, 280)
_CLOUD_CELLS = 44

# Drawn in these, which stand for the page's own colours until ``_themed`` puts those in.
_INK, _SOFT, _RULE, _ONE, _TWO = "#010203", "#010204", "#010205", "#010206", "#010207"
_THEME = {
    _INK: "var(--ink)",
    _SOFT: "var(--soft)",
    _RULE: "var(--rule)",
    _ONE: "var(--series-1)",
    _TWO: "var(--series-2)",
}
_CLOUD_COLOUR = (0.36, 0.5, 0.95)
"""Of a cloud's pixels: they are a picture, so one colour has to do on light and dark."""

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "trainbox",
    "font.size": 9.0,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.6,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _SOFT,
    "ytick.labelcolor": _SOFT,
    "text.color": _INK,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


@dataclass(frozen=True)
class Drawing:
    """SVG markup made here, safe to put into a page as it is."""

    svg: str

    def __html__(self) -> str:
        """Return the markup: Jinja2 asks for it instead of escaping."""
        return self.svg


@dataclass(frozen=True)
class Line:
    """One line of a plot: y against x, both (n,); values that are not finite break it."""

    name: str
    x: np.ndarray
    y: np.ndarray
    series: Literal[1, 2]
    dashed: bool = False


def lines(
    plotted: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    wide: bool = False,
    counted: bool = False,
    marked_x: float | None = None,
    shares: bool = False,
) -> Drawing:
    """Draw lines over one another.

    ``marked_x`` gets an upright rule; ``counted`` x has whole numbers only; ``shares`` are of 0 to 1 both ways.
    """
    from matplotlib.ticker import MaxNLocator

    with _figure(wide) as (figure, axes):
        for line in plotted:
            colour = _ONE if line.series == 1 else _TWO
            style, marker = ("--" if line.dashed else "-"), ("o" if len(line.x) == 1 else "")
            axes.plot(line.x, line.y, color=colour, linestyle=style, marker=marker, label=line.name)
        if marked_x is not None:
            axes.axvline(marked_x, color=_SOFT, linewidth=1, linestyle=":")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.margins(x=0.01)
        if shares:
            axes.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
        if counted:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(plotted) > 1:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(plotted), borderaxespad=0.1, fontsize=9)
        return _drawing(figure, f"{y_label} against {x_label}: {', '.join(line.name for line in plotted)}")


def bars(edges: np.ndarray, counts: np.ndarray, x_label: str, y_label: str = "frames") -> Drawing:
    """Draw a histogram: ``counts`` (n,) between ``edges`` (n + 1,)."""
    with _figure() as (figure, axes):
        axes.bar(edges[:-1], counts, width=np.diff(edges) * 0.92, align="edge", color=_ONE)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        return _drawing(figure, f"Histogram of {x_label}")


def cloud(x: np.ndarray, y: np.ndarray, x_label: str, y_label: str, bounds: tuple[float, float]) -> Drawing:
    """Draw how densely the points (x, y), both (n,), lie, with the line on which both are the same."""
    with _figure() as (figure, axes):
        low, high = bounds
        inside = [np.clip(values, low, high) for values in (x, y)]
        counts = np.histogram2d(inside[1], inside[0], bins=_CLOUD_CELLS, range=[bounds, bounds])[0]
        pixels = np.ones((*counts.shape, 4))
        pixels[..., :3] = _CLOUD_COLOUR
        pixels[..., 3] = np.sqrt(counts / max(counts.max(), 1))
        axes.plot(bounds, bounds, color=_SOFT, linewidth=1, linestyle="--")
        axes.imshow(pixels, origin="lower", extent=(low, high, low, high), aspect="auto", zorder=2)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        return _drawing(figure, f"{y_label} against {x_label}, {len(x)} points")


@contextmanager
def _figure(wide: bool = False) -> "Iterator[tuple[Figure, Axes]]":
    """Give a figure of its own: no part of matplotlib's global state is left changed, and no window system is asked."""
    import matplotlib
    from matplotlib.figure import Figure

    width, height = _WIDE if wide else _NARROW
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width / 96, height / 96), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        yield figure, axes


def _drawing(figure: "Figure", description: str) -> Drawing:
    """Turn a finished figure into SVG in the page's colours and type, described for those who cannot see it."""
    from xml.sax.saxutils import quoteattr

    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for stand_in, colour in _THEME.items():
        svg = svg.replace(stand_in, colour)
    svg = re.sub(r"font-family: [^;]+", "font-family: var(--sans)", svg)
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", svg, count=1)
    svg = _with_own_names(svg)
    head = f'<svg role="img" aria-label={quoteattr(description)}'
    return Drawing(svg.replace("<svg", head, 1))


def _with_own_names(svg: str) -> str:
    """Keep only the ids that are referred to, under names that no other drawing of the page has."""
    own = hashlib.blake2b(svg.encode(), digest_size=4).hexdigest()
    used = set(re.findall(r"#([\w.-]+)", svg))

    def renamed(found: re.Match[str]) -> str:
        return f' id="d{own}-{found[1]}"' if found[1] in used else ""

    svg = re.sub(r' id="([\w.-]+)"', renamed, svg)
    return re.sub(r'(url\(#|href="#)([\w.-]+)', rf"\1d{own}-\2", svg)
