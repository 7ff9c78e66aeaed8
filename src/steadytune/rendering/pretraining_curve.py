"""The figure of a pretraining's loss curve."""

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.errors import SteadyTuneError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOSSES = {"masked_loss": "masked tokens, in training", "held_out_loss": "masked tokens, held out"}
RIGHT = {"held_out_accuracy": "masked tokens", "held_out_pair_accuracy": "pairs"}


def draw_curve(curve: Path, stem: Path) -> list[Path]:
    """Write `stem`.pdf, .svg and .png of the `curve.csv` that a pretraining left.

    Raises:
        SteadyTuneError: no such file, or one without a curve.
    """
    from steadytune.rendering.style import drawing, write_figure

    # It tells at INFO how it cuts every font down.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    columns = read_curve(curve)
    with drawing():
        figure = plot_curve(columns)
    return write_figure(figure, stem)


def read_curve(path: Path) -> dict[str, list[float]]:
    """The columns of a curve by name.

    Raises:
        SteadyTuneError: no such file, or one without a curve.
    """
    if not path.is_file():
        raise SteadyTuneError(f"{path}: no such file")
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"tokens", *LOSSES, *RIGHT} <= rows[0].keys():
        raise SteadyTuneError(f"{path}: expected the curve of a pretraining on text, with the columns tokens, "
                              f"{', '.join([*LOSSES, *RIGHT])}")  # fmt: skip
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def plot_curve(columns: Mapping[str, Sequence[float]]) -> "Figure":
    """Losses on the left, what is right of held-out text on the right, both by tokens read."""
    from steadytune.rendering.style import canvas, method_colour

    tokens = [count / 1e6 for count in columns["tokens"]]
    figure, (left, right) = canvas(2, columns=2, height=2.2)
    for position, (name, label) in enumerate(LOSSES.items()):
        left.plot(tokens, columns[name], color=method_colour(position), label=label)
    for position, (name, label) in enumerate(RIGHT.items()):
        right.plot(tokens, [100 * share for share in columns[name]], color=method_colour(position + 1), label=label)
    left.set(title="Cross-entropy", ylabel="nats a token")
    right.set(title="Right, held out", ylabel="%", ylim=(0, 100))
    for axes in (left, right):
        axes.set_xlabel("tokens read (millions)")
        axes.set_xlim(left=0)
        axes.grid(axis="y")
        axes.legend()
    return figure
