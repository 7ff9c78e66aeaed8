"""The text around a panel: its title above on the left, a note on the right, and the names of rows and methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steadytune.rendering import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALLEST = 5
"""Smallest font size of a title, in points."""
SHORTEST, LONGEST = 7, 36
"""In letters: a line of a title is not cut below the first; names of rows and in legends are cut to the second."""


def note(axes: Axes, text: str) -> Any:
    """Write a small text above the panel, on the right."""
    return axes.set_title(text, loc="right", fontsize=6, fontweight="normal", color=style.MUTED)


def fit_titles(figure: Figure, *, laid_out: bool) -> None:
    """Shrink titles that reach beyond their panel or into its note; cut those too long even at the smallest size.

    laid_out: whether panels have their final positions. If not, a title gets its column's share of the figure, because
        the layout makes room for long titles and would leave none for the panels.
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
    """Shorten long names of rows and in legends, which would leave no room for panels; tables have the full names."""
    for axes in figure.axes:
        names = [label.get_text() for label in axes.get_yticklabels()]
        if max(map(len, names), default=0) > LONGEST:
            axes.set_yticks(axes.get_yticks(), [shortened(name, LONGEST) for name in names])
    for legend in (*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))):
        for text in legend.get_texts():
            text.set_text(shortened(text.get_text(), LONGEST))


def with_remark(name: str, remark: str) -> str:
    """A name in a legend with a remark, such as ` (2/3 curves)`; a long name is cut, never the remark."""
    return shortened(name, LONGEST - len(remark)) + remark


def shortened(text: str, length: int) -> str:
    """The text, without its middle if it is longer than `length`: names differ from each other at both ends."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[-tail:]}"
