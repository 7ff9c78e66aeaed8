"""Which variant of a grid stands for its method: chosen on the reported set, on held-out training data, or not at all.

A variant is chosen for each encoder, method and task by its mean over the seeds that have a score. *published* looks at
the evaluation split that the table reports, as HyPe did, so the number is the best of several and too good; *nested*
looks at the share of the training split that `protocol.holdout` keeps from training; *fixed* takes the first point.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from steadytune.rendering.results import Results
from steadytune.variants import base, point

RULES = {
    "published": "by the mean on the reported evaluation split itself, as HyPe did: the score is the best of several",
    "nested": "by the mean on held-out training data, which the reported split has no part in",
    "fixed": "the first point of its grid: nothing is selected",
}


def select(results: Results, rule: str | None = None) -> Results:
    """The same results with one variant for each encoder, method and task, under the method's plain name.

    Args:
        results: with every variant as a method of its own.
        rule: `published`, `nested` or `fixed`; by default the suite's.
    """
    rule = rule if rule is not None else str(results.suite.get("selection", "fixed"))
    groups: dict[tuple[str, str, str], list[str]] = {}
    for encoder, variant, task in sorted(results.cells, key=lambda cell: results.methods.index(cell[1])):
        groups.setdefault((encoder, base(variant), task), []).append(variant)
    if all(len(variants) == 1 and variants[0] == key[1] for key, variants in groups.items()):
        return results
    chosen = {key: _choice(results, rule, key, variants) for key, variants in groups.items()}
    names = {(encoder, variant, task): (encoder, method, task) for (encoder, method, task), variant in chosen.items()}

    def kept(values: Mapping[tuple, Any]) -> dict[Any, Any]:
        """What belongs to a chosen variant, by (encoder, method, task, ...)."""
        return {(*names[key[:3]], *key[3:]): value for key, value in values.items() if key[:3] in names}

    return replace(
        results,
        cells=kept(results.cells),
        seconds=kept(results.seconds),
        scores=kept(results.scores),
        held_out=kept(results.held_out),
        methods=tuple(dict.fromkeys(base(variant) for variant in results.methods)),
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
    if rule == "fixed":
        return variants[0]

    def mean(variant: str) -> float:
        cell = (encoder, variant, task)
        score = results.held_out.get(cell) if rule == "nested" else results.score(*cell)
        return score.mean if score and math.isfinite(score.mean) else -math.inf

    return max(variants, key=mean)
