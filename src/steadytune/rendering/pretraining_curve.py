"""The figure of a pretraining run's loss and accuracy curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune.errors import SteadyTuneError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOSSES = {"masked_loss": "masked tokens, in training", "held_out_loss": "masked tokens, held out"}
RIGHT = {"held_out_accuracy": "masked tokens", "held_out_pair_accuracy": "pairs"}


def draw_curve(curve: Path, stem: Path) -> list[Path]:
    """Draw the `curve.csv` of a pretraining run as `stem`.pdf, .svg and .png.

    Raises:
        SteadyTuneError: the file does not exist or contains no curve.
    """
    from steadytune.rendering.style import drawing, write_figure

    frame = read_curve(curve)
    with drawing():
        figure = plot_curve(frame)
    return write_figure(figure, stem)


def read_curve(path: Path) -> Any:
    """Read a curve as a data frame.

    Raises:
        SteadyTuneError: the file does not exist or contains no curve.
    """
    import pandas as pd

    if not path.is_file():
        raise SteadyTuneError(f"{path}: no such file")
    try:
        frame = pd.read_csv(path)
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame()
    if frame.empty or not {"tokens", *LOSSES, *RIGHT} <= set(frame):
        raise SteadyTuneError(f"{path}: expected the curve of a pretraining on text, with the columns tokens, "
                              f"{', '.join([*LOSSES, *RIGHT])}")  # fmt: skip
    return frame


def plot_curve(frame: Any) -> Figure:
    """Losses on the left and held-out accuracy on the right, by tokens read."""
    import seaborn as sns

    from steadytune.rendering.figures.panels import canvas
    from steadytune.rendering.style import colour

    figure, [[left, right]] = canvas(1, 2, 2.2)
    for axes, columns, scale, first in ((left, LOSSES, 1, 0), (right, RIGHT, 100, 1)):
        axes.set(xlabel="tokens read (millions)", ylabel="nats a token" if axes is left else "%")
        shown = frame[list(columns)].rename(columns=columns).mul(scale).set_index(frame["tokens"] / 1e6)
        colours = [colour(first + at) for at in range(len(columns))]
        sns.lineplot(shown, palette=colours, estimator=None, ax=axes)
        axes.set_xlim(left=0)
        axes.grid(axis="y")
    left.set_title("Cross-entropy")
    right.set(title="Right, held out", ylim=(0, 100))
    return figure
