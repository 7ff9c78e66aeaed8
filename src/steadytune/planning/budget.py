"""Which claims can be decided within a number of device hours, and the cells for them.

A claim is decided by the same seeds on all of its sides. There must be as many as its paper ran (if that many are
planned), enough for its test to reach significance (`fewest_seeds`) and, if deviations are recorded or assumed, enough
to detect an effect of its size. Claims share cells, so they are chosen greedily: each time the claim that adds the most
decided claims per hour, counting others that its cells also decide. The choice is not always optimal.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from steadytune.claims.claim import ALPHA, Claim, Comparison, MeanDifference, Spread
from steadytune.claims.files import suite_claims
from steadytune.claims.lacks import LEAST_SEEDS
from steadytune.claims.paired_runs import PRIMARY, PairedRuns
from steadytune.claims.power import MOST_SEEDS, chance_of_each, fewest, power_of_ratio, smallest_p
from steadytune.claims.verdicts import family_sizes
from steadytune.layout import record_path
from steadytune.results.loading import empty_results
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite
from steadytune.text import counted


@dataclass(frozen=True)
class Requirement:
    """The cells that decide a claim."""

    claim: Claim
    planned: tuple[Cell, ...]
    """All of the claim's cells in the suite."""
    cells: tuple[Cell, ...]
    """The cells that decide the claim: those of the first `seeds` seeds, and their parents."""
    seeds: int
    lack: str = ""
    """Why no run of the suite can decide the claim; empty if one can."""
    powered: bool = False
    """Whether `seeds` give an effect of the claim's size 80 % power, instead of just allowing a significant result."""


Needed = Callable[[Claim, int, float], float | None]


@dataclass(frozen=True)
class Choice:
    """The claims chosen for a budget, and the cells to run."""

    decided: tuple[Requirement, ...]
    """The claims that will be decided, in the order in which they were chosen."""
    cells: tuple[Cell, ...]
    """The missing cells, in the suite's order."""
    hours: float
    """Device hours for `cells`."""


def requirements(suite: Suite, needed: Needed = lambda *_: None) -> list[Requirement]:
    """What every claim of a suite needs to be decided.

    Args:
        suite: names the claims.
        needed: returns, for a claim, a number of strata and a significance level, the seeds needed to detect an effect
            of the claim's size; infinite if the search finds none, None if unknown.
    """
    runs = PairedRuns(suite, empty_results(suite), PRIMARY)
    by_path = {str(record_path(suite, cell)): cell for cell in suite.cells}
    claims = suite_claims(suite)
    sizes = family_sizes(suite, claims)
    return [_need(claim, runs, by_path, ALPHA / max(sizes[claim.family], 1), needed) for claim in claims]


def choose(
    suite: Suite, wanted: Sequence[Requirement], done: set[Cell], hours: Callable[[Cell], float], most: float
) -> Choice:
    """Choose the claims to decide within `most` hours of device time.

    Args:
        suite: gives the order of cells.
        wanted: the claims' requirements; those with a `lack` are left out.
        done: cells that have a record.
        hours: device hours of a missing cell; claims with a cell of unknown duration (NaN) are left out.
        most: the budget.
    """
    cost = {cell: hours(cell) for need in wanted for cell in need.cells if cell not in done}
    left = [need for need in wanted if not need.lack]
    have, decided, spent = set(done), [], 0.0
    while True:
        for need in [need for need in left if have.issuperset(need.cells)]:
            decided.append(need)
            left.remove(need)
        open_ = {need.claim.id: [cell for cell in need.cells if cell not in have] for need in left}
        prices = {name: sum(cost[cell] for cell in cells) for name, cells in open_.items()}
        # False if the price is NaN.
        affordable = [name for name, price in prices.items() if spent + price <= most]
        if not affordable:
            order = tuple(cell for cell in suite.cells if cell in have and cell not in done)
            return Choice(tuple(decided), order, spent)

        def worth(name: str, open_=open_, prices=prices) -> float:
            gained = set(open_[name])
            return sum(gained.issuperset(cells) for cells in open_.values()) / max(prices[name], 1e-9)

        best = max(affordable, key=worth)
        have.update(open_[best])
        spent += prices[best]


def fewest_seeds(claim: Comparison, strata: int, planned: int, alpha: float) -> int | None:
    """The fewest planned seeds with which a claim's test can reach significance; None if all of them are too few.

    Sign flips need enough pairs for their smallest p-value to be at most alpha. A claim about spread needs a chance of
    80 % to find its ratio against all its baselines. What other tests need depends on scores that do not exist yet, so
    they get the minimum.
    """
    chance = chance_of_each(len(claim.against))
    least = max(min(claim.seeds, planned), LEAST_SEEDS)
    if isinstance(claim, Spread):
        return fewest(lambda n: power_of_ratio(claim.size(), n, strata, alpha) >= chance, least, planned)
    speaks = not isinstance(claim, MeanDifference)
    return next((n for n in range(least, planned + 1) if speaks or smallest_p(n, strata) <= alpha), None)


def _need(claim: Claim, runs: PairedRuns, by_path: dict[str, Cell], alpha: float, needed: Needed) -> Requirement:
    if claim.unreachable:
        return Requirement(claim, (), (), 0, "unreachable")
    if not isinstance(claim, Comparison):
        return Requirement(claim, (), (), 0, "decided by measurements of layers, not by cells")
    evidence = runs.gather(claim)
    planned = tuple(by_path[path] for path in evidence.missing)
    if evidence.outside or not planned:
        return Requirement(claim, planned, (), 0, evidence.lack)
    seeds = sorted(set.intersection(*_seeds_of_sides(planned)))
    enough = fewest_seeds(claim, len(evidence.strata), len(seeds), alpha) if seeds else None
    if enough is None:
        least = fewest_seeds(claim, len(evidence.strata), MOST_SEEDS, alpha) if seeds else None
        more = f": it takes {least}" if least else ""
        return Requirement(claim, planned, (), 0, f"{counted(len(seeds), 'seed')} are too few for its test{more}")
    powered = needed(claim, len(evidence.strata), alpha)
    if powered and powered > len(seeds):
        spelled = f"{powered}" if math.isfinite(powered) else f"over {MOST_SEEDS:,}"
        lack = f"an effect of its size needs {spelled} seeds, {len(seeds)} are planned"
        return Requirement(claim, planned, (), 0, lack)
    count = max(enough, int(powered or 0))
    kept = [cell for cell in planned if cell.seed in seeds[:count]]
    parents = filter(None, map(runs.suite.parent, kept))
    return Requirement(claim, planned, tuple(dict.fromkeys([*kept, *parents])), count, powered=powered is not None)


def _seeds_of_sides(cells: Sequence[Cell]) -> list[set[int]]:
    found: dict[str, set[int]] = {}
    for cell in cells:
        found.setdefault(cell.group, set()).add(cell.seed)
    return list(found.values())
