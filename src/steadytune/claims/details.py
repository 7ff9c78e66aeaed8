"""Task by task, what stands behind a comparison of scores: both sides described, and how they differ there alone."""

import numpy as np

from steadytune.claims.claim import Claim, Cost, Difference, Gain, LayerStability
from steadytune.claims.evidence import Evidence, Stratum
from steadytune.claims.judged import Detail, McNemar
from steadytune.claims.paired_runs import PairedRuns
from steadytune.claims.significance import mcnemar
from steadytune.claims.statistics import probability_of_improvement, summarise
from steadytune.layout import predictions_path
from steadytune.results.model import Results


def details(claim: Claim, evidence: Evidence, runs: PairedRuns) -> tuple[Detail, ...]:
    """A description for each baseline and stratum of a comparison of scores; empty for other claims."""
    if isinstance(claim, Cost | Gain | LayerStability):
        return ()
    own_set = not (isinstance(claim, Difference) and (claim.sets or claim.reading != "headline"))
    return tuple(
        Detail(
            stratum=str(stratum),
            against=baseline,
            first=summarise(first[row]),
            second=summarise(second[row]),
            improvement=probability_of_improvement(first[row, None], second[row, None]),
            mcnemar=_mcnemar(runs, stratum, (claim.method, baseline), evidence.seeds) if own_set else None,
        )
        for baseline, (first, second) in evidence.pairs.items()
        for row, stratum in enumerate(evidence.strata)
    )


def _mcnemar(runs: PairedRuns, stratum: Stratum, methods: tuple[str, str], seeds: tuple[int, ...]) -> McNemar | None:
    """How many pairs of runs there are, and how many of them differ; None if there are no classes to predict."""
    task = runs.suite.task(stratum.task)
    if task.regression or task.span:
        return None
    p_values = []
    for seed in seeds:
        sides = [
            answered_rightly(runs.side(method), (encoder, method, stratum.task, seed))
            for encoder, method in zip((stratum.encoder, stratum.baseline_encoder), methods, strict=True)
        ]
        if all(len(side) for side in sides) and len(sides[0]) == len(sides[1]):
            p_values.append(mcnemar(sides[0], sides[1]))
    return McNemar(len(p_values), sum(p <= 0.05 for p in p_values))


def answered_rightly(results: Results, named: tuple[str, str, str, int]) -> np.ndarray:
    """Whether a cell, `named` as `Results.cell` takes it, answered each example of its own task rightly.

    Shape (examples,), in the order of the set; empty where the cell has left no predictions.
    """
    import pandas as pd

    path = predictions_path(results.folder, results.cell(*named))
    if not path.is_file():
        return np.empty(0, dtype=bool)
    columns = ["evaluation_set", "row", "label", "prediction"]
    frame = pd.read_parquet(path, columns=columns, filters=[("evaluation_set", "==", named[2])]).sort_values("row")
    return (frame["label"] == frame["prediction"]).to_numpy(dtype=bool)
