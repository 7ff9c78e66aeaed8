"""How closely a cell that was run again agrees with its record, and what is likely to blame where it does not.

Agreement is a ladder, and the first rung that holds is the verdict:

    identical      the prediction files are the same bytes
    same logits    every logit within a tolerance of the recorded one
    same metric    some answers flip, no more to one side than chance would have it (exact McNemar test)
    same spread    the metric lies in the prediction interval of the recorded seeds of the same method and task
    different      none of these
"""

import filecmp
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import stats

from steadytune.cells.freshness import differences
from steadytune.cells.record import Record, read_record
from steadytune.evaluation.outputs import HELD_OUT
from steadytune.files import plain
from steadytune.layout import HISTORY, PREDICTIONS, RECORD
from steadytune.suite.cell import Cell

Level = Literal["identical", "same logits", "same metric", "same spread", "different"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""From best to worst."""

# What a verdict's rung says to be the first thing that differs.
DIFFERS: dict[Level, str] = {
    "same logits": "bytes",
    "same metric": "logits",
    "same spread": "answers",
    "different": "metric",
}
MEANS: dict[Level, str] = {
    "same logits": "the outputs agree up to rounding",
    "same metric": "other answers, but scores that chance alone could make differ as much",
    "same spread": "another score, but one that a further seed could have",
    "different": "none of the weaker levels holds",
}
# Of the largest logit: differences between devices and kernels in fp32 stay well below it.
TOLERANCE = 1e-3
# Of training, the counts that identical predictions determine, whatever the memory and the versions of libraries.
COUNTS = ("examples", "truncated", "subset_digest", "steps", "tokens", "real_tokens", "layers", "selected_layer",
          "trainable_parameters", "total_parameters", "initial_weights", "first_order")  # fmt: skip
# What torch counts, and so another version of it may count otherwise.
COUNTED_BY_TORCH = ("flops", "inference_flops")
# Both tests' error rate: a run that agrees is called different this often.
ALPHA = 0.05

# Where two environments differ, what is named first as the likely cause.
ENVIRONMENT = ("device", "device_name", "threads", "torch", "transformers", "platform", "python")


@dataclass(frozen=True)
class Verdict:
    """How a cell agrees with its record."""

    cell: Cell
    level: Level
    detail: str
    causes: tuple[str, ...]

    def __str__(self) -> str:
        if self.level == "identical":
            return f"{self.cell}: identical: {self.detail}"
        causes = f"; likely cause: {self.causes[0]}" if self.causes else "; no setting, environment or code differs"
        more = f" (also {', '.join(self.causes[1:])})" if len(self.causes) > 1 else ""
        said = f"{self.level} ({MEANS[self.level]}; first difference: {DIFFERS[self.level]})"
        return f"{self.cell}: {said}: {self.detail}{causes}{more}"


def compare(recorded: Path, again: Path, others: list[float]) -> Verdict:
    """The verdict on two folders of one cell.

    Args:
        recorded: the folder with the record to verify.
        again: the folder of the new run.
        others: the headline metric of the recorded seeds of the same method and task, this cell's included.
    """
    then, now = read_record(recorded / RECORD), read_record(again / RECORD)
    causes = tuple(_causes(then, now))

    def verdict(level: Level, detail: str) -> Verdict:
        return Verdict(now.cell, level, detail, causes)

    if then.status != now.status:
        return verdict("different", f"ended {now.status}, the record says {then.status}")
    if filecmp.cmp(recorded / PREDICTIONS, again / PREDICTIONS, shallow=False):
        # The same predictions have the same scores: a record that says otherwise was not made from them.
        if wrong := _other_content(then, now) or _other_course(recorded / HISTORY, again / HISTORY):
            return verdict("different", f"the same predictions, but {wrong}")
        return verdict("identical", "the same predictions, byte for byte, and the same scores")
    first, second = (pd.read_parquet(folder / PREDICTIONS) for folder in (recorded, again))
    if HELD_OUT not in set(first["evaluation_set"]):
        # Older code did not keep these.
        second = pd.DataFrame(second[second["evaluation_set"] != HELD_OUT]).reset_index(drop=True)
    # Whatever a model answers, the examples and their labels are those of the data.
    fixed = [name for name in ("evaluation_set", "row", "label") if name in second]
    if list(first.columns) != list(second.columns) or not first[fixed].equals(second[fixed]):
        # No processor and no library changes a label.
        likely = tuple(_causes(then, now, environment=False)) or ("an edited file",)
        return Verdict(now.cell, "different", "the predictions are of other examples or labels", likely)
    logits = [name for name in first.columns if name.startswith("logit_")]
    gap, size = _gap(first[logits].to_numpy(), second[logits].to_numpy())
    if gap <= TOLERANCE * size:
        return verdict("same logits", f"logits differ by at most {gap:.2g}")
    name = str(then.spec["task"])
    own, new = (pd.DataFrame(frame[frame["evaluation_set"] == name]) for frame in (first, second))
    if len(logits) > 1 and (said := _chance(*_flips(own, new), len(own))):
        return verdict("same metric", f"{said}; logits differ by at most {gap:.2g}")
    return verdict(*_spread([headline(then), headline(now)], others))


def headline(record: Record) -> float | None:
    """The headline metric on the task's own evaluation split."""
    return next((e.metrics[e.headline] for e in record.evaluations if e.kind == "in_domain"), None)


def _other_content(then: Record, now: Record) -> str:
    """The first score, or count of training, in which two records differ; empty if there is none."""
    scores = [{f"{e.set} {e.kind}": vars(e) for e in record.evaluations} for record in (then, now)]
    trained = [vars(record.training) if record.training else {} for record in (then, now)]
    names = COUNTS + (COUNTED_BY_TORCH if then.environment.torch == now.environment.torch else ())
    counts = [{name: value for name, value in found.items() if name in names} for found in trained]
    said = [f"the scores differ: {said}" for said in differences(*plain(scores[::-1]))]
    said += [f"training differs: {said}" for said in differences(*plain(counts[::-1]))]
    return said[0] if said else ""


def _other_course(then: Path, now: Path) -> str:
    """In which epoch two histories differ, by the columns that both have; empty if in none."""
    first, second = pd.read_csv(then), pd.read_csv(now)
    shared = [name for name in second.columns if name in first.columns]
    if len(first) != len(second):
        return f"{then.name} has {len(first)} epochs, now {len(second)}"
    unequal = (first[shared] != second[shared]) & ~(first[shared].isna() & second[shared].isna())
    rows = np.flatnonzero(unequal.any(axis=1))
    return f"{then.name} differs in epoch {second['epoch'][rows[0]]:g}" if len(rows) else ""


def _gap(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The largest difference of two arrays, and the largest number in the first.

    What is not finite (a question without a valid span has -inf) has to be the same in both: else the gap is infinite.
    """
    finite = np.isfinite(first)
    if not np.array_equal(first[~finite], second[~finite], equal_nan=True) or not np.isfinite(second[finite]).all():
        return math.inf, 0.0
    difference = np.abs(first[finite] - second[finite])
    return float(difference.max(initial=0.0)), float(np.abs(first[finite]).max(initial=0.0))


def _flips(first: pd.DataFrame, second: pd.DataFrame) -> tuple[int, int]:
    """Answers that were right and are wrong, and the reverse."""
    right = [_right(frame) for frame in (first, second)]
    return int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())


def _chance(lost: int, won: int, examples: int) -> str:
    """What flips, if chance explains it (exact McNemar test), and what it could explain at most; else empty."""
    flips = lost + won
    if not flips:
        return f"none of {examples} answers flips between right and wrong"
    p = stats.binomtest(lost, flips).pvalue
    if p < ALPHA:
        return ""
    most = max(k for k in range(flips + 1) if stats.binomtest(k, flips).pvalue >= ALPHA)
    return (
        f"{flips} of {examples} answers flip, {lost} to wrong and {won} to right"
        f" (exact McNemar test: p = {p:.2g}; of so many flips, up to {most} one way count as chance)"
    )


def _right(frame: pd.DataFrame) -> np.ndarray:
    """Which answers are right, (n,) bool; an answer to a question, where it is one of the gold answers."""
    if "exact_match" in frame.columns:
        return (frame["exact_match"] == 1).to_numpy()
    return (frame["prediction"] == frame["label"]).to_numpy()


def _spread(values: list[float | None], others: list[float]) -> tuple[Level, str]:
    """Whether the new value lies where a further seed of the recorded ones would, by Student's t."""
    then, now = (math.nan if value is None else value for value in values)
    n = len(others)
    if n < 2:
        return "different", f"the metric is {now:.4f}, the record says {then:.4f}; one seed gives no interval"
    mean, sd = float(np.mean(others)), float(np.std(others, ddof=1))
    half = float(stats.t.ppf(1 - ALPHA / 2, n - 1)) * sd * math.sqrt(1 + 1 / n)
    inside = abs(now - mean) <= half
    said = f"the metric is {now:.4f}, the record says {then:.4f}; {n} recorded seeds give {mean:.4f} ± {half:.4f}"
    return ("same spread" if inside else "different"), said


def _causes(then: Record, now: Record, *, environment: bool = True) -> Iterator[str]:
    """What differs between two runs, likeliest cause first: settings, inputs, machine and software, code.

    environment: whether machine and software may be the cause.
    """
    yield from differences(now.spec, then.spec)
    inputs = {item.key: item.digest for item in then.inputs}
    yield from (f"input {item.key}" for item in now.inputs if inputs.get(item.key) != item.digest)
    threads = [record.spec["protocol"]["threads"] for record in (then, now)]
    for name, found in _environment(vars(then.environment), vars(now.environment)):
        # Threads follow the protocol, which has been named.
        if environment and (name != "threads" or threads[0] == threads[1]):
            yield found
    if then.fingerprint != now.fingerprint and then.spec == now.spec:
        commits = [str(record.environment.git_commit)[:10] for record in (then, now)]
        yield "the code" + (f" (commit {commits[0]}, now {commits[1]})" if commits[0] != commits[1] else "")


def _environment(then: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, str]]:
    return ((name, f"{name} is {now[name]}, was {then[name]}") for name in ENVIRONMENT if now[name] != then[name])
