"""Which claims a number of hours can decide, and the cells for them.

A claim is decided by the same seeds on all of its sides: at least as many as its paper ran, so many that its test can
speak at all (`fewest_seeds`), and, if deviations are recorded or assumed, as many as an effect of its size needs.
Claims share cells, so they are taken one after the other, each time the one that adds the most decided claims for an
hour, those included that its cells decide besides. Greedy: not always the best.
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
    """All its cells that the suite has."""
    cells: tuple[Cell, ...]
    """Those that decide it: of `seeds` only."""
    seeds: int
    lack: str = ""
    """Why no run of the suite could decide it."""
    powered: bool = False
    """Whether `seeds` give an effect of its size a chance of 80 %, and do not merely let its test speak."""


Needed = Callable[[Claim, int, float], float | None]


@dataclass(frozen=True)
class Choice:
    """What is to be run."""

    decided: tuple[Requirement, ...]
    """In the order in which they were taken."""
    cells: tuple[Cell, ...]
    """Those that are missing, in the suite's order."""
    hours: float
    """Of device time, for `cells`."""


def requirements(suite: Suite, needed: Needed = lambda *_: None) -> list[Requirement]:
    """The cells of every claim of a suite.

    Args:
        suite: names the claims.
        needed: the seeds that an effect of a claim's size needs on so many strata at a level, infinite where no number
            searched is enough; None if nothing tells.
    """
    runs = PairedRuns(suite, empty_results(suite), PRIMARY)
    by_path = {str(record_path(suite, cell)): cell for cell in suite.cells}
    claims = suite_claims(suite)
    sizes = family_sizes(suite, claims)
    return [_need(claim, runs, by_path, ALPHA / max(sizes[claim.family], 1), needed) for claim in claims]


def choose(
    suite: Suite, wanted: Sequence[Requirement], done: set[Cell], hours: Callable[[Cell], float], most: float
) -> Choice:
    """The claims that are decided within `most` hours of device time.

    Args:
        suite: gives the order of cells.
        wanted: the claims' needs; those with a `lack` are left out.
        done: cells that have a record.
        hours: what a missing cell takes; NaN where that is not known, which leaves its claims out.
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
        # NaN is not within a budget.
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
    """With how many of the planned seeds a claim's test can speak; None where all of them are too few.

    Sign flips need so many pairs that their smallest p-value is at most alpha; a claim about spread, that its own ratio
    is found against all its baselines with a chance of 80 %. What other tests need depends on scores that are not there
    yet.
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
