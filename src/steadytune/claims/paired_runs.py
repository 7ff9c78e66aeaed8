"""What a suite's results hold about a claim: balanced arrays of paired runs, and what is missing for them.

All sides of a claim are compared on the same seeds: those that have a score on every task and every side.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from steadytune.claims.claim import Claim, Comparison, Cost, Difference, Gain, ScoreComparison
from steadytune.claims.evidence import Analysis, Evidence, Stratum
from steadytune.claims.examples import Contrast, Examples
from steadytune.claims.lacks import lack_of
from steadytune.claims.question import Differs
from steadytune.layout import record_path
from steadytune.results.costs import MEASURES
from steadytune.results.epochs import best_epochs
from steadytune.results.model import Key, Results
from steadytune.results.scores import ABSENT, Score
from steadytune.results.selection import select
from steadytune.results.two_way import two_way_scores
from steadytune.suite.cell import Cell, canonical_digest
from steadytune.suite.suite import Suite
from steadytune.suite.variants import stand_for

PRIMARY = Analysis("as run")


class PairedRuns:
    """Finds the paired runs of claims in a suite's results, under one analysis."""

    def __init__(self, suite: Suite, results: Results, analysis: Analysis) -> None:
        self.suite, self.results, self.analysis = suite, results, analysis
        self.selected = select(results, analysis.rule, every=True)
        self._epochs: dict[Key, dict[int, float]] = {}

    @property
    def planned(self) -> dict[Key, list[Cell]]:
        """(encoder, method, task) -> cells; a method has those of all the variants that it stands for."""
        return _planned(self.suite)

    @cached_property
    def two_way(self) -> dict[tuple[str, str, str, str], Score]:
        """(encoder, variant, task, evaluation set) -> accuracy on entailment against the rest."""
        return two_way_scores(self.results)

    def best_epochs_of(self, key: Key) -> dict[int, float]:
        """Points by seed after the best epoch of each run of (encoder, method, task) that recorded its epochs."""
        if key not in self._epochs:
            self._epochs[key] = best_epochs(self.side(key[1]), *key)
        return self._epochs[key]

    def strata(self, claim: Comparison, *, every: bool = False) -> tuple[Stratum, ...]:
        """What a claim is judged on; `every`: with the task that the analysis leaves out."""
        found = []
        for at, encoder in enumerate(claim.encoders):
            baseline = claim.baseline_encoders[at] if claim.baseline_encoders else encoder
            references = claim.reference if isinstance(claim, Gain) else ()
            for place, task in enumerate(self._tasks(claim, encoder, baseline)):
                if every or task != self.analysis.without_task:
                    found.append(Stratum(encoder, baseline, task, references[place] if references else None))
        return tuple(found)

    def _tasks(self, claim: Comparison, encoder: str, baseline: str) -> Iterable[str]:
        if claim.tasks != "*":
            return claim.tasks
        left_out = self._not_begun(claim)
        return [task for task in self._shared_tasks(claim, encoder, baseline) if task not in left_out]

    def _shared_tasks(self, claim: Comparison, encoder: str, baseline: str) -> list[str]:
        sides = [(encoder, claim.method), *((baseline, method) for method in claim.against)]
        tasks = dict.fromkeys(task for _, _, task in self.planned)
        return [task for task in tasks if all((*side, task) in self.planned for side in sides)]

    def _not_begun(self, claim: Comparison) -> tuple[str, ...]:
        """The tasks of a `Differs` that some side has not begun, if others have: nobody has named its tasks."""
        if not isinstance(claim, Differs):
            return ()
        (encoder,) = claim.encoders
        shared = self._shared_tasks(claim, encoder, encoder)
        found = tuple(task for task in shared if not all(self._has_begun((encoder, m, task)) for m in claim.methods))
        return found if len(found) < len(shared) else ()

    def _has_begun(self, key: Key) -> bool:
        return any(status not in ABSENT for status in self.side(key[1]).cells.get(key, {}).values())

    def side(self, method: str) -> Results:
        """Where a method's cells are looked up: a variant that no block of the grid names stands alone."""
        return self.selected if method in self.selected.methods else self.results

    def ends(self, claim: Comparison, strata: Iterable[Stratum]) -> dict[str, int]:
        """How many runs ended with each status, all sides together."""
        counts: dict[str, int] = {}
        for key in keys_of(claim, strata):
            for status in self.side(key[1]).cells.get(key, {}).values():
                counts[status] = counts.get(status, 0) + 1
        return counts

    def gather(self, claim: Comparison) -> Evidence:
        """Every run of a claim, on the seeds that all of its sides have."""
        strata = self.strata(claim)
        keys = keys_of(claim, strata)
        cells = list(dict.fromkeys(cell for key in keys for cell in self.planned.get(key, ())))
        if bare := set(claim.encoders) - {stratum.encoder for stratum in strata}:
            sides = [f"{encoder}/{method}/*" for encoder in sorted(bare) for method in claim.methods]
            return Evidence(
                outside=tuple(sides), lack=f"the suite has no task with all of its sides on {', '.join(sorted(bare))}"
            )
        outside = [Cell(*key, seed) for key in keys if key not in self.planned for seed in range(claim.seeds)]
        shared = set.intersection(*({cell.seed for cell in self.planned.get(key, ())} for key in keys))
        # One side may have more seeds than the other: those say nothing about a pair, and are not waited for.
        cells = [cell for cell in cells if cell.seed in shared or not shared]
        cells = [cell for cell in cells if cell.seed not in claim.suggested_by]
        not_begun = self._not_begun(claim)
        rest = [(claim.encoders[0], method, task) for method in claim.methods for task in not_begun]
        waited = [*cells, *dict.fromkeys(cell for key in rest for cell in self.planned[key])]
        facts: dict[str, Any] = {
            "strata": strata,
            "not_begun": not_begun,
            "ends": self.ends(claim, strata),
            "missing": tuple(str(record_path(self.suite, cell)) for cell in waited if self._absent(cell)),
            "outside": tuple(map(str, outside)),
            "cost": len(waited) + len(outside),
            "plan": self._plan(claim),
        }
        if outside:
            return Evidence(**facts, lack=f"{len(outside)} of its {facts['cost']} cells are not in this suite")
        columns = {key: self._values(claim, key) for key in keys}
        seeds = tuple(sorted(set.intersection(*map(set, columns.values())) - set(claim.suggested_by)))
        planned = {cell.seed for cell in cells}
        facts |= {"seeds": seeds, "planned": len(planned), "left_out": tuple(sorted(planned - set(seeds)))}
        lack = lack_of(claim, columns, seeds, self.side, len(planned), len(facts["missing"]))
        pairs = {} if lack else {name: self._pair(claim, name, strata, seeds, columns) for name in claim.against}
        if any(np.isfinite(first - second).sum(axis=1).min() < 2 for first, second in pairs.values()):
            return Evidence(**facts, lack="fewer than 2 pairs are left on some task")
        return Evidence(**facts, pairs=pairs, lack=lack)

    def _plan(self, claim: Comparison) -> str:
        keys = keys_of(claim, self.strata(claim, every=True))
        keys += [(claim.encoders[0], method, task) for method in claim.methods for task in self._not_begun(claim)]
        cells = {key: self.planned.get(key, []) for key in sorted(set(keys))}
        seeds = set.intersection(*({cell.seed for cell in found} for found in cells.values()))
        variants = [[*key, self._settings(found)] for key, found in cells.items()]
        return canonical_digest([variants, sorted(seeds - set(claim.suggested_by))])

    def _settings(self, cells: Iterable[Cell]) -> list[list[Any]]:
        """By variant, what cells that differ in their seed alone are trained with."""
        specs = {cell.method: self.suite.spec(cell) for cell in cells}
        return [[name, canonical_digest([spec.parts, spec.protocol])] for name, spec in sorted(specs.items())]

    def over_examples(self, claim: Claim, evidence: Evidence, examples: Examples) -> dict[str, float]:
        """By baseline: the standard error over examples of a mean difference of scores, where predictions tell it."""
        if not isinstance(claim, ScoreComparison) or not evidence.pairs:
            return {}
        if isinstance(claim, Difference) and claim.reading == "two-way":
            return {}
        found = {name: examples.error(self._contrasts(claim, name, evidence)) for name in claim.against}
        return {name: error for name, error in found.items() if error is not None}

    def _contrasts(self, claim: Comparison, baseline: str, evidence: Evidence) -> Iterator[Contrast]:
        """What the mean difference against one baseline is the sum of; a gain's references are taken away."""
        for stratum in evidence.strata:
            named = ((stratum.encoder, claim.method), (stratum.baseline_encoder, baseline))
            for task, sign in ((stratum.task, 1), (stratum.reference, -1)):
                if task is not None:
                    first, second = (
                        tuple(self.side(m).cell(e, m, task, seed) for seed in evidence.seeds) for e, m in named
                    )
                    sets = tuple(self._sets(claim, (stratum.encoder, claim.method, task)))
                    yield Contrast(first, second, sets, sign / len(evidence.strata))

    def _sets(self, claim: Comparison, key: Key) -> Sequence[str]:
        """The evaluation sets that a cell's score is the mean of."""
        sets = claim.sets if isinstance(claim, Difference) else None
        sets = sets[key[2]] if isinstance(sets, dict) else sets
        return self.side(key[1]).transfer_sets(key[0], key[2]) if sets == "*" else sets or [key[2]]

    def _absent(self, cell: Cell) -> bool:
        statuses = self.results.cells.get((cell.encoder, cell.method, cell.task), {})
        return statuses.get(cell.seed, "missing") in ABSENT

    def _values(self, claim: Comparison, key: Key) -> dict[int, float]:
        """A number for each seed that has one: points, or the log of a cost."""
        results = self.side(key[1])
        if isinstance(claim, Cost):
            records = {seed: results.record(*key, seed) for seed in results.cells.get(key, {})}
            costs = {s: MEASURES[claim.measure](r) for s, r in records.items() if r.get("training")}
            return {seed: math.log(cost) for seed, cost in costs.items() if cost > 0}
        names = self._sets(claim, key)
        if isinstance(claim, Difference) and claim.reading == "two-way":
            columns = [self._two_way_points(results, key, name) for name in names] or [{}]
        else:
            columns = [self._points(results.score(*key, name)) for name in names] or [{}]
        if self.analysis.best_epoch:
            columns = [self.best_epochs_of(key)]
        shared = set.intersection(*map(set, columns))
        return {seed: sum(column[seed] for column in columns) / len(columns) for seed in shared}

    def _two_way_points(self, results: Results, key: Key, name: str) -> dict[int, float]:
        """Points on two labels by seed, each of the variant that stands for the method there."""
        found = {}
        for seed in results.cells.get(key, ()):
            points = self._points(self.two_way.get((key[0], results.cell(*key, seed).method, key[2], name)))
            found |= {seed: points[seed]} if seed in points else {}
        return found

    def _points(self, score: Score | None) -> dict[int, float]:
        if score is None:
            return {}
        points = dict(score.points)
        if self.analysis.with_diverged and math.isfinite(score.majority):
            points |= {seed: score.majority for seed, status in score.statuses.items() if status == "diverged"}
        return points

    def _pair(
        self,
        claim: Comparison,
        baseline: str,
        strata: Iterable[Stratum],
        seeds: tuple[int, ...],
        columns: dict[Key, dict[int, float]],
    ) -> tuple[np.ndarray, np.ndarray]:
        """(first, second) against one baseline, both (strata, seeds)."""

        def row(encoder: str, method: str, task: str) -> list[float]:
            statuses = self.side(method).cells[encoder, method, task] if self.analysis.without_degenerate else {}
            column = columns[encoder, method, task]
            return [math.nan if statuses.get(seed) == "degenerate" else column[seed] for seed in seeds]

        first = np.array([row(s.encoder, claim.method, s.task) for s in strata])
        second = np.array([row(s.baseline_encoder, baseline, s.task) for s in strata])
        if not isinstance(claim, Gain):
            return first, second
        references = [(s, s.reference) for s in strata if s.reference is not None]
        there = np.array([row(s.encoder, claim.method, task) for s, task in references])
        return first - second, there - np.array([row(s.baseline_encoder, baseline, task) for s, task in references])


def keys_of(claim: Comparison, strata: Iterable[Stratum]) -> list[Key]:
    """(encoder, method, task) of all sides, each once."""
    found: dict[Key, None] = {}
    for stratum in strata:
        for task in filter(None, (stratum.task, stratum.reference)):
            found[stratum.encoder, claim.method, task] = None
            found |= {(stratum.baseline_encoder, method, task): None for method in claim.against}
    return list(found)


@lru_cache(maxsize=2)
def _planned(suite: Suite) -> dict[Key, list[Cell]]:
    found: dict[Key, list[Cell]] = {}
    variants = dict.fromkeys(cell.method for cell in suite.cells)
    standing: dict[str, set[str]] = {variant: {variant} for variant in variants}
    for method, spanned in stand_for(variants, suite.named, every=True).items():
        for variant in spanned:
            standing[variant].add(method)
    for cell in suite.cells:
        for method in standing[cell.method]:
            found.setdefault((cell.encoder, method, cell.task), []).append(cell)
    return found
