"""Development scores by epoch: of the last epoch, the best one, and one chosen by other seeds."""

import numpy as np

from steadytune.results.model import Results


def epoch_scores(results: Results, encoder: str, method: str, task: str) -> dict[int, np.ndarray]:
    """Seed -> points on the task's evaluation split after each epoch, (epochs,).

    Only runs that have a score and recorded every epoch are included; empty if there are fewer than two epochs.
    """
    score = results.score(encoder, method, task)
    if score is None:
        return {}
    found = {}
    for seed in score.points:
        curve = results.history(encoder, method, task, seed).get(score.metric, ())
        found[seed] = 100 * np.array([value for _, value in curve])
    longest = max(map(len, found.values()), default=0)
    return {seed: curve for seed, curve in found.items() if len(curve) == longest > 1}


def best_epochs(results: Results, encoder: str, method: str, task: str) -> dict[int, float]:
    """Seed -> the best epoch's points, as in papers that evaluate after every epoch and print the best."""
    return {seed: float(curve.max()) for seed, curve in epoch_scores(results, encoder, method, task).items()}


def by_other_seeds(scores: np.ndarray) -> np.ndarray:
    """Each run's score after the epoch that is best on average over the other runs; (runs,) from (runs, epochs)."""
    others = scores.sum(axis=0) - scores
    return scores[np.arange(len(scores)), others.argmax(axis=1)]
