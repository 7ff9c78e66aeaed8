"""Which methods lie on the Pareto front of score and cost, and how certain that is over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from steadytune.results.costs import costs
from steadytune.results.model import Results

DRAWS = 2_000


@dataclass(frozen=True)
class Standing:
    """A method's place among all methods run on the same tasks."""

    score: float
    """Mean over tasks of the means over seeds, in points."""
    cost: float
    """Training FLOPs as a multiple of the baseline's, the mean over tasks."""
    on_front: float
    """The probability that no other method scores at least as high at no higher cost, one of the two strictly."""


def standings(results: Results, encoder: str, tasks: Sequence[str]) -> dict[str, Standing]:
    """Every method with scores and costs on all of `tasks`, the best score first.

    The probability comes from a Bayesian bootstrap over seeds (Rubin 1981). In each draw a seed has the same weight for
    all methods and tasks, so methods with the same seeds are compared as pairs.
    """
    points: dict[str, list[Mapping[int, float]]] = {}
    price: dict[str, float] = {}
    for method in results.methods_of(encoder):
        scores = [results.score(encoder, method, task) for task in tasks]
        ratios = [costs(results, encoder, method, task).get("flops_ratio", float("nan")) for task in tasks]
        if tasks and all(score and score.points for score in scores) and np.isfinite(ratios).all():
            points[method] = [score.points for score in scores if score]
            price[method] = float(np.mean(ratios))
    seeds = sorted({number for each in points.values() for of_task in each for number in of_task})
    weights = np.random.default_rng(0).exponential(size=(DRAWS, len(seeds)))
    drawn = {method: _means(each, seeds, weights) for method, each in points.items()}
    found = {}
    for method in points:
        beaten = np.zeros(DRAWS, bool)
        for other in points:
            cheaper, better = price[other] < price[method], drawn[other] > drawn[method]
            if price[other] <= price[method]:
                beaten |= (drawn[other] >= drawn[method]) if cheaper else better
        score = float(np.mean([np.mean(list(of_task.values())) for of_task in points[method]]))
        found[method] = Standing(score, price[method], float(1 - beaten.mean()))
    return dict(sorted(found.items(), key=lambda item: -item[1].score))


def _means(points: Sequence[Mapping[int, float]], seeds: Sequence[int], weights: np.ndarray) -> np.ndarray:
    """The mean over tasks of the weighted means over each task's own seeds, (draws,)."""
    columns = {number: place for place, number in enumerate(seeds)}
    of_tasks = []
    for of_task in points:
        own = weights[:, [columns[number] for number in of_task]]
        of_tasks.append(own @ np.array(list(of_task.values())) / own.sum(axis=1))
    return np.mean(of_tasks, axis=0)
