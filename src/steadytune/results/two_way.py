"""Scores read as entailment or not: those on two labels, collapsed from three where there were three."""

import math

from steadytune.layout import metrics_path
from steadytune.results.loading import rows_of
from steadytune.results.model import Results
from steadytune.results.scores import Score


def two_way_scores(results: Results) -> dict[tuple[str, str, str, str], Score]:
    """(encoder, method, task, evaluation set) -> accuracy on two labels: the collapsed one where there were three.

    Every planned method is there, without points where none of its cells came so far.
    """
    from steadytune.evaluation.transfer import TWO_WAY_METRIC

    accuracies: dict[tuple[str, str, str, str], dict[str, dict[int, tuple[float, float]]]] = {}
    for key, row in rows_of(results, metrics_path(results.folder)):
        if row["metric"] in ("accuracy", TWO_WAY_METRIC) and row["kind"] != "held_out" and math.isfinite(row["value"]):
            by_metric = accuracies.setdefault((*key, row["evaluation_set"]), {})
            by_metric.setdefault(row["metric"], {})[int(row["seed"])] = row["value"], row["majority"]
    found = {place: by_metric.get(TWO_WAY_METRIC) or by_metric["accuracy"] for place, by_metric in accuracies.items()}
    majorities = {(e, task, name): next(iter(seeds.values()))[1] for (e, _, task, name), seeds in found.items()}
    return {
        (encoder, method, task, name): Score.in_points(
            "accuracy",
            majority,
            results.cells[encoder, method, task],
            {seed: value for seed, (value, _) in found.get((encoder, method, task, name), {}).items()},
        )
        for (encoder, task, name), majority in majorities.items()
        for method in results.methods
        if (encoder, method, task) in results.cells
    }
