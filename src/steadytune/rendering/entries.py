"""Code shared by the tables: formatted scores, the choice of what to set in bold, and notes."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from steadytune.rendering.table import NOTHING, Entry, Line, number, rounded
from steadytune.results.model import Key, Results
from steadytune.results.scores import ABSENT, Score
from steadytune.suite.start import Start
from steadytune.suite.variants import base
from steadytune.text import extent, listed

SPREAD = "Mean ± sample standard deviation (divisor n − 1) over seeds, in points (metric × 100); none for one seed."
COUNTS = (
    "k/n next to a score: k of n planned seeds ended ok and have a score. A degenerate seed (one class for every "
    "example) still counts in the mean; a diverged, out-of-memory, missing, stale or quarantined seed has no score."
)
STALE = "†"
BOLD = (
    "Bold: highest mean as printed, in a column of a block if methods are rows, in a row if they are columns; equal "
    "means share it. Two or more methods must compete. A method does not compete if a planned seed has no score, or if "
    "every run gives one answer or, except in F1, scores no more than the majority class, on its own task or on the "
    "set shown."
)
MAJORITY = (
    "Majority class: the score of always predicting the evaluation set's most frequent class; a dash if undefined."
)

SHARED = (SPREAD, MAJORITY, BOLD, COUNTS)
"""Notes that many tables have; the report prints each only once."""

CUT_SHARE = 0.01
"""If more than this share of examples is truncated to the maximum length, a note says so."""


def scored(score: Score | None, *, best: bool = False) -> Entry:
    """A score as printed, with a count unless every planned seed ended ok and has a score."""
    if score is None:
        return Entry(NOTHING)
    count = "" if score.sound == score.planned else f"{score.sound}/{score.planned}"
    count += STALE if score.stale & score.points.keys() else ""
    if not score.points:
        return Entry("no score", count=count)
    spread = number(score.std) if len(score.points) > 1 else ""
    return Entry(number(score.mean), spread=spread, count=count, best=best)


def mean_entry(values: Sequence[float], decimals: int = 1, *, sign: bool = False, count: str = "") -> Entry:
    """Mean and sample standard deviation as printed; no deviation for one value, a dash for none."""
    if not values:
        return Entry(NOTHING, count=count)
    spread = number(statistics.stdev(values), decimals) if len(values) > 1 else ""
    return Entry(number(statistics.fmean(values), decimals, sign=sign), spread=spread, count=count)


def set_line(
    results: Results,
    trained: tuple[str, str],
    names: Sequence[str],
    scores: Mapping[str, Score],
    methods: Sequence[str],
) -> Line:
    """A row: `names`, the majority class's score, then the score of each of `methods`, with the best in bold.

    `trained`: the encoder and the task that the methods were trained on.
    """
    best = leaders(contenders(results, *trained, scores))
    return (*names, majority_of(scores), *(scored(scores.get(method), best=method in best) for method in methods))


def majority_of(scores: Mapping[str, Score]) -> str:
    """The majority class's score as printed, from the scores of some methods on one set."""
    return next((number(score.majority) for score in scores.values()), NOTHING)


def numbers(key: Mapping[str, object], score: Score) -> dict[str, object]:
    """The csv row of a score."""
    counts = {"n_planned": score.planned, "n_ok": score.ok, "n_scored": len(score.points)}
    return (
        dict(key)
        | {"metric": score.metric}
        | counts
        | {"mean": score.mean, "std": score.std, "majority": score.majority}
    )


def contenders(results: Results, encoder: str, task: str, scores: Mapping[str, Score | None]) -> dict[str, float]:
    """Means by method that may be set in bold, from scores on one set, of methods trained on `task`.

    Every planned seed has a score, and some run does better than the majority class, on its own task and on the set.
    """
    return {
        method: score.mean
        for method, score in scores.items()
        if score and score.complete and not score.at_majority and (encoder, method, task) not in results.stuck
    }


def leaders(means: dict[str, float]) -> set[str]:
    """The names with the highest mean as printed; empty if fewer than two have a mean."""
    printed = {name: rounded(mean, 1) for name, mean in means.items() if math.isfinite(mean)}
    return {name for name, mean in printed.items() if mean == max(printed.values())} if len(printed) > 1 else set()


def plain_mean(values: list[float]) -> float:
    """Unweighted mean; NaN if any value is NaN or there are none."""
    return sum(values) / len(values) if values else math.nan


def data_notes(results: Results, keys: Iterable[Key]) -> list[str]:
    """Notes on the examples behind the scores of each (encoder, task, evaluation set).

    They give the share truncated to the maximum length, if it is above `CUT_SHARE`, and the number whose texts are
    also in a training example.
    """
    cut: dict[str, dict[str, str]] = {}
    seen: dict[str, dict[str, str]] = {}
    for encoder, task, evaluation_set in keys:
        counts = results.examples.get((encoder, task, evaluation_set))
        if counts is None:
            continue
        shares = {f"{task} in training": counts.train_truncated / counts.train_examples}
        shares[evaluation_set] = counts.truncated / counts.n
        for place, share in shares.items():
            if share > CUT_SHARE:
                cut.setdefault(place, {})[encoder] = f" {number(100 * share)} %"
        if counts.seen_in_training:
            place = evaluation_set if task == evaluation_set else f"{evaluation_set}, trained on {task}"
            seen.setdefault(place, {})[encoder] = f": {counts.seen_in_training} of {counts.n}"
    notes = []
    if cut:
        over = f"{100 * CUT_SHARE:g} %"
        notes.append(f"Truncated to the maximum length, if more than {over}: {_by_encoder(results, cut)}.")
    if seen:
        spelled = _by_encoder(results, seen)
        notes.append(f"Examples whose texts are in the training set too, case and punctuation aside: {spelled}.")
    return notes


def _by_encoder(results: Results, found: Mapping[str, Mapping[str, str]]) -> str:
    """The finding at each place, by encoder unless it is the same for all encoders of the suite."""
    spelled = []
    for place, of in found.items():
        if len(set(of.values())) == 1 and len(of) == len(results.encoders):
            spelled.append(f"{place}{next(iter(of.values()))}")
        else:
            spelled += [f"{encoder}, {place}{text}" for encoder, text in of.items()]
    return "; ".join(spelled)


def start_notes(results: Results) -> list[str]:
    """A note for each method that starts from a parent: which one, and whether the spread includes its variation."""
    notes = []
    for method in dict.fromkeys(map(base, results.methods)):
        if start := Start.of(method):
            parents = (
                f"the parent's seed is {start.seed} for all of them, so spread and intervals leave out how parents vary"
                if start.seed is not None
                else "each seed has its own parent, so spread and intervals include how parents vary"
            )
            notes.append(f"{method}: from {start.task}, that is, from the encoder that {start.method} has "
                         f"fine-tuned on it, with a new head; {parents}.")  # fmt: skip
    return notes


def over_tasks(rows: Mapping[str, Sequence[str]]) -> str:
    """Which rows average over which tasks, the most common tasks last; empty if all rows use the same tasks.

    `hype-n and lnsr over rte and mrpc; every other row over rte`.
    """
    names: dict[tuple[str, ...], list[str]] = {}
    for name, tasks in rows.items():
        names.setdefault(tuple(tasks), []).append(name)
    if len(names) < 2:
        return ""
    most = max(names, key=lambda tasks: len(names[tasks]))
    others = [f"{listed(found)} over {listed(tasks)}" for tasks, found in names.items() if tasks != most]
    rest = "every other row" if len(names[most]) > 1 else names[most][0]
    return "; ".join([*others, f"{rest} over {listed(most)}"])


def scope(results: Results, what: str) -> str:
    """What a table covers: `Encoder mini, 3 seeds each, <what>`; it says `planned seeds` until all have run."""
    encoders = f"Encoder {results.encoders[0]}, " if len(results.encoders) == 1 else ""
    counts = {len(statuses) for statuses in results.cells.values()}
    ended = all(ABSENT.isdisjoint(statuses.values()) for statuses in results.cells.values())
    text = f"{encoders}{extent(counts)} {'' if ended else 'planned '}seed{'' if counts == {1} else 's'} each, {what}."
    return text[0].upper() + text[1:]


def block_title(encoder: str, results: Results, task: str = "") -> str:
    """The heading of an encoder's rows, or of one training task's; a suite's only encoder is not named."""
    parts = [encoder] if len(results.encoders) > 1 else []
    return ": ".join([*parts, f"trained on {task}"] if task else parts)
