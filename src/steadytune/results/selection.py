"""Which variant of a grid stands for its method: chosen on the reported set, on held-out training data, or not at all.

For each encoder, method and task, the variant with the highest mean is chosen, over the seeds that all variants have
run. A diverged run counts as the lowest score of any variant, or as the majority class's score if that is lower.
*published* uses the evaluation split that the table reports, as HyPe did, so the printed number is the best of several
and too high. *nested* uses the share of the training split that `protocol.holdout` keeps from training, and chooses for
each seed by the other seeds: a run that was lucky on both sets cannot choose itself. *fixed* takes the first point.
"""

import math
import statistics
from collections.abc import Collection, Mapping
from dataclasses import replace

from steadytune.results.model import Key, Results, SetKey
from steadytune.results.scores import ABSENT, Score
from steadytune.suite.variants import point, variants_by_name

RULES = {
    "published": "by the mean on the reported evaluation split itself, as HyPe did: the score is the best of several",
    "nested": "for each seed by the other seeds' mean on held-out training data; the reported split has no part in it",
    "fixed": "the first point of its grid: nothing is selected",
}


def select(results: Results, rule: str | None = None, *, every: bool = False) -> Results:
    """The results with one variant for each encoder, method, task and seed, under the method's plain name.

    Args:
        results: results with every variant as a separate method.
        rule: `published`, `nested` or `fixed`; by default the suite's.
        every: whether to include variants that the suite's grid names (`hype-n~sigma=1e-05`), under their own names.
    """
    rule = rule or results.suite.selection
    names = variants_by_name(results.methods, results.suite.named, every=every)
    groups: dict[Key, list[str]] = {}
    for method, variants in names.items():
        for encoder in results.encoders:
            for task in results.tasks:
                if present := [variant for variant in variants if (encoder, variant, task) in results.cells]:
                    groups[encoder, method, task] = present
    if all(variants == [method] for (_, method, _), variants in groups.items()) and len(groups) == len(results.cells):
        return results
    chosen = {key: _choices(results, rule, key, variants) for key, variants in groups.items()}
    sets: dict[Key, list[str]] = {}
    for encoder, variant, task, evaluation_set in results.scores:
        sets.setdefault((encoder, variant, task), []).append(evaluation_set)
    picked = [(key, (key[0], variant, key[2]), seed) for key, by in chosen.items() for seed, variant in by.items()]
    cells: dict[Key, dict[int, str]] = {key: {} for key in groups}
    parts: dict[SetKey, dict[int, Score]] = {}
    held_out: dict[Key, dict[int, Score]] = {}
    for key, of, seed in picked:
        cells[key][seed] = results.cells[of][seed]
        for evaluation_set in sets.get(of, ()):
            parts.setdefault((*key, evaluation_set), {})[seed] = results.scores[*of, evaluation_set]
        if of in results.held_out:
            held_out.setdefault(key, {})[seed] = results.held_out[of]
    return replace(
        results,
        cells=cells,
        seconds={(*key, seed): results.seconds[*of, seed] for key, of, seed in picked},
        stale={(*key, seed): results.stale[*of, seed] for key, of, seed in picked if (*of, seed) in results.stale},
        scores={key: _joined(by_seed) for key, by_seed in parts.items()},
        held_out={key: _joined(by_seed) for key, by_seed in held_out.items()},
        methods=tuple(names),
        variants={(*key, seed): of[1] for key, of, seed in picked},
        choices={key: len(variants) for key, variants in groups.items()},
        rule=rule,
    )


def chosen_variants(results: Results, key: Key) -> dict[str, list[int]]:
    """The variants that stand for (encoder, method, task) in selected results, each with its seeds."""
    found: dict[str, list[int]] = {}
    for seed in results.cells.get(key, ()):
        found.setdefault(results.cell(*key, seed).method, []).append(seed)
    return found


def selection_notes(results: Results) -> list[str]:
    """The notes below a table of selected results: what was chosen, and how."""
    several = [key for key, count in results.choices.items() if count > 1]
    picked = [key for key in several if any(status not in ABSENT for status in results.cells[key].values())]
    if not picked:
        return []
    spelled = [f"{key[1]} on {key[2]} ({key[0]}): {_spelled(results, key)}" for key in picked]
    counts = sorted({results.choices[key] for key in picked})
    return [f"Variant of {' or '.join(map(str, counts))}, chosen {RULES[results.rule]}. Chosen: {'; '.join(spelled)}."]


def _spelled(results: Results, key: Key) -> str:
    """The chosen values; if they differ between seeds, with the number of seeds that have run with each."""
    run = {seed for seed, status in results.cells[key].items() if status not in ABSENT}
    found = {variant: len(run.intersection(seeds)) for variant, seeds in chosen_variants(results, key).items()}
    found = {point(variant) or "suite settings": count for variant, count in found.items() if count}
    if len(found) == 1:
        return next(iter(found))
    return " and ".join(f"{values} for {count} of {len(run)} seeds" for values, count in found.items())


def _choices(results: Results, rule: str, key: Key, variants: list[str]) -> dict[int, str]:
    """Seed -> the chosen variant, which has a cell at that seed."""
    encoder, _, task = key
    cells = {variant: (encoder, variant, task) for variant in variants}
    looked_at = results.held_out if rule == "nested" else {cell: results.score(*cell) for cell in cells.values()}
    scores = {variant: score for variant, cell in cells.items() if (score := looked_at.get(cell)) and score.points}
    if rule == "fixed" or not scores:
        return dict.fromkeys(results.cells[cells[variants[0]]], variants[0])
    seeds = {seed for cell in cells.values() for seed in results.cells[cell]}
    if rule != "nested":
        variant = _best(scores, seeds) or variants[0]
        return dict.fromkeys(results.cells[cells[variant]], variant)
    found = {}
    for seed in sorted(seeds):
        present = [variant for variant in variants if seed in results.cells[cells[variant]]]
        seen = {variant: scores[variant] for variant in present if variant in scores}
        found[seed] = _best(seen, seeds - {seed}) or present[0]
    return found


def _best(scores: Mapping[str, Score], seeds: Collection[int]) -> str | None:
    """The variant with the highest mean over these seeds, the first in a tie; None if no variant has a score."""
    points = {variant: score.on(seeds).points for variant, score in scores.items()}
    points = {variant: values for variant, values in points.items() if values}
    if not points:
        return None
    # Otherwise a setting whose runs mostly diverge would be judged by its one lucky run.
    lowest = min(min(values.values()) for values in points.values())
    lowest = min([lowest, *(score.majority for score in scores.values() if math.isfinite(score.majority))])
    runs = {
        variant: {seed: lowest for seed in seeds if scores[variant].statuses.get(seed) == "diverged"} | values
        for variant, values in points.items()
    }
    shared = set.intersection(*map(set, runs.values()))
    return max(runs, key=lambda variant: statistics.fmean(runs[variant][seed] for seed in shared or runs[variant]))


def _joined(parts: Mapping[int, Score]) -> Score:
    """One score from those of several variants; `parts` has the chosen variant's score for each seed."""
    return replace(
        next(iter(parts.values())),
        statuses={seed: part.statuses[seed] for seed, part in parts.items()},
        points={seed: part.points[seed] for seed, part in parts.items() if seed in part.points},
        stale=frozenset(seed for seed, part in parts.items() if seed in part.stale),
    )
