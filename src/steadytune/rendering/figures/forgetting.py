"""Scores against what the encoder forgets of its pretraining."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import INSIDE, figure
from steadytune.results.inside import BEFORE, Inside, load_inside
from steadytune.results.model import Results
from steadytune.results.scores import metric_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTHING = "no masked-word loss was measured in this suite"


@figure(
    "score-forgetting",
    "Score against the growth of the masked-word loss by fine-tuning, a point for each run: the further to the right, "
    "the more the encoder has forgotten of its pretraining.",
    encoder=INSIDE,
)
def score_forgetting(results: Results) -> Figure:
    """A panel for each task, a point for each run."""
    import seaborn as sns

    inside = load_inside(results)
    plot, parts = panels.facets(_runs(results, inside) if inside else [], "task", NOTHING, height=2.1)
    look = panels.looks(results)
    for axes, task, _, frame in parts:
        sns.scatterplot(frame, x="growth", y="points", hue="method", style="method", ax=axes, legend=False, s=22,
                        palette=look["palette"], markers=look["markers"])  # fmt: skip
        axes.set(xlabel="growth of masked-word loss (nats)", ylabel=f"{metric_name(results.metric(task))} (points)")
        axes.grid(True)
    panels.legend(plot, panels.handles(look, [name for part in parts for name in part.frame["method"]], lines=False))
    return plot


def _runs(results: Results, inside: Inside) -> panels.Rows:
    """Growth of the loss and score of every run that has both."""
    rows: panels.Rows = []
    for task in inside.tasks:
        start = inside.values("masked_word_loss", BEFORE, task)
        for method in inside.methods if start else ():
            score = results.score(inside.encoder, method, task)
            for row in inside.rows.get(("masked_word_loss", method, task), ()) if score else ():
                if score and row["seed"] in score.points:
                    grown, points = row["value"] - start[0], score.points[row["seed"]]
                    rows.append({"task": task, "method": method, "growth": grown, "points": points})
    return rows
