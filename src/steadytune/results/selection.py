"""Which variant of a grid stands for its method: chosen on the reported set, on held-out training data, or not at all.

A variant is chosen for each encoder, method and task by its mean over the seeds that all of its variants have run; a
diverged run counts as the lowest score of them, or the majority class's where that is lower. *published* looks at
the evaluation split that the table reports, as HyPe did, so the number is the best of several and too good; *nested*
looks at the share of the training split that `protocol.holdout` keeps from training; *fixed* takes the first point.
"""

import math
import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from steadytune.results.model import Key, Results
from steadytune.suite.variants import point, stand_for

RULES = {
    "published": "by the mean on the reported evaluation split itself, as HyPe did: the score is the best of several",
    "nested": "by the mean on held-out training data, which the reported split has no part in",
    "fixed": "the first point of its grid: nothing is selected",
}


def select(results: Results, rule: str | None = None, *, every: bool = False) -> Results:
    """The same results with one variant for each encoder, method and task, under the method's plain name.

    Args:
        results: with every variant as a method of its own.
        rule: `published`, `nested` or `fixed`; by default the suite's.
        every: whether variants that the suite's grid names (`hype-n~sigma=1e-05`) are there too, under their names.
    """
    rule = rule or results.suite.selection
    names = stand_for(results.methods, results.suite.named, every=every)
    groups: dict[Key, list[str]] = {}
    for method, variants in names.items():
        for encoder in results.encoders:
            for task in results.tasks:
                if there := [variant for variant in variants if (encoder, variant, task) in results.cells]:
                    groups[encoder, method, task] = there
    if all(variants == [method] for (_, method, _), variants in groups.items()) and len(groups) == len(results.cells):
        return results
    chosen = {key: _choice(results, rule, key, variants) for key, variants in groups.items()}
    standing: dict[Key, list[Key]] = {}
    for (encoder, method, task), variant in chosen.items():
        standing.setdefault((encoder, variant, task), []).append((encoder, method, task))

    def kept(values: Mapping[tuple, Any]) -> dict[Any, Any]:
        """What belongs to a chosen variant, by (encoder, method, task, ...)."""
        return {(*to, *key[3:]): value for key, value in values.items() for to in standing.get(key[:3], ())}

    return replace(
        results,
        cells=kept(results.cells),
        seconds=kept(results.seconds),
        stale=kept(results.stale),
        scores=kept(results.scores),
        held_out=kept(results.held_out),
        methods=tuple(names),
        variants=chosen,
        choices={key: len(variants) for key, variants in groups.items()},
        rule=rule,
    )


def selection_notes(results: Results) -> list[str]:
    """What was chosen, and how, below a table of selected results."""
    picked = {key: variant for key, variant in results.variants.items() if results.choices[key] > 1}
    if not picked:
        return []
    spelled = "; ".join(
        f"{method} on {task} ({encoder}): {point(variant) or 'as it stands'}"
        for (encoder, method, task), variant in picked.items()
    )
    counts = sorted({results.choices[key] for key in picked})
    return [f"Variant of {' or '.join(map(str, counts))}, chosen {RULES[results.rule]}. Chosen: {spelled}."]


def _choice(results: Results, rule: str, key: tuple[str, str, str], variants: list[str]) -> str:
    """The variant with the highest mean; the first of equals, and the first where none has a score."""
    encoder, _, task = key
    cells = {variant: (encoder, variant, task) for variant in variants}
    looked_at = results.held_out if rule == "nested" else {cell: results.score(*cell) for cell in cells.values()}
    scores = {variant: score for variant, cell in cells.items() if (score := looked_at.get(cell)) and score.points}
    if rule == "fixed" or not scores:
        return variants[0]
    # A setting at which most runs diverge is not as good as its one lucky run.
    lowest = min(min(score.points.values()) for score in scores.values())
    lowest = min([lowest, *(score.majority for score in scores.values() if math.isfinite(score.majority))])
    runs = {
        variant: {seed: lowest for seed, status in score.statuses.items() if status == "diverged"} | score.points
        for variant, score in scores.items()
    }
    shared = set.intersection(*map(set, runs.values()))
    return max(runs, key=lambda variant: statistics.fmean(runs[variant][seed] for seed in shared or runs[variant]))
