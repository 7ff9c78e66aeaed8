"""Summarises a suite's results in sentences: counts and differences, without untested conclusions."""

import math
import statistics
from collections.abc import Iterator

from steadytune.rendering.table import number
from steadytune.results.description import PretrainingPair
from steadytune.results.model import Results
from steadytune.results.scores import ABSENT, Score, in_order, paired
from steadytune.results.selection import select
from steadytune.tasks.summary import MOSTLY
from steadytune.text import counted, extent, listed

MOST_METHODS = 30
"""If all pretrained encoders together have more methods than this, only one encoder is described."""


def sentences(results: Results) -> list[str]:
    """Sentences on coverage, evaluation texts seen in training, the majority class, every method against the baseline,
    transfer and pretraining, and a caution.
    """
    coverage, results = _coverage(results), select(results)
    found = [
        coverage,
        *_mostly_seen(results),
        *(sentence for encoder in _described(results) for sentence in _of_encoder(results, encoder)),
    ]
    found += [_pretraining(results, pair) for pair in results.suite.pretraining_pairs]
    return [sentence for sentence in (*found, _caution(results)) if sentence]


def _described(results: Results) -> list[str]:
    """The encoders to describe: all pretrained ones that have begun; only the primary one if there are none or too
    many methods.
    """
    random = {pair.random for pair in results.suite.pretraining_pairs}
    found = [encoder for encoder in results.encoders_begun if encoder not in random]
    methods = sum(len(results.methods_of(encoder)) for encoder in found)
    return found if found and methods <= MOST_METHODS else [results.primary]


def _of_encoder(results: Results, encoder: str) -> Iterator[str]:
    methods = [method for method in results.methods_of(encoder) if method != results.baseline]
    where = f"With {encoder}, " if len(results.encoders) > 1 else ""
    yield _above_majority(results, encoder)
    for sentence in (*(_against_baseline(results, encoder, method) for method in methods),
                     _without_pairs(results, encoder, methods), _transfer(results, encoder)):  # fmt: skip
        yield f"{where}{sentence[:1].lower() if where else sentence[:1]}{sentence[1:]}" if sentence else ""


def _coverage(results: Results) -> str:
    ends = [status for statuses in results.cells.values() for status in statuses.values()]
    ok = ends.count("ok")
    old = f" {len(results.stale)} records are not fresh (†): `steadytune status` says why." if results.stale else ""
    if ok == len(ends):
        return f"All {ok} planned cells ended ok.{old}"
    others = [f"{ends.count(status)} {status.replace('_', ' ')}" for status in in_order(ends) if status != "ok"]
    provisional = " All numbers below are provisional until every cell has run." if ABSENT & set(ends) else ""
    return f"{ok} of {len(ends)} planned cells ended ok; {', '.join(others)}.{provisional}{old}"


def _mostly_seen(results: Results) -> Iterator[str]:
    """Warn about tasks whose evaluation texts are mostly in the training set, as when both use the same file."""
    found = {task: counts for (_, task, on), counts in results.examples.items() if task == on}
    for task, counts in found.items():
        if counts.seen_in_training >= MOSTLY * counts.n:
            yield (
                f"{counts.seen_in_training:,} of {counts.n:,} examples of {task} have texts that are in its "
                "training set too: scores on what training has seen say nothing about new texts."
            )


def _above_majority(results: Results, encoder: str) -> str:
    """How far the best mean of each task exceeds the majority class."""
    margins = {}
    for task in results.tasks_of(encoder):
        scores = [results.score(encoder, method, task) for method in results.methods_of(encoder)]
        means = [
            score.mean - score.majority for score in scores if score and math.isfinite(score.mean - score.majority)
        ]
        if means:
            margins[task] = max(means)
    if not margins:
        return ""
    below = [task for task, margin in margins.items() if margin <= 0]
    if below:
        return f"With {encoder}, no method's mean is above the majority class on {listed(below)}."
    least, most = min(margins, key=lambda task: margins[task]), max(margins, key=lambda task: margins[task])
    gap = f"by {number(margins[least])} points on {least}"
    gap += f" to {number(margins[most])} on {most}" if len(margins) > 1 else ""
    return f"With {encoder}, the best mean is above the majority class on every scored task, {gap}."


def _against_baseline(results: Results, encoder: str, method: str) -> str:
    pairs = _pairs(results, (encoder, method), (encoder, results.baseline))
    if not pairs:
        return ""
    # Skip zero spread, which means that the runs collapsed to one answer, and the NaN of a single run.
    spread = [(first.std, second.std) for first, second in pairs if first.std > 0 and second.std > 0]
    tighter = sum(first < second for first, second in spread)
    stability = f"; smaller standard deviation on {tighter} of {len(spread)}" if spread else ""
    return f"{method} against {results.baseline}: {_compared(pairs)}{stability}."


def _without_pairs(results: Results, encoder: str, methods: list[str]) -> str:
    """The methods that cannot be compared with the baseline, in one sentence."""
    baseline = (encoder, results.baseline)
    found = [method for method in methods if not _pairs(results, (encoder, method), baseline)]
    return f"No task and seed in common with {results.baseline}: {', '.join(found)}." if found else ""


def _pretraining(results: Results, pair: PretrainingPair) -> str:
    method = results.baseline
    pairs = _pairs(results, (pair.pretrained, method), (pair.random, method))
    sides = f"{pair.pretrained} (pretrained) against {pair.random} (random weights), {method}"
    return f"{sides}: {_compared(pairs)}." if pairs else f"{sides}: no task and seed for which both have a score."


def _transfer(results: Results, encoder: str) -> str:
    """The range of the baseline's drops from its own task to other sets."""
    drops = []
    for task in results.tasks_of(encoder):
        own = results.score(encoder, results.baseline, task)
        for evaluation_set in results.transfer_sets(encoder, task):
            far = results.score(encoder, results.baseline, task, evaluation_set)
            if own and far and own.metric == far.metric and math.isfinite(drop := paired(own, far).mean):
                drops.append(drop)
    if not drops:
        return ""
    changes = [number(-drop, sign=True) for drop in (max(drops), min(drops))]
    spelled = " to ".join(dict.fromkeys(changes))
    return f"On {counted(len(drops), 'other set')}, {results.baseline} differs from its own task by {spelled} points."


def _caution(results: Results) -> str:
    """The relative standard error of a standard deviation from n normal draws: about 1 / sqrt(2 (n - 1)).

    n is the smallest number of seeds, two or more, behind any deviation that was compared, or else behind any score.
    """
    counts = {len(score.points) for key, score in results.scores.items() if key[2] == key[3]} - {0}
    if not counts:
        return ""
    if counts == {1}:
        return "One seed of each method says nothing about the spread over seeds: any difference here could be chance."
    compared = {
        len(one.points)
        for encoder in _described(results)
        for method in results.methods_of(encoder)
        if method != results.baseline
        for one, _ in _pairs(results, (encoder, method), (encoder, results.baseline))
    }
    fewest = min(compared - {1} or counts - {1})
    share = round(100 / math.sqrt(2 * (fewest - 1)))
    return (
        f"These sentences describe {extent(counts)} seeds of each method, untested: a standard deviation over {fewest} "
        f"seeds is itself uncertain by about {share} %."
    )


def _pairs(results: Results, first: tuple[str, str], second: tuple[str, str]) -> list[tuple[Score, Score]]:
    """Scores of two (encoder, method) on each task that has shared seeds, restricted to these."""
    both = [(results.score(*first, task), results.score(*second, task)) for task in results.tasks]
    found = [(one.on(other.points), other.on(one.points)) for one, other in both if one and other]
    return [(one, other) for one, other in found if one.points]


def _compared(pairs: list[tuple[Score, Score]]) -> str:
    """`higher mean on 2 of 3 tasks, +0.4 points on average; higher on 5 of 9 pairs with the same seed`.

    If some tasks have more seeds than others, the numbers of seeds follow.
    """
    gaps = [one.mean - other.mean for one, other in pairs]
    seeds = [difference for one, other in pairs for difference in paired(one, other).differences]
    counts = {len(one.points) for one, _ in pairs}
    tasks = f"{sum(gap > 0 for gap in gaps)} of {counted(len(gaps), 'task')}"
    shared = f"higher on {sum(gap > 0 for gap in seeds)} of {len(seeds)} pairs with the same seed"
    unequal = f" ({extent(counts)} seeds a task)" if len(counts) > 1 else ""
    return f"higher mean on {tasks}, {number(statistics.fmean(gaps), sign=True)} points on average; {shared}{unequal}"
