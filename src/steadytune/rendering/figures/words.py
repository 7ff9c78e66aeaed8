"""The words around a panel: its title on the left above it, a note on the right, and the names of what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steadytune.rendering import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALLEST = 5
"""Of a title, in points."""
SHORTEST, LONGEST = 7, 36
"""A title's line, and the name of a row or in a legend, in letters."""


def note(axes: Axes, text: str) -> Any:
    """A small text above the panel, on the right."""
    return axes.set_title(text, loc="right", fontsize=6, fontweight="normal", color=style.MUTED)


def fit_titles(figure: Figure, *, laid_out: bool) -> None:
    """Make a title smaller that reaches beyond its panel, or into the panel's note; what no size fits is cut.

    laid_out: whether panels have their places. If not, each has its column's share of the figure: a layout makes room
        for titles, and would leave none for panels.
    """
    for axes in figure.axes:
        if not axes.get_title("left"):
            continue
        title: Any = axes.set_title(axes.get_title("left"), loc="left")
        grid: Any = axes.get_gridspec()
        room = axes.get_window_extent().width if laid_out else figure.bbox.width / grid.ncols - 4 * title.get_fontsize()
        if aside := axes.get_title("right"):
            room -= note(axes, aside).get_window_extent().width + title.get_fontsize()
        width = title.get_window_extent().width
        if width <= room:
            continue
        title.set_fontsize(max(0.99 * title.get_fontsize() * room / width, SMALLEST))
        lines = title.get_text().split("\n")
        length = max(map(len, lines))
        while title.get_window_extent().width > room and length > SHORTEST:
            length -= 1
            title.set_text("\n".join(shortened(line, length) for line in lines))


def shorten_names(figure: Figure) -> None:
    """Cut long names of rows and in legends, which would leave no room for panels; tables have them in full."""
    for axes in figure.axes:
        names = [label.get_text() for label in axes.get_yticklabels()]
        if max(map(len, names), default=0) > LONGEST:
            axes.set_yticks(axes.get_yticks(), [shortened(name, LONGEST) for name in names])
    for legend in (*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))):
        for text in legend.get_texts():
            text.set_text(shortened(text.get_text(), LONGEST))


def shortened(text: str, length: int) -> str:
    """The text, its middle left out if it is longer than `length`: both ends of a name tell it from others."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[-tail:]}"
