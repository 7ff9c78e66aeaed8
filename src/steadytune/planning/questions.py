"""How many seeds a suite's questions need, given recorded or assumed standard deviations. Text for the terminal."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from steadytune.cells.freshness import CellStatus
from steadytune.claims.claim import ALPHA, Claim, Comparison, Cost, Equivalent, Gain, MeanDifference, ScoreComparison
from steadytune.claims.comparisons import against_baseline, compare
from steadytune.claims.judged import Finding, Judged
from steadytune.claims.lacks import LEAST_SEEDS
from steadytune.claims.power import chance_of_each, detectable_effect, detectable_ratio, seeds_for_mean, smallest_p
from steadytune.claims.question import Differs
from steadytune.claims.verdicts import judge
from steadytune.results.loading import load_or_empty
from steadytune.suite.suite import Suite
from steadytune.suite.variants import base
from steadytune.text import counted

ALL = Fraction(1)
"""Share of pairs assumed to differ before runs have shown how many are equal."""


class Questions:
    """What a suite's seeds can show about each method against the baseline, and about the suite's claims.

    Args:
        suite: names the methods and claims.
        effect: the difference that matters, in points.
        sd: an assumed standard deviation of a pair's difference on each task, in points, instead of recorded ones.
        found: the statuses of the cells, for `load_or_empty`.
    """

    def __init__(
        self, suite: Suite, effect: float, sd: float | None = None, found: list[CellStatus] | None = None
    ) -> None:
        self.suite, self.effect, self.sd = suite, effect, sd
        self.asked = against_baseline(suite, effect)
        results = load_or_empty(suite, found)
        recorded = sd is None and bool(results.cells)
        self.compared = compare(suite, results, self.asked, detailed=False) if recorded else ()
        self.claims: Mapping[str, Judged] = (
            {judged.id: judged for judged in judge(suite, results, detailed=False)} if recorded else {}
        )

    def needs(self, claim: Claim, tasks: int, alpha: float) -> float | None:
        """Seeds needed to detect an effect of the claim's size; infinite above 1,000, None if unknown."""
        if self.sd is not None and isinstance(claim, ScoreComparison):
            chance = chance_of_each(len(claim.against))
            both, either = isinstance(claim, Equivalent), claim.direction == "either"
            unequal = ALL if isinstance(claim, MeanDifference) else None
            # A gain is the difference between two paired differences, on tasks whose runs are independent.
            variances = self._variances(tasks) * (2 if isinstance(claim, Gain) else 1)
            found = seeds_for_mean(
                abs(claim.size()), variances, alpha, chance=chance, both=both, unequal=unequal, either=either
            )
            return found or math.inf
        judged = self.claims.get(claim.id)
        known = isinstance(claim, Comparison) and not isinstance(claim, Cost)
        return (judged.finding.needs or math.inf) if known and judged and judged.finding else None

    def lines(self) -> list[str]:
        """One line per question; if no deviations are known, what seeds can show, in standard deviations."""
        known = [compared for compared in self.compared if compared.finding]
        if self.sd is not None:
            return self._assumed(self.sd)
        if not known:
            return _in_deviations(self.suite)
        family = known[0].family_size
        lines = [
            "",
            f"seeds needed, by the deviations so far and their 80 % interval (p < 0.05, {_corrected(family)}):",
        ]
        for compared in known:
            assert compared.finding is not None
            encoder, _, method = compared.id.partition("/")
            against = compared.family.removeprefix("against ")
            question = f"{method} against {against} on {encoder}: {self._to_see(len(compared.strata))}"
            lines.append(f"  {question}: {needed(compared.finding)}; {compared.planned} are planned")
        return lines

    def _assumed(self, sd: float) -> list[str]:
        lines = ["", f"seeds needed if the difference of a pair has a standard deviation of {sd:g} points (p < 0.05):"]
        family = max(len(self.asked), 1)
        for tasks in sorted(tasks_together(self.suite, self.asked)):
            one, all_ = (
                seeds_for_mean(self.effect, self._variances(tasks), ALPHA / size, unequal=ALL, either=True)
                for size in (1, family)
            )
            more = f"; {_spelled(all_)} {_corrected(family)}" if family > 1 else ""
            lines.append(f"  {self._to_see(tasks)}: {_spelled(one)} seeds{more}")
        return lines

    def _to_see(self, tasks: int) -> str:
        over = f"on average over these {tasks} tasks" if tasks > 1 else "on one task"
        return f"to see {counted(self.effect, 'point', 'g')} {over} with 80 % power"

    def _variances(self, tasks: int) -> np.ndarray:
        return np.full(tasks, (self.sd or 0.0) ** 2)


def needed(found: Finding) -> str:
    """The seeds needed with their range: `7 seeds (4 to 13)`."""
    ends = f" ({' to '.join(map(_spelled, found.needs_range))})" if found.needs_range else ""
    return f"{_spelled(found.needs)} seeds{ends}"


def _spelled(count: int | None) -> str:
    return str(count) if count else "over 1,000"


def _corrected(family: int) -> str:
    return f"corrected for {family} methods" if family > 1 else "one comparison"


def tasks_together(suite: Suite, asked: Sequence[Differs]) -> set[int]:
    """The numbers of tasks that methods share with the baseline, and 1."""
    tasks: dict[tuple[str, str], set[str]] = {}
    for cell in suite.cells:
        tasks.setdefault((cell.encoder, base(cell.method)), set()).add(cell.task)
    sides = [[tasks[each.encoders[0], name] for name in each.methods] for each in asked]
    return {1, *(len(method & baseline) for method, baseline in sides if method & baseline)}


def _in_deviations(suite: Suite) -> list[str]:
    """What each number of seeds can show about two methods, on one task and on all where a method has that many."""
    counts = Counter((cell.encoder, cell.method, cell.task) for cell in suite.cells)
    lines = ["", "what the seeds can show of two methods (p < 0.05, chance 80 %; sd: of a pair's difference):"]
    for seeds in sorted(set(counts.values())):
        tasks = max(Counter(names[:2] for names, count in counts.items() if count == seeds).values())
        for together in sorted({1, tasks}):
            effect = detectable_effect(np.ones(together), seeds, ALPHA)
            least = f"differences from {effect:.2g} sd" if seeds >= LEAST_SEEDS else "no difference can be shown"
            ratio = detectable_ratio(seeds, together, ALPHA) if seeds > 2 else 0
            spread = f"ratios of deviations up to {ratio:.2g}" if ratio else "none in spread"
            place = f"{counted(seeds, 'seed')}, {counted(together, 'task')}{' together' if together > 1 else ''}"
            lines.append(f"  {place}: p of a claim at least {smallest_p(seeds, together):.2g}; {least}; {spread}")
    return [*lines, "  for an answer in points: `--sd 2 --effect 1`, or run a pilot"]
