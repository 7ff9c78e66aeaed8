"""Scores read as entailment against the rest: accuracy on two labels, collapsed from three if there are three."""

from steadytune.results.model import Results, SetKey
from steadytune.results.scores import Score


def two_way_scores(results: Results) -> dict[SetKey, Score]:
    """(encoder, method, task, evaluation set) -> accuracy on two labels, collapsed if there are three.

    Every planned method is included, without points if none of its cells has been evaluated.
    """
    from steadytune.evaluation.transfer import TWO_WAY_METRIC

    found: dict[SetKey, dict[int, tuple[float, float]]] = {}
    for (encoder, variant, task, name), by_metric in results.accuracies.items():
        for seed, value in (by_metric.get(TWO_WAY_METRIC) or by_metric["accuracy"]).items():
            method = results.method_of(encoder, variant, task, seed)
            if (encoder, method, task) in results.cells:
                found.setdefault((encoder, method or "", task, name), {})[seed] = value
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
