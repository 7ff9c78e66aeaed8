"""The style of all figures, and how they are saved. Equal figures produce identical bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 7.0
"""Widths in inches: one column of a two-column paper, and the full text width."""
POINTS = 72
"""Points per inch; SVG sizes are in points."""
NOTHING = "nothing-to-draw"
"""SVG id of a figure that only says why there is nothing to draw."""

FORMATS = (".pdf", ".svg", ".png")

PAPER, INK, MUTED, GRID = "#ffffff", "#1c1f23", "#5b626a", "#e3e6e9"
BASELINE = "#6b7178"
HUES = ("#0072b2", "#d55e00", "#009e73", "#b5598f", "#c98a00", "#3a9bd6")
"""Adapted from Okabe and Ito's palette, which is distinguishable with any kind of colour vision."""
RAMP = ("#cf9000", "#b8608f", "#2f7fc0")
"""Anchor colours of a scale for ordered values."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("", (4, 1.5), (1, 1), (4, 1, 1, 1), (2, 1))
SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    # Fixed: otherwise matplotlib measures all ticks at every draw to keep titles clear of ticks at the top.
    "axes.titley": 1.0,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "lines.markeredgewidth": 0,
    "grid.linewidth": 0.5,
    "grid.color": GRID,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    # The width of hinted text depends on the resolution: a layout made at 100 dpi cut labels off at 200 dpi.
    "text.hinting": "none",
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "savefig.facecolor": "auto",
    "svg.fonttype": "path",
    "svg.hashsalt": "steadytune",
    "pdf.fonttype": 42,
}
METADATA = {
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the project's style, ignoring the user's matplotlib settings."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        yield


def colour(position: int) -> str:
    """The colour of a suite's n-th method: grey for the baseline."""
    return HUES[(position - 1) % len(HUES)] if position else BASELINE


def looks(names: Sequence[str], *, first: int = 0) -> dict[str, dict[str, Any]]:
    """Seaborn's `palette`, `markers` and `dashes` by name; colour and marker are a unique pair for the first 42 names.

    Args:
        names: in the suite's order.
        first: 1 if there is no baseline, which would be grey.
    """
    places = {name: place for place, name in enumerate(names, first)}
    return {
        "palette": {name: colour(place) for name, place in places.items()},
        "markers": {name: MARKERS[(place - first) % len(MARKERS)] for name, place in places.items()},
        "dashes": {name: DASHES[(place - first) % len(DASHES)] for name, place in places.items()},
    }


def write_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.pdf, .svg and .png (200 dpi); return the three paths."""
    paths = [stem.with_name(stem.name + suffix) for suffix in FORMATS]
    for path in paths:
        with atomic_path(path) as temporary, drawing():
            figure.savefig(temporary, dpi=200, metadata=METADATA[path.suffix])
    return paths


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG, with text as paths so that it looks the same everywhere."""
    buffer = io.BytesIO()
    with drawing():
        figure.savefig(buffer, format="svg", metadata=METADATA[".svg"])
    return buffer.getvalue()
