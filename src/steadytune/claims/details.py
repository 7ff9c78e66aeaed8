"""The details of a comparison of scores: both sides summarised, and how they differ, on each task alone."""

from steadytune.claims.claim import ALPHA, Claim, Comparison, Cost, Gain
from steadytune.claims.evidence import Evidence
from steadytune.claims.examples import Examples
from steadytune.claims.findings import find
from steadytune.claims.judged import Detail
from steadytune.claims.paired_runs import PairedRuns
from steadytune.claims.question import Differs
from steadytune.claims.statistics import probability_of_improvement, summarise


def details(
    claim: Claim, evidence: Evidence, runs: PairedRuns, examples: Examples, *, interim: bool
) -> tuple[Detail, ...]:
    """The details of a comparison of scores, for each stratum and baseline; empty for other claims."""
    if not isinstance(claim, Comparison) or isinstance(claim, Cost | Gain) or evidence.lack:
        return ()
    found = []
    for row, stratum in enumerate(evidence.strata):
        on_task = evidence.on(row)
        errors = runs.over_examples(claim, on_task, examples)
        for baseline, (first, second) in on_task.pairs.items():
            alone = Evidence(pairs={baseline: (first, second)}, errors=errors)
            named = ((stratum.encoder, claim.method), (stratum.baseline_encoder, baseline))
            cells = [runs.sides.cells_of((*side, stratum.task), evidence.seeds) for side in named]
            question = Differs.between(stratum.encoder, claim.method, baseline)
            found.append(
                Detail(
                    stratum=str(stratum),
                    against=baseline,
                    first=summarise(first[0]),
                    second=summarise(second[0]),
                    improvement=probability_of_improvement(first, second),
                    difference=find(question, alone, ALPHA, interim=interim),
                    changed=examples.changed(list(zip(*cells, strict=True))),
                )
            )
    return tuple(found)
