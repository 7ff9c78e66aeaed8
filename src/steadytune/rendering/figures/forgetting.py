"""What a score costs in what the encoder knew before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import figure
from steadytune.results.inside import BEFORE, inside_encoder, load_inside
from steadytune.results.model import Results
from steadytune.results.scores import metric_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTHING = "no masked-word loss was measured in this suite"


@figure(
    "score-forgetting",
    "Score against the growth of the masked-word loss by fine-tuning, a point for each run: the further to the right, "
    "the more the encoder has forgotten of its pretraining.",
    encoder=inside_encoder,
)
def score_forgetting(results: Results) -> Figure:
    """A panel for each task, a point for each run."""
    import seaborn as sns

    inside = load_inside(results)
    rows: panels.Rows = []
    for task in inside.tasks if inside else ():
        start = inside.values("masked_word_loss", BEFORE, task) if inside else []
        for method in inside.methods if inside and start else ():
            score = results.score(results.primary, method, task)
            for row in inside.rows.get(("masked_word_loss", method, task), ()) if inside and score else ():
                if score and row["seed"] in score.points:
                    grown, points = row["value"] - start[0], score.points[row["seed"]]
                    rows.append({"task": task, "method": method, "growth": grown, "points": points})
    plot, parts = panels.facets(rows, "task", NOTHING, height=2.1)
    look = panels.looks(results)
    for axes, task, _, frame in parts:
        sns.scatterplot(frame, x="growth", y="points", hue="method", style="method", ax=axes, legend=False, s=22,
                        palette=look["palette"], markers=look["markers"])  # fmt: skip
        axes.set(xlabel="growth of masked-word loss (nats)", ylabel=f"{metric_name(results.metric(task))} (points)")
        axes.grid(True)
    panels.legend(plot, panels.handles(look, [row["method"] for row in rows], lines=False))
    return plot
