"""How another form of a method differs from its plain one: its released code, or a variant that the suite names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from steadytune.claims.judged import load_verdicts
from steadytune.rendering import style
from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import COMPARED, figure
from steadytune.rendering.figures.words import note
from steadytune.rendering.table import number
from steadytune.rendering.verdicts import not_compared
from steadytune.results.model import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@figure(
    "forms",
    "Another form of a method minus its plain form, in points, paired by seed, with 95 % intervals over seeds (not "
    "corrected for their number; long ones are clipped). The plain form of r3f-released is r3f, that of "
    "freelb~steps=3 freelb. On the right: the share of answers that the two forms give differently at one seed.",
    every_variant=True,
    encoder=COMPARED,
)
def forms(results: Results) -> Figure:
    """A panel for each task, a row for each pair of forms."""
    start = f"{results.primary}/"
    forms = load_verdicts(results.folder).forms
    judged = [found for found in forms if found.id.startswith(start) and found.on_tasks()]
    names = [found.id.removeprefix(start) for found in judged]
    rows = [
        {"task": detail.stratum.partition(", ")[2], "row": place, "value": detail.difference.effect,
         "low": detail.difference.interval[0], "high": detail.difference.interval[1], "changed": detail.changed}
        for place, found in enumerate(judged)
        for detail in found.on_tasks()
    ]  # fmt: skip
    nothing = not_compared(results).replace("`", "") or "no method has two forms here"
    plot, parts = panels.facets(rows, "task", nothing, height=0.2 * len(names) + 0.75, sharey=True)
    for axes, _, _, frame in parts:
        # With few seeds, the widest interval would make all others too small to see.
        reach = 2.5 * max(frame["value"].abs().max(), 0.4)
        axes.axvline(0, color=style.MUTED, linewidth=0.8)
        for row in frame.itertuples():
            ends = [max(row.low, -2 * reach), min(row.high, 2 * reach)]
            axes.plot(ends, [row.row] * 2, color=style.MUTED, linewidth=1, zorder=1)
            axes.plot(row.value, row.row, "o", color=style.INK, markersize=4)
            share = "" if row.changed is None or math.isnan(row.changed) else f"{number(100 * row.changed)} %"
            axes.text(1.01, row.row, share, fontsize=6, color=style.MUTED, va="center",
                      transform=axes.get_yaxis_transform())  # fmt: skip
        axes.set(ylabel="", xlabel="points", ylim=(len(names) - 0.5, -0.5), xlim=(-reach, reach))
        axes.set(yticks=range(len(names)), yticklabels=names)
        note(axes, "answers that differ")
        axes.tick_params(axis="y", length=0)
        axes.grid(True, axis="x")
    return plot
