"""How every figure looks, on a light and on a dark page, and how it is written: equal figures give equal bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 7.0
"""Widths in inches: one column of a two-column paper, and the whole text."""

FORMATS = (".pdf", ".svg", ".png")


@dataclass(frozen=True)
class Theme:
    """The colours of one kind of page."""

    ink: str
    muted: str
    grid: str
    paper: str
    background: str
    methods: tuple[str, ...]
    """In the order of a suite's methods: the first one, the baseline, is grey; the rest after Okabe and Ito."""
    ramp: tuple[float, float]
    """The part of viridis, for tasks, that stands out from the page."""


LIGHT = Theme(
    ink="#1c1f23",
    muted="#5b626a",
    grid="#e3e6e9",
    paper="#ffffff",
    background="#ffffff",
    methods=("#6b7178", "#0072b2", "#d55e00", "#009e73", "#b5598f", "#c98a00", "#3a9bd6", "#7a1f5c"),
    ramp=(0.0, 0.7),
)
DARK = Theme(
    ink="#e8eaed",
    muted="#a6adb5",
    grid="#33383e",
    paper="#16191d",
    background="none",
    methods=("#b4bac1", "#5aaee8", "#ff8d54", "#3ecba4", "#e6a3c9", "#f0bd4e", "#a5d8f6", "#d07ab0"),
    ramp=(0.45, 1.0),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
DASHES = ("-", "--", "-.", ":")

_theme: ContextVar[Theme] = ContextVar("theme", default=LIGHT)


def theme() -> Theme:
    """The theme that is being drawn in."""
    return _theme.get()


@contextmanager
def drawing(page: Theme = LIGHT) -> Iterator[None]:
    """Draw in the house style on a page of this theme, whatever the user's own matplotlib settings."""
    import matplotlib as mpl

    settings: Any = {
        "font.family": "DejaVu Sans",
        "font.size": 7.5,
        "axes.titlesize": 8,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 7.5,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.axisbelow": True,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "lines.linewidth": 1.3,
        "grid.linewidth": 0.5,
        "grid.color": page.grid,
        "text.color": page.ink,
        "axes.labelcolor": page.ink,
        "axes.titlecolor": page.ink,
        "axes.edgecolor": page.muted,
        "xtick.color": page.muted,
        "ytick.color": page.muted,
        "xtick.labelcolor": page.ink,
        "ytick.labelcolor": page.ink,
        "figure.facecolor": page.background,
        "axes.facecolor": "none",
        "savefig.facecolor": "auto",
        "svg.fonttype": "path",
        "svg.hashsalt": "steadytune",
        "pdf.fonttype": 42,
    }
    token = _theme.set(page)
    try:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(settings)
            yield
    finally:
        _theme.reset(token)


def canvas(panels: int, *, columns: int, height: float, **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure of `panels` axes, at most `columns` a row, each `height` inches; one alone is a column wide."""
    from matplotlib.figure import Figure

    rows = -(-panels // columns)
    columns = -(-panels // rows)
    figure = Figure(figsize=(COLUMN if columns == 1 else PAGE, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for axes in grid[panels:]:
        axes.remove()
    return figure, grid[:panels]


def write_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.pdf, .svg and .png (200 dpi); returns the three paths."""
    blank = {
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        ".svg": {"Date": None, "Creator": None},
        ".png": {"Software": None},
    }
    paths = []
    with drawing():
        for suffix in FORMATS:
            path = stem.with_name(stem.name + suffix)
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=200, metadata=blank[suffix])
            paths.append(path)
    return paths


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG, its text as paths, so that it looks the same wherever it is opened."""
    buffer = io.BytesIO()
    with drawing():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def method_colour(position: int) -> str:
    """The colour of a suite's n-th method, in every figure."""
    colours = theme().methods
    return colours[position % len(colours)]


def method_marker(position: int) -> str:
    """The marker of a suite's n-th method: it changes only when the colours repeat."""
    return MARKERS[position // len(theme().methods) % len(MARKERS)]


def method_dashes(position: int) -> str:
    """The line of a suite's n-th method: it changes only when the colours repeat."""
    return DASHES[position // len(theme().methods) % len(DASHES)]


def task_colour(position: int, tasks: int) -> Any:
    """The colour of the n-th of so many tasks: a ramp, so that no task passes for a method."""
    import matplotlib as mpl

    low, high = theme().ramp
    return mpl.colormaps["viridis"](low + (high - low) * (position / max(tasks - 1, 1)))


def spread_out(count: int) -> list[float]:
    """`count` numbers in (-0.5, 0.5), evenly spread however many there are (van der Corput, base 2), first one 0."""
    numbers = []
    for index in range(1, count + 1):
        value, denominator = 0.0, 2.0
        while index:
            value += (index % 2) / denominator
            index, denominator = index // 2, denominator * 2
        numbers.append(value - 0.5)
    return numbers
