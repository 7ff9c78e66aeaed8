"""The evidence that a suite's results hold on a claim: balanced arrays of paired runs, and what is missing.

All sides of a claim are compared on the same seeds: the seeds with a score on every task and every side.
"""

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from steadytune.claims.claim import Claim, Comparison, Difference, Gain, ScoreComparison
from steadytune.claims.evidence import Analysis, Evidence, Stratum
from steadytune.claims.examples import Contrast, Examples
from steadytune.claims.lacks import lack_of
from steadytune.claims.question import Differs
from steadytune.claims.sides import Sides
from steadytune.errors import nearest
from steadytune.layout import record_path
from steadytune.results.model import Key, Results
from steadytune.results.scores import ABSENT
from steadytune.suite.cell import Cell, canonical_digest
from steadytune.suite.suite import Suite
from steadytune.suite.variants import variants_by_name

PRIMARY = Analysis("as run")


class PairedRuns:
    """Finds the paired runs of claims in a suite's results, under one analysis."""

    def __init__(self, suite: Suite, results: Results, analysis: Analysis) -> None:
        self.suite, self.results, self.analysis = suite, results, analysis
        self.sides = Sides(results, analysis)

    @property
    def planned(self) -> dict[Key, list[Cell]]:
        """(encoder, method, task) -> cells; a method has the cells of all variants that it stands for."""
        return _planned(self.suite)

    def strata(self, claim: Comparison, *, every: bool = False) -> tuple[Stratum, ...]:
        """The strata that a claim is judged on; `every`: include the task that the analysis leaves out."""
        found = []
        for encoder, baseline in claim.encoder_pairs:
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
        sides = claim.sides(encoder, baseline)
        tasks = dict.fromkeys(task for _, _, task in self.planned)
        return [task for task in tasks if all((*side, task) in self.planned for side in sides)]

    def _not_begun(self, claim: Comparison) -> tuple[str, ...]:
        """The tasks of a `Differs`, which names none, that some side has not begun; empty if that is every task."""
        if not isinstance(claim, Differs):
            return ()
        # A question is about one pair of encoders.
        ((encoder, baseline),) = claim.encoder_pairs
        shared, sides = self._shared_tasks(claim, encoder, baseline), claim.sides(encoder, baseline)
        found = tuple(task for task in shared if not all(self._has_begun((*side, task)) for side in sides))
        return found if len(found) < len(shared) else ()

    def _has_begun(self, key: Key) -> bool:
        return any(status not in ABSENT for status in self.sides.results_of(key[1]).cells.get(key, {}).values())

    def ends(self, claim: Comparison, strata: Iterable[Stratum]) -> dict[str, int]:
        """Number of runs by status, all sides together."""
        counts: dict[str, int] = {}
        for key in keys_of(claim, strata):
            for status in self.sides.results_of(key[1]).cells.get(key, {}).values():
                counts[status] = counts.get(status, 0) + 1
        return counts

    def is_outside(self, claim: Comparison) -> bool:
        """Whether the suite does not plan some cell of a claim."""
        strata = self.strata(claim)
        return bool(_bare(claim, strata) or self._not_planned(keys_of(claim, strata)))

    def _not_planned(self, keys: Iterable[Key]) -> list[Key]:
        return [key for key in keys if key not in self.planned]

    def gather(self, claim: Comparison) -> Evidence:
        """The evidence on a claim: its runs on the seeds that all sides have, and what is missing."""
        strata = self.strata(claim)
        keys = keys_of(claim, strata)
        cells = list(dict.fromkeys(cell for key in keys for cell in self.planned.get(key, ())))
        if bare := _bare(claim, strata):
            sides = [f"{encoder}/{method}/*" for encoder in bare for method in claim.methods]
            lack = f"the suite has no task with all sides of the claim on {', '.join(bare)}"
            return Evidence(outside=tuple(sides), lack=lack + self._unknown_encoder(claim))
        outside = [Cell(*key, seed) for key in self._not_planned(keys) for seed in range(claim.seeds)]
        shared = set.intersection(*({cell.seed for cell in self.planned.get(key, ())} for key in keys))
        # A seed that only some sides plan forms no pair, so its cells are not waited for.
        cells = [cell for cell in cells if cell.seed in shared or not shared]
        cells = [cell for cell in cells if cell.seed not in claim.suggested_by]
        not_begun = self._not_begun(claim)
        rest = [(*side, task) for side in claim.sides(*claim.encoder_pairs[0]) for task in not_begun]
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
            lack = f"{len(outside)} of its {facts['cost']} cells are not in this suite"
            return Evidence(**facts, lack=lack + self._unknown_encoder(claim))
        columns = {key: self.sides.values(claim, key) for key in keys}
        seeds = tuple(sorted(set.intersection(*map(set, columns.values())) - set(claim.suggested_by)))
        planned = {cell.seed for cell in cells}
        facts |= {"seeds": seeds, "planned": len(planned), "left_out": tuple(sorted(planned - set(seeds)))}
        lack = lack_of(claim, columns, seeds, self.sides.results_of, len(planned), len(facts["missing"]))
        pairs = {} if lack else {name: self._pair(claim, name, strata, seeds, columns) for name in claim.against}
        if any(np.isfinite(first - second).sum(axis=1).min() < 2 for first, second in pairs.values()):
            return Evidence(**facts, lack="fewer than 2 pairs are left on some task")
        return Evidence(**facts, pairs=pairs, lack=lack)

    def _unknown_encoder(self, claim: Comparison) -> str:
        """A clause on the first encoder that the suite lacks, perhaps a misspelt name; empty if it has them all."""
        known = self.suite.file.encoders
        named = [name for pair in claim.encoder_pairs for name in pair]
        return next((f": it has no encoder '{name}'{nearest(name, known)}" for name in named if name not in known), "")

    def _plan(self, claim: Comparison) -> str:
        keys = keys_of(claim, self.strata(claim, every=True))
        keys += [(*side, task) for side in claim.sides(*claim.encoder_pairs[0]) for task in self._not_begun(claim)]
        cells = {key: self.planned.get(key, []) for key in sorted(set(keys))}
        seeds = set.intersection(*({cell.seed for cell in found} for found in cells.values()))
        variants = [[*key, self._settings(found)] for key, found in cells.items()]
        return canonical_digest([variants, sorted(seeds - set(claim.suggested_by))])

    def _settings(self, cells: Iterable[Cell]) -> list[list[Any]]:
        """(variant, digest of its training settings) for each variant of the cells; seeds do not change settings."""
        specs = {cell.method: self.suite.spec(cell) for cell in cells}
        return [[name, canonical_digest([spec.parts, spec.protocol])] for name, spec in sorted(specs.items())]

    def over_examples(self, claim: Claim, evidence: Evidence, examples: Examples) -> dict[str, float]:
        """By baseline: the standard error over examples of a mean difference of scores, if predictions exist."""
        if not isinstance(claim, ScoreComparison) or not evidence.pairs:
            return {}
        if isinstance(claim, Difference) and claim.reading == "two-way":
            return {}
        found = {name: examples.error(self._contrasts(claim, name, evidence)) for name in claim.against}
        return {name: error for name, error in found.items() if error is not None}

    def _contrasts(self, claim: Comparison, baseline: str, evidence: Evidence) -> Iterator[Contrast]:
        """The contrasts that sum to the mean difference against one baseline; a gain's references are subtracted."""
        for stratum in evidence.strata:
            named = ((stratum.encoder, claim.method), (stratum.baseline_encoder, baseline))
            for task, sign in ((stratum.task, 1), (stratum.reference, -1)):
                if task is not None:
                    first, second = (self.sides.cells_of((*side, task), evidence.seeds) for side in named)
                    sets = tuple(self.sides.evaluation_sets(claim, (stratum.encoder, claim.method, task)))
                    yield Contrast(first, second, sets, sign / len(evidence.strata))

    def _absent(self, cell: Cell) -> bool:
        statuses = self.results.cells.get((cell.encoder, cell.method, cell.task), {})
        return statuses.get(cell.seed, "missing") in ABSENT

    def _pair(
        self,
        claim: Comparison,
        baseline: str,
        strata: Iterable[Stratum],
        seeds: tuple[int, ...],
        columns: dict[Key, dict[int, float]],
    ) -> tuple[np.ndarray, np.ndarray]:
        """(first, second) against one baseline, both (strata, seeds); for a gain, its two differences."""

        def row(encoder: str, method: str, task: str) -> list[float]:
            statuses = (
                self.sides.results_of(method).cells[encoder, method, task] if self.analysis.without_degenerate else {}
            )
            column = columns[encoder, method, task]
            return [math.nan if statuses.get(seed) == "degenerate" else column[seed] for seed in seeds]

        first = np.array([row(s.encoder, claim.method, s.task) for s in strata])
        second = np.array([row(s.baseline_encoder, baseline, s.task) for s in strata])
        if not isinstance(claim, Gain):
            return first, second
        references = [(s, s.reference) for s in strata if s.reference is not None]
        first_reference = np.array([row(s.encoder, claim.method, task) for s, task in references])
        second_reference = np.array([row(s.baseline_encoder, baseline, task) for s, task in references])
        return first - second, first_reference - second_reference


def _bare(claim: Comparison, strata: Iterable[Stratum]) -> list[str]:
    """The encoders of a claim for which the suite has no task with all sides."""
    return sorted(set(claim.encoders) - {stratum.encoder for stratum in strata})


def keys_of(claim: Comparison, strata: Iterable[Stratum]) -> list[Key]:
    """(encoder, method, task) of all sides, each once."""
    found: dict[Key, None] = {}
    for stratum in strata:
        for task in filter(None, (stratum.task, stratum.reference)):
            found |= {(*side, task): None for side in claim.sides(stratum.encoder, stratum.baseline_encoder)}
    return list(found)


@lru_cache(maxsize=2)
def _planned(suite: Suite) -> dict[Key, list[Cell]]:
    found: dict[Key, list[Cell]] = {}
    variants = dict.fromkeys(cell.method for cell in suite.cells)
    standing: dict[str, set[str]] = {variant: {variant} for variant in variants}
    for method, spanned in variants_by_name(variants, suite.named, every=True).items():
        for variant in spanned:
            standing[variant].add(method)
    for cell in suite.cells:
        for method in standing[cell.method]:
            found.setdefault((cell.encoder, method, cell.task), []).append(cell)
    return found
