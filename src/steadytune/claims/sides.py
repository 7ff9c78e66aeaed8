"""The runs of a claim's sides under one analysis: which variant stands for a method, and its number at each seed."""

import math
from collections.abc import Sequence
from functools import cached_property

from steadytune.claims.claim import Comparison, Cost, Difference
from steadytune.claims.evidence import Analysis
from steadytune.results.costs import MEASURES
from steadytune.results.epochs import best_epochs
from steadytune.results.model import Key, Results
from steadytune.results.scores import Score
from steadytune.results.selection import select
from steadytune.results.two_way import two_way_scores
from steadytune.suite.cell import Cell


class Sides:
    """A suite's results by (encoder, method, task), as one analysis reads them."""

    def __init__(self, results: Results, analysis: Analysis) -> None:
        self.results, self.analysis = results, analysis
        self.selected = select(results, analysis.rule, every=True)
        self._best_epochs: dict[Key, dict[int, float]] = {}

    def results_of(self, method: str) -> Results:
        """The results that hold a method: selected, or unselected for a variant that no grid block names."""
        return self.selected if method in self.selected.methods else self.results

    def cells_of(self, key: Key, seeds: Sequence[int]) -> tuple[Cell, ...]:
        """The cells at these seeds, each of the variant that stands for the method at its seed."""
        return tuple(self.results_of(key[1]).cell(*key, seed) for seed in seeds)

    def values(self, claim: Comparison, key: Key) -> dict[int, float]:
        """Seed -> points, or the log of a cost, for the seeds that have a value."""
        results = self.results_of(key[1])
        if isinstance(claim, Cost):
            records = {seed: results.record(*key, seed) for seed in results.cells.get(key, {})}
            costs = {s: MEASURES[claim.measure](r) for s, r in records.items() if r.get("training")}
            return {seed: math.log(cost) for seed, cost in costs.items() if cost > 0}
        if self.analysis.best_epoch:
            return self.best_epochs(key)
        names = self.evaluation_sets(claim, key)
        two_way = isinstance(claim, Difference) and claim.reading == "two-way"
        points = [
            self._two_way_points(key, name) if two_way else self._points(results.score(*key, name)) for name in names
        ]
        shared = set.intersection(*map(set, points)) if points else set()
        return {seed: sum(column[seed] for column in points) / len(points) for seed in shared}

    def evaluation_sets(self, claim: Comparison, key: Key) -> Sequence[str]:
        """The evaluation sets over which a cell's score is averaged."""
        sets = claim.sets if isinstance(claim, Difference) else None
        sets = sets[key[2]] if isinstance(sets, dict) else sets
        return self.results_of(key[1]).transfer_sets(key[0], key[2]) if sets == "*" else sets or [key[2]]

    def best_epochs(self, key: Key) -> dict[int, float]:
        """Seed -> points after the best epoch, for each run that recorded its epochs."""
        if key not in self._best_epochs:
            self._best_epochs[key] = best_epochs(self.results_of(key[1]), *key)
        return self._best_epochs[key]

    @cached_property
    def _two_way(self) -> dict[tuple[str, str, str, str], Score]:
        """(encoder, variant, task, evaluation set) -> accuracy on entailment against the rest."""
        return two_way_scores(self.results)

    def _two_way_points(self, key: Key, name: str) -> dict[int, float]:
        """Seed -> points on two labels, of the variant that stands for the method at that seed."""
        results, found = self.results_of(key[1]), {}
        for seed in results.cells.get(key, ()):
            points = self._points(self._two_way.get((key[0], results.cell(*key, seed).method, key[2], name)))
            found |= {seed: points[seed]} if seed in points else {}
        return found

    def _points(self, score: Score | None) -> dict[int, float]:
        if score is None:
            return {}
        points = dict(score.points)
        if self.analysis.with_diverged and math.isfinite(score.majority):
            points |= {seed: score.majority for seed, status in score.statuses.items() if status == "diverged"}
        return points
