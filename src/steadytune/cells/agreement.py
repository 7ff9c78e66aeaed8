"""How closely a rerun of a cell agrees with its record, and the likely cause of any difference.

Agreement has five levels, and the verdict is the first that holds:

    identical      the prediction files are byte-identical, and so are the scores
    same logits    every logit is within a tolerance of the recorded one
    same metric    some answers flip, and chance explains the imbalance between directions (exact McNemar test)
    same spread    the metric lies in the prediction interval of the recorded seeds (same encoder, method and task)
    different      none of the above
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

# The first thing that differs at each level.
DIFFERS: dict[Level, str] = {
    "same logits": "bytes",
    "same metric": "logits",
    "same spread": "answers",
    "different": "metric",
}
MEANS: dict[Level, str] = {
    "same logits": "the outputs agree up to rounding",
    "same metric": "other answers, but scores no further apart than chance explains",
    "same spread": "another score, but one that a further seed could have",
    "different": "none of the weaker levels holds",
}
# Relative to the largest logit: fp32 differences between devices and kernels stay well below it.
TOLERANCE = 1e-3
# Training counts that must agree if the predictions do: they do not depend on memory or library versions.
COUNTS = ("examples", "truncated", "subset_digest", "steps", "tokens", "real_tokens", "layers", "selected_layer",
          "trainable_parameters", "total_parameters", "initial_weights", "first_order")  # fmt: skip
# Counted by torch, so another version of it may count differently.
COUNTED_BY_TORCH = ("flops", "inference_flops")
# Significance level of both tests: how often each rejects a run that does agree.
ALPHA = 0.05

# Fields of the environment that may explain a difference, likeliest first.
ENVIRONMENT = ("device", "device_name", "threads", "torch", "transformers", "platform", "python")


@dataclass(frozen=True)
class Verdict:
    """How closely a rerun of a cell agrees with its record."""

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
    """Compare two folders of the same cell.

    Args:
        recorded: the folder with the record to verify.
        again: the folder of the new run.
        others: the headline metric of the recorded seeds of the same encoder, method and task, including this cell's.
    """
    then, now = read_record(recorded / RECORD), read_record(again / RECORD)
    causes = tuple(_causes(then, now))

    def verdict(level: Level, detail: str) -> Verdict:
        return Verdict(now.cell, level, detail, causes)

    if then.status != now.status:
        return verdict("different", f"ended {now.status}, the record says {then.status}")
    if filecmp.cmp(recorded / PREDICTIONS, again / PREDICTIONS, shallow=False):
        # Equal predictions give equal scores: a record with other scores was not made from its predictions.
        if wrong := _other_content(then, now) or _other_course(recorded / HISTORY, again / HISTORY):
            return verdict("different", f"the same predictions, but {wrong}")
        return verdict("identical", "the same predictions, byte for byte, and the same scores")
    first, second = (pd.read_parquet(folder / PREDICTIONS) for folder in (recorded, again))
    if HELD_OUT not in set(first["evaluation_set"]):
        # Older code did not keep held-out predictions.
        second = pd.DataFrame(second[second["evaluation_set"] != HELD_OUT]).reset_index(drop=True)
    # Examples and their labels come from the data, not from the model.
    fixed = [name for name in ("evaluation_set", "row", "label") if name in second]
    if list(first.columns) != list(second.columns) or not first[fixed].equals(second[fixed]):
        # Processors and libraries do not change labels, so the environment is not a cause.
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
    """The first score or training count in which two records differ; empty if they agree."""
    scores = [{f"{e.set} {e.kind}": vars(e) for e in record.evaluations} for record in (then, now)]
    trained = [vars(record.training) if record.training else {} for record in (then, now)]
    names = COUNTS + (COUNTED_BY_TORCH if then.environment.torch == now.environment.torch else ())
    counts = [{name: value for name, value in found.items() if name in names} for found in trained]
    said = [f"the scores differ: {said}" for said in differences(*plain(scores[::-1]))]
    said += [f"training differs: {said}" for said in differences(*plain(counts[::-1]))]
    return said[0] if said else ""


def _other_course(then: Path, now: Path) -> str:
    """How two histories differ: in length, or in the first epoch with unequal shared columns; empty if they agree."""
    first, second = pd.read_csv(then), pd.read_csv(now)
    shared = [name for name in second.columns if name in first.columns]
    if len(first) != len(second):
        return f"{then.name} has {len(first)} epochs, now {len(second)}"
    unequal = (first[shared] != second[shared]) & ~(first[shared].isna() & second[shared].isna())
    rows = np.flatnonzero(unequal.any(axis=1))
    return f"{then.name} differs in epoch {second['epoch'][rows[0]]:g}" if len(rows) else ""


def _gap(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The largest absolute difference between two arrays, and the largest absolute value in the first.

    Non-finite values (-inf for a question without a valid span) must be the same in both; otherwise the gap is
    infinite.
    """
    finite = np.isfinite(first)
    if not np.array_equal(first[~finite], second[~finite], equal_nan=True) or not np.isfinite(second[finite]).all():
        return math.inf, 0.0
    difference = np.abs(first[finite] - second[finite])
    return float(difference.max(initial=0.0)), float(np.abs(first[finite]).max(initial=0.0))


def _flips(first: pd.DataFrame, second: pd.DataFrame) -> tuple[int, int]:
    """How many answers went from right to wrong, and how many from wrong to right."""
    right = [_right(frame) for frame in (first, second)]
    return int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())


def _chance(lost: int, won: int, examples: int) -> str:
    """Describe the flips and the largest imbalance that chance explains (exact McNemar test); empty if exceeded."""
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
    """Which answers are right, (n,) bool; for questions, whether the answer exactly matches a gold answer."""
    if "exact_match" in frame.columns:
        return (frame["exact_match"] == 1).to_numpy()
    return (frame["prediction"] == frame["label"]).to_numpy()


def _spread(values: list[float | None], others: list[float]) -> tuple[Level, str]:
    """The level, by the prediction interval of the recorded seeds (Student's t), and an explanation."""
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

    environment: whether the machine and the software can be the cause.
    """
    yield from differences(now.spec, then.spec)
    inputs = {item.key: item.digest for item in then.inputs}
    yield from (f"input {item.key}" for item in now.inputs if inputs.get(item.key) != item.digest)
    threads = [record.spec["protocol"]["threads"] for record in (then, now)]
    for name, found in _environment(vars(then.environment), vars(now.environment)):
        # The thread count is a protocol setting, so a change of it has been reported above.
        if environment and (name != "threads" or threads[0] == threads[1]):
            yield found
    if then.fingerprint != now.fingerprint and then.spec == now.spec:
        commits = [str(record.environment.git_commit)[:10] for record in (then, now)]
        yield "the code" + (f" (commit {commits[0]}, now {commits[1]})" if commits[0] != commits[1] else "")


def _environment(then: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, str]]:
    return ((name, f"{name} is {now[name]}, was {then[name]}") for name in ENVIRONMENT if now[name] != then[name])
