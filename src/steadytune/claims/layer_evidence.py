"""The variability stage's evidence on a claim that the choice of a layer is stable."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from steadytune.claims.claim import LayerStability
from steadytune.claims.evidence import Evidence, Stratum
from steadytune.layout import variability_path
from steadytune.results.variability import read_variability
from steadytune.suite.suite import Suite


def pairs_of(claim: LayerStability, suite: Suite) -> list[tuple[str, str]]:
    """The (encoder, task) pairs of a claim; the task is `*` if the claim is about all and the suite measures none."""
    studies = suite.variability_pairs()
    return [
        (encoder, task)
        for encoder in claim.encoders
        for task in ([t for e, t in studies if e == encoder] or ["*"] if claim.tasks == "*" else claim.tasks)
    ]


def gather_draws(claim: LayerStability, suite: Suite) -> Evidence:
    """The draws of every encoder and task of the claim; if its tasks are `*`, of the tasks that have any."""
    studies, pairs = suite.variability_pairs(), pairs_of(claim, suite)
    paths = {pair: variability_path(suite, *pair) for pair in pairs if pair in studies}
    facts: dict[str, Any] = {
        "strata": tuple(Stratum(encoder, encoder, task) for encoder, task in pairs),
        "outside": tuple("/".join(pair) for pair in pairs if pair not in paths),
        "missing": tuple(str(path) for path in paths.values() if not path.exists()),
    }
    if facts["outside"] or facts["missing"]:
        absent = len(facts["outside"]) + len(facts["missing"])
        return Evidence(**facts, lack=f"{absent} of {len(pairs)} layer measurements are missing")
    draws = {pair: found for pair, path in paths.items() if (found := draws_at(claim, path))}
    lacking = ["/".join(pair) for pair in pairs if pair not in draws]
    # Some points cannot be drawn from a task with few examples or many classes.
    if not draws or (lacking and claim.tasks != "*"):
        lack = f"layer measurements without such draws: {len(lacking)} of {len(pairs)}"
        return replace(Evidence(**facts), outside=tuple(lacking), lack=lack)
    drawn = tuple(Stratum(encoder, encoder, task) for encoder, task in draws)
    return replace(Evidence(**facts), strata=drawn, draws=tuple(draws.values()))


def draws_at(claim: LayerStability, path: Path) -> tuple[int, int] | None:
    """(draws whose l* equals that of all data, all draws) at the claim's point; None if the file has no such point."""
    found = read_variability(path)
    scarce = claim.examples is not None
    wanted = claim.examples or claim.majority or 0
    for point in found.scarcity if scarce else found.imbalance:
        # A share is rounded to whole examples: 0.9 may have become 0.897.
        if found.robustness and math.isclose(point.examples if scarce else point.share, wanted, abs_tol=0.01):
            return round(point.agreement * found.robustness.draws), found.robustness.draws
    return None
