"""What a suite's results hold about a claim: balanced arrays of paired runs, and what is missing for them.

All sides of a claim are looked at on the same seeds: those that have a score on every task and every side.
"""

import math
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from steadytune.claims.claim import Claim, Comparison, Cost, Difference, Gain, Spread
from steadytune.claims.evidence import Analysis, Evidence, Stratum
from steadytune.claims.statistics import constant
from steadytune.layout import record_path
from steadytune.results.costs import MEASURES
from steadytune.results.model import Results
from steadytune.results.scores import ABSENT, Score
from steadytune.results.selection import select
from steadytune.results.two_way import two_way_scores
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite
from steadytune.suite.variants import stand_for

Columns = dict[tuple[str, str, str], dict[int, float]]
"""(encoder, method, task) -> seed -> a number."""

ON_ONE_MACHINE = ("seconds", "memory")
"""Costs that say nothing when the two sides ran on different devices."""


class PairedRuns:
    """Finds the paired runs of claims in a suite's results, under one analysis."""

    def __init__(self, suite: Suite, results: Results, analysis: Analysis) -> None:
        self.suite, self.results, self.analysis = suite, results, analysis
        self.selected = select(results, analysis.rule, every=True)

    @cached_property
    def planned(self) -> dict[tuple[str, str, str], list[Cell]]:
        """(encoder, method, task) -> cells; a method has those of all the variants that it stands for."""
        found: dict[tuple[str, str, str], list[Cell]] = {}
        variants = dict.fromkeys(cell.method for cell in self.suite.cells)
        standing: dict[str, set[str]] = {variant: {variant} for variant in variants}
        for method, spanned in stand_for(variants, self.suite.named, every=True).items():
            for variant in spanned:
                standing[variant].add(method)
        for cell in self.suite.cells:
            for method in standing[cell.method]:
                found.setdefault((cell.encoder, method, cell.task), []).append(cell)
        return found

    @cached_property
    def two_way(self) -> dict[tuple[str, str, str, str], Score]:
        """(encoder, variant, task, evaluation set) -> accuracy on entailment against the rest."""
        return two_way_scores(self.results)

    def touches(self, claim: Claim) -> bool:
        """Whether the analysis could change anything: a choice among variants, a degenerate or a diverged run."""
        if not isinstance(claim, Comparison):
            return False
        if isinstance(claim, Cost) and self.analysis.rule is None:
            return False
        ends = self._ends(claim, self._strata(claim))
        if self.analysis.without_degenerate:
            return bool(ends.get("degenerate"))
        if self.analysis.with_diverged:
            return bool(ends.get("diverged"))
        if self.analysis.rule is not None:
            keys = [key for key in self._keys(claim, self._strata(claim)) if self.selected.choices.get(key, 1) > 1]
            there = self.analysis.rule != "nested" or all(key in self.selected.held_out for key in keys)
            return bool(keys) and there and self.analysis.rule != self.suite.file.selection
        return not isinstance(claim, Spread)

    def _strata(self, claim: Comparison) -> tuple[Stratum, ...]:
        found = []
        for at, encoder in enumerate(claim.encoders):
            baseline = claim.baseline_encoders[at] if claim.baseline_encoders else encoder
            references = claim.reference if isinstance(claim, Gain) else ()
            for place, task in enumerate(self._tasks(claim, encoder, baseline)):
                found.append(Stratum(encoder, baseline, task, references[place] if references else None))
        return tuple(found)

    def _tasks(self, claim: Comparison, encoder: str, baseline: str) -> Iterable[str]:
        if claim.tasks != "*":
            return claim.tasks
        sides = [(encoder, claim.method), *((baseline, method) for method in claim.against)]
        tasks = dict.fromkeys(cell.task for cell in self.suite.cells)
        return [task for task in tasks if all((*side, task) in self.planned for side in sides)]

    @staticmethod
    def _keys(claim: Comparison, strata: Iterable[Stratum]) -> Iterator[tuple[str, str, str]]:
        """(encoder, method, task) of all sides."""
        for stratum in strata:
            for task in filter(None, (stratum.task, stratum.reference)):
                yield stratum.encoder, claim.method, task
                yield from ((stratum.baseline_encoder, method, task) for method in claim.against)

    def side(self, method: str) -> Results:
        """Where a method's cells are looked up: a variant that no block of the grid names stands alone."""
        return self.selected if method in self.selected.methods else self.results

    def _ends(self, claim: Comparison, strata: Iterable[Stratum]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for key in dict.fromkeys(self._keys(claim, strata)):
            for status in self.side(key[1]).cells.get(key, {}).values():
                counts[status] = counts.get(status, 0) + 1
        return counts

    def gather(self, claim: Comparison) -> Evidence:
        """Every run of a claim, on the seeds that all of its sides have."""
        strata = self._strata(claim)
        keys = list(dict.fromkeys(self._keys(claim, strata)))
        cells = list(dict.fromkeys(cell for key in keys for cell in self.planned.get(key, ())))
        if bare := set(claim.encoders) - {stratum.encoder for stratum in strata}:
            sides = [f"{encoder}/{method}/*" for encoder in sorted(bare) for method in claim.methods]
            return Evidence(
                outside=tuple(sides), lack=f"the suite has no task with all of its sides on {', '.join(sorted(bare))}"
            )
        outside = [Cell(*key, seed) for key in keys if key not in self.planned for seed in range(claim.seeds)]
        facts: dict[str, Any] = {
            "strata": strata,
            "ends": self._ends(claim, strata),
            "missing": tuple(str(record_path(self.suite, cell)) for cell in cells if self._absent(cell)),
            "outside": tuple(map(str, outside)),
            "cost": len(cells) + len(outside),
        }
        if outside:
            return Evidence(**facts, lack=f"{len(outside)} of its {facts['cost']} cells are not in this suite")
        columns = {key: self._values(claim, key) for key in keys}
        seeds = tuple(sorted(set.intersection(*map(set, columns.values()))))
        planned = {cell.seed for cell in cells}
        facts |= {"seeds": seeds, "left_out": tuple(sorted(planned - set(seeds)))}
        lack = self._lack(claim, columns, seeds, len(facts["missing"]))
        pairs = {} if lack else {name: self._pair(claim, name, strata, seeds, columns) for name in claim.against}
        return Evidence(**facts, pairs=pairs, lack=lack)

    def _absent(self, cell: Cell) -> bool:
        statuses = self.results.cells.get((cell.encoder, cell.method, cell.task), {})
        return statuses.get(cell.seed, "missing") in ABSENT

    def _values(self, claim: Comparison, key: tuple[str, str, str]) -> dict[int, float]:
        """A number for each seed that has one: points, or the log of a cost."""
        results = self.side(key[1])
        if isinstance(claim, Cost):
            records = {seed: results.record(*key, seed) for seed in results.cells.get(key, {})}
            costs = {s: MEASURES[claim.measure](r) for s, r in records.items() if r.get("training")}
            return {seed: math.log(cost) for seed, cost in costs.items() if cost > 0}
        sets = claim.sets if isinstance(claim, Difference) else None
        sets = sets[key[2]] if isinstance(sets, dict) else sets
        names = results.transfer_sets(key[0], key[2]) if sets == "*" else sets or [key[2]]
        if isinstance(claim, Difference) and claim.reading == "two-way":
            variant = results.variants.get(key, key[1])
            scores = [self.two_way.get((key[0], variant, key[2], name)) for name in names]
        else:
            scores = [results.score(*key, name) for name in names]
        columns = [self._points(score) for score in scores] or [{}]
        shared = set.intersection(*map(set, columns))
        return {seed: sum(column[seed] for column in columns) / len(columns) for seed in shared}

    def _points(self, score: Score | None) -> dict[int, float]:
        if score is None:
            return {}
        points = dict(score.points)
        if self.analysis.with_diverged and math.isfinite(score.majority):
            points |= {seed: score.majority for seed, status in score.statuses.items() if status == "diverged"}
        if self.analysis.without_degenerate:
            points = {seed: value for seed, value in points.items() if score.statuses[seed] != "degenerate"}
        return points

    def _lack(self, claim: Comparison, columns: Columns, seeds: tuple[int, ...], absent: int) -> str:
        """Why the runs that there are cannot be judged."""
        least = 3 if isinstance(claim, Spread) else 2
        if len(seeds) < least:
            why = f"cells that have not run: {absent}" if absent else "the others ended without a score"
            return f"seeds with a score on every side and task: {len(seeds)}, and {least} are needed; {why}"
        if isinstance(claim, Cost) and claim.measure in ON_ONE_MACHINE:
            records = [self.side(key[1]).record(*key, seed) for key in columns for seed in seeds]
            devices = {record["environment"]["device_name"] for record in records}
            if len(devices) > 1:
                return f"its cells ran on different devices: {', '.join(sorted(devices))}"
        if isinstance(claim, Spread):
            still = [key for key, column in columns.items() if self._still(key, column, seeds)]
            return f"no spread over these seeds: {', '.join(map('/'.join, still))}" if still else ""
        return ""

    def _still(self, key: tuple[str, str, str], column: dict[int, float], seeds: tuple[int, ...]) -> bool:
        """Whether a side's runs on a task do not vary, or all give one answer for every example.

        One such stratum would decide the geometric mean of ratios, and says nothing about a spread over seeds.
        """
        statuses = self.side(key[1]).cells[key]
        collapsed = all(statuses[seed] == "degenerate" for seed in seeds)
        return collapsed or bool(constant(np.array([[column[seed] for seed in seeds]]))[0])

    @staticmethod
    def _pair(
        claim: Comparison,
        baseline: str,
        strata: Iterable[Stratum],
        seeds: tuple[int, ...],
        columns: Columns,
    ) -> tuple[np.ndarray, np.ndarray]:
        """(first, second) against one baseline, both (strata, seeds)."""

        def row(encoder: str, method: str, task: str) -> list[float]:
            return [columns[encoder, method, task][seed] for seed in seeds]

        first = np.array([row(s.encoder, claim.method, s.task) for s in strata])
        second = np.array([row(s.baseline_encoder, baseline, s.task) for s in strata])
        if not isinstance(claim, Gain):
            return first, second
        references = [(s, s.reference) for s in strata if s.reference is not None]
        there = np.array([row(s.encoder, claim.method, task) for s, task in references])
        return first - second, there - np.array([row(s.baseline_encoder, baseline, task) for s, task in references])
