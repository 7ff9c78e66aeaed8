"""Why the runs so far cannot be judged."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from steadytune.claims.claim import Comparison, Cost, Spread
from steadytune.claims.statistics import constant
from steadytune.results.model import Key, Results
from steadytune.text import counted

LEAST_SEEDS = 3
"""The fewest seeds that are judged."""
ON_ONE_MACHINE = ("seconds", "memory")
"""Costs that cannot be compared if the two sides ran on different devices."""


def lack_of(
    claim: Comparison,
    columns: Mapping[Key, Mapping[int, float]],
    seeds: Sequence[int],
    side: Callable[[str], Results],
    planned: int,
    absent: int,
) -> str:
    """What the evidence on a claim lacks, as a clause; empty if the claim can be judged.

    Args:
        claim: what is compared.
        columns: (encoder, method, task) -> seed -> points or log cost, for every side.
        seeds: the seeds that every side has.
        side: returns the results in which to look up a method's cells.
        planned: number of seeds that the suite plans for every side.
        absent: number of planned cells that have not run.
    """
    if len(seeds) < LEAST_SEEDS:
        why = f"{counted(absent, 'cell')} not run yet" if absent else "the other runs ended without a score"
        why = f"the suite plans {planned}" if planned < LEAST_SEEDS else why
        besides = ", besides those that suggested the claim" if claim.suggested_by else ""
        have = f"{counted(len(seeds), 'seed')} {'has' if len(seeds) == 1 else 'have'} a score on every side and task"
        return f"{have}{besides}, and {LEAST_SEEDS} are needed: {why}"
    if isinstance(claim, Cost) and claim.measure in ON_ONE_MACHINE:
        records = [side(key[1]).record(*key, seed) for key in columns for seed in seeds]
        devices = {record["environment"]["device_name"] for record in records}
        if len(devices) > 1:
            return f"its cells ran on different devices: {', '.join(sorted(devices))}"
    collapsed = {key: all(side(key[1]).cells[key][seed] == "degenerate" for seed in seeds) for key in columns}
    if not isinstance(claim, Cost) and all(collapsed.values()):
        # Equal scores of degenerate runs do not show that the methods are equal.
        return "nothing was learned: every run gives one answer for every example"
    if isinstance(claim, Spread):
        # One such stratum would dominate the geometric mean of ratios, yet it shows nothing about spread over seeds.
        still = [key for key, column in columns.items() if collapsed[key] or _is_constant(column, seeds)]
        return f"no spread over these seeds: {', '.join(map('/'.join, still))}" if still else ""
    return ""


def _is_constant(column: Mapping[int, float], seeds: Sequence[int]) -> bool:
    return bool(constant(np.array([[column[seed] for seed in seeds]]))[0])
