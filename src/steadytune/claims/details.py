"""Task by task, what stands behind a comparison of scores: both sides described, and how they differ there alone."""

from typing import Any

import numpy as np

from steadytune.claims.claim import Claim, Cost, Difference, Gain, LayerStability
from steadytune.claims.evidence import Evidence, Stratum
from steadytune.claims.scene import Scene
from steadytune.claims.significance import mcnemar, permutation
from steadytune.claims.statistics import almost_stochastic_order, probability_of_improvement, summarise
from steadytune.layout import predictions_path
from steadytune.results.model import Results


def details(claim: Claim, evidence: Evidence, scene: Scene) -> list[dict[str, Any]]:
    """A mapping for each baseline and stratum of a comparison of scores; empty for other claims.

    `first`, `second`: summaries in points. `improvement`: the probability that a run of the first scores higher.
    `eps_min`: of almost stochastic order, below 0.5 where the first is almost always better. `unpaired_p`: of a
    permutation test that does not pair runs by seed. `mcnemar`: in how many pairs of runs the predictions differ more
    than chance would have it (exact, 0.05 each), where the set is the task's own and has classes.
    """
    if isinstance(claim, Cost | Gain | LayerStability):
        return []
    found = []
    for baseline, (first, second) in evidence.pairs.items():
        for row, stratum in enumerate(evidence.strata):
            one, other = first[row], second[row]
            found.append(
                {
                    "stratum": str(stratum),
                    "against": baseline,
                    "first": vars(summarise(one)),
                    "second": vars(summarise(other)),
                    "improvement": probability_of_improvement(one[None], other[None]),
                    "eps_min": almost_stochastic_order(one, other),
                    "unpaired_p": permutation(one[None], other[None]),
                    "mcnemar": None
                    if isinstance(claim, Difference) and (claim.sets or claim.reading != "headline")
                    else _mcnemar(scene, stratum, (claim.method, baseline), evidence.seeds),
                }
            )
    return found


def _mcnemar(scene: Scene, stratum: Stratum, methods: tuple[str, str], seeds: tuple[int, ...]) -> dict[str, int] | None:
    """How many pairs of runs there are, and how many of them differ; None where there are no classes to predict."""
    task = scene.suite.task(stratum.task)
    if task.regression or task.span:
        return None
    p_values = []
    for seed in seeds:
        sides = [
            answered_rightly(scene.side(method), (encoder, method, stratum.task, seed))
            for encoder, method in zip((stratum.encoder, stratum.baseline_encoder), methods, strict=True)
        ]
        if all(len(side) for side in sides) and len(sides[0]) == len(sides[1]):
            p_values.append(mcnemar(sides[0], sides[1]))
    return {"pairs": len(p_values), "differ": sum(p <= 0.05 for p in p_values)}


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
