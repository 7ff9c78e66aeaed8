"""Answers as texts, scored as SQuAD 1.1 scores them (Rajpurkar et al. 2016)."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(text: str) -> str:
    """Lower case, without ASCII punctuation, without articles, words apart by one space: in that order."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def equals(prediction: str, gold: str) -> float:
    """1 where both are the same after normalisation, else 0."""
    return float(normalise(prediction) == normalise(gold))


def overlap(prediction: str, gold: str) -> float:
    """F1 over the words of both, each counted as often as it occurs; 0 where they share none."""
    predicted, expected = (Counter(normalise(text).split()) for text in (prediction, gold))
    shared = (predicted & expected).total()
    return 2 * shared / (predicted.total() + expected.total()) if shared else 0.0


def each(
    formula: Callable[[str, str], float], predictions: Sequence[str], golds: Sequence[Sequence[str]]
) -> np.ndarray:
    """The best value of every prediction against its gold answers: (n,) float64."""
    return np.array([max(formula(text, gold) for gold in own) for text, own in zip(predictions, golds, strict=True)])


def exact_match(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Share of predictions that are one of their gold answers."""
    return float(each(equals, predictions, references).mean())


def span_f1(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean over the questions of the best F1 over words."""
    return float(each(overlap, predictions, references).mean())
