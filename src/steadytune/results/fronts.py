"""Which methods lie on the Pareto front of score and cost, and how certain that is over seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from steadytune.results.costs import costs
from steadytune.results.model import Results
from steadytune.results.scores import Score, paired

DRAWS = 2_000


@dataclass(frozen=True)
class Standing:
    """A method's place among all methods run on the same tasks."""

    score: float
    """Mean over tasks of the means over seeds, in points."""
    gain: float
    """Points above the baseline on the seeds that both have on a task, the mean over tasks; NaN if some task has no
    such seed."""
    cost: float
    """Training FLOPs as a multiple of the baseline's, the mean over tasks."""
    on_front: float
    """The probability that no other method scores at least as high at no higher cost, one of the two strictly.

    NaN if the method and one that costs no more share fewer than two seeds on some task.
    """


def standings(results: Results, encoder: str, tasks: Sequence[str]) -> dict[str, Standing]:
    """Every method with scores and costs on all of `tasks`, the best score first.

    Two methods are compared on the seeds that both have on a task. The probability comes from a Bayesian bootstrap over
    seeds (Rubin 1981). In each draw a seed has the same weight for all methods and tasks.
    """
    scores: dict[str, list[Score]] = {}
    price: dict[str, float] = {}
    for method in results.methods_of(encoder):
        own = [score for task in tasks if (score := results.score(encoder, method, task)) and score.points]
        ratios = [costs(results, encoder, method, task).get("flops_ratio", math.nan) for task in tasks]
        if tasks and len(own) == len(tasks) and np.isfinite(ratios).all():
            scores[method], price[method] = own, float(np.mean(ratios))
    seeds = sorted({seed for own in scores.values() for score in own for seed in score.points})
    weights = dict(zip(seeds, np.random.default_rng(0).exponential(size=(len(seeds), DRAWS)), strict=True))
    found = {}
    for method, own in scores.items():
        beaten = np.zeros(DRAWS)
        for other in scores:
            if other != method and price[other] <= price[method]:
                gaps = drawn_gaps(scores[other], own, weights)
                beats = gaps >= 0 if price[other] < price[method] else gaps > 0
                beaten = np.maximum(beaten, np.where(np.isnan(gaps), math.nan, beats))
        gain = _mean_gap(own, scores[results.baseline]) if results.baseline in scores else math.nan
        score = float(np.mean([score.mean for score in own]))
        found[method] = Standing(score, gain, price[method], float(1 - beaten.mean()))
    return dict(sorted(found.items(), key=lambda item: -item[1].score))


def drawn_gaps(first: Sequence[Score], second: Sequence[Score], weights: Mapping[int, np.ndarray]) -> np.ndarray:
    """How many points `first` is above `second` in each draw, the mean over tasks, (DRAWS,).

    The drawn means of n differences have the variance s² / n, s² being the differences' sample variance.

    Args:
        first: the scores of one method on each task.
        second: the scores of another on the same tasks.
        weights: seed -> its weight in each draw, (DRAWS,), from the standard exponential distribution.

    Returns:
        All NaN if the two share fewer than two seeds on some task, because their spread is then unknown.
    """
    gaps = []
    for one, other in zip(first, second, strict=True):
        shared = sorted(one.points.keys() & other.points.keys())
        if len(shared) < 2:
            return np.full(DRAWS, math.nan)
        differences, own = np.array(paired(one, other).differences), np.array([weights[seed] for seed in shared])
        drawn, mean, n = differences @ own / own.sum(axis=0), differences.mean(), len(shared)
        # The variance of a Bayesian bootstrap's means is (n - 1) / (n + 1) of this: half at three seeds.
        gaps.append(mean + math.sqrt((n + 1) / (n - 1)) * (drawn - mean))
    return np.mean(gaps, axis=0)


def _mean_gap(first: Sequence[Score], second: Sequence[Score]) -> float:
    return float(np.mean([paired(one, other).mean for one, other in zip(first, second, strict=True)]))
