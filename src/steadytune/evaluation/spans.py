"""Extractive answers: the best span over a question's windows, chosen as BERT's `run_squad` does for SQuAD 1.1.

In each window, the 20 best starts are paired with the 20 best ends. A pair is valid if both are tokens of the text, the
end is not before the start, and the span has at most 30 tokens. The answer is the valid pair with the largest sum of
logits over all windows, or none. A token that is in several windows may start an answer in each (in run_squad, only in
the window with the most text around it).
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.evaluation.answers import each, equals, overlap
from steadytune.evaluation.metrics import score
from steadytune.suite.cell import Status
from steadytune.tasks.spans import Questions, Windows
from steadytune.tasks.table import Task
from steadytune.training.precision import Precision

BEST = 20
"""Number of starts and of ends to pair in a window."""
LONGEST = 30
"""Longest answer in tokens."""


class Span(NamedTuple):
    """A span of a window's tokens, from `first` to `last` inclusive, with the logits of both."""

    first: int
    last: int
    start: float
    end: float

    @property
    def score(self) -> float:
        """The sum of both logits, by which spans are compared."""
        return self.start + self.end


@dataclass(frozen=True)
class Answers:
    """A model's answers to n questions."""

    questions: Questions
    texts: list[str]
    """The answers; empty if no span was valid."""
    spans: np.ndarray
    """(n, 2) int64: start and end (exclusive) of each answer in its text, in characters; -1, -1 for no answer."""
    tokens: np.ndarray
    """(n, 2) int64: first and last token of each answer, from the text's first token in the window; -1, -1 for none."""
    logits: np.ndarray
    """(n, 2) float32: of each answer's start and end; -inf for no answer, NaN if the outputs were not finite."""

    def evaluate(self, source: Task, target: Task, rule: str = "sum") -> dict[str, Any]:
        """Like `evaluate_transfer`, but label spaces and the majority predictor have no meaning here."""
        undefined = dict.fromkeys(target.metrics, math.nan)
        broken = np.isnan(self.logits).any()
        return {
            "labels": list(target.labels),
            "n": len(self.texts),
            "headline": target.metric,
            "metrics": undefined if broken else score(target.metrics, self.texts, self.questions.answers),
            "majority_rate": math.nan,
            "majority": undefined,
        }

    def judge(self) -> tuple[Status, str | None]:
        """Diverged if an output is not finite; degenerate if all answers are empty, or the same text or tokens."""
        if np.isnan(self.logits).any():
            return "diverged", "the outputs on the development set are not all finite"
        if not any(self.texts):
            return "degenerate", "no answer to any development question"
        if len(set(self.texts)) == 1 or (self.tokens == self.tokens[0]).all():
            return "degenerate", "one answer for every development question"
        return "ok", None

    def columns(self) -> dict[str, Any]:
        """The columns for `write_predictions`."""
        return {
            "row": self.questions.rows,
            "text": self.texts,
            "start": self.spans[:, 0],
            "end": self.spans[:, 1],
            "exact_match": each(equals, self.texts, self.questions.answers),
            "span_f1": each(overlap, self.texts, self.questions.answers),
            "logit_start": self.logits[:, 0],
            "logit_end": self.logits[:, 1],
        }


def answer(encoder: Encoder, batcher: Batcher, precision: Precision) -> Answers:
    """The model's answer to every question of a split of windows, without dropout or noise."""
    windows = batcher.encoded
    assert isinstance(windows, Windows), "a split of a task whose answers are spans"
    found: list[Span | None] = [None] * len(windows)
    broken = np.zeros(len(windows.questions), dtype=bool)
    encoder.model.eval()
    with torch.inference_mode(), precision.autocast():
        for rows, batch in batcher.evaluation():
            logits = encoder(batch.inputs).logits.double().cpu().numpy()
            for row, outputs in zip(rows, logits, strict=True):
                # Drop the padding, which is on the right because a span head reads every token.
                start, end = outputs[:, : len(windows.offsets[row])]
                found[row] = best_span(start, end, windows.offsets[row][:, 0] >= 0)
                broken[windows.question[row]] |= not np.isfinite(outputs).all()
    return _choose(windows, found, broken)


def best_span(start: np.ndarray, end: np.ndarray, inside: np.ndarray) -> Span | None:
    """The best valid span of a window with logits `start` and `end`, (T,) each; None if no pair is valid.

    inside: which tokens belong to the text, bool (T,). Ties between pairs go to the better start, then the better end;
    ties between logits to the first token.
    """
    firsts, lasts = (np.argsort(-logits, kind="stable")[:BEST] for logits in (start, end))
    length = lasts - firsts[:, None] + 1
    valid = inside[firsts][:, None] & inside[lasts] & (length >= 1) & (length <= LONGEST)
    if not valid.any():
        return None
    sums = np.where(valid, start[firsts][:, None] + end[lasts], -np.inf)
    i, j = np.unravel_index(sums.argmax(), sums.shape)
    first, last = int(firsts[i]), int(lasts[j])
    return Span(first, last, float(start[first]), float(end[last]))


def _choose(windows: Windows, found: list[Span | None], broken: np.ndarray) -> Answers:
    """The best span over each question's windows; ties go to the first window."""
    best: dict[int, tuple[Span, np.ndarray]] = {}
    for number, offsets, span in zip(windows.question.tolist(), windows.offsets, found, strict=True):
        if span is not None and (number not in best or span.score > best[number][0].score):
            best[number] = span, offsets
    size, contexts = len(windows.questions), windows.questions.contexts
    texts = [""] * size
    spans, tokens = np.full((size, 2), -1, dtype=np.int64), np.full((size, 2), -1, dtype=np.int64)
    logits = np.full((size, 2), -np.inf, dtype=np.float32)
    for number, (span, offsets) in best.items():
        begin, end = spans[number] = offsets[span.first, 0], offsets[span.last, 1]
        texts[number] = contexts[number][begin:end]
        tokens[number] = np.array((span.first, span.last)) - np.argmax(offsets[:, 0] >= 0)
        logits[number] = span.start, span.end
    logits[broken] = np.nan
    return Answers(windows.questions, texts, spans, tokens, logits)
