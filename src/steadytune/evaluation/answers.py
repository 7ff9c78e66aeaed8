"""Text answers, scored as in SQuAD 1.1 (Rajpurkar et al. 2016)."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(text: str) -> str:
    """Normalise an answer: lower-case it, remove ASCII punctuation, then articles, then extra white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def equals(prediction: str, gold: str) -> float:
    """1 if both texts are equal after normalisation, else 0."""
    return float(normalise(prediction) == normalise(gold))


def overlap(prediction: str, gold: str) -> float:
    """F1 over the words of both texts, counted with multiplicity; 0 if they share none."""
    predicted, expected = (Counter(normalise(text).split()) for text in (prediction, gold))
    shared = (predicted & expected).total()
    return 2 * shared / (predicted.total() + expected.total()) if shared else 0.0


def each(
    formula: Callable[[str, str], float], predictions: Sequence[str], golds: Sequence[Sequence[str]]
) -> np.ndarray:
    """For each prediction, the best value of `formula` over its gold answers: (n,) float64."""
    return np.array([max(formula(text, gold) for gold in own) for text, own in zip(predictions, golds, strict=True)])


def exact_match(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Share of predictions that equal one of their gold answers."""
    return float(each(equals, predictions, references).mean())


def span_f1(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean over questions of the best word-level F1 with a gold answer."""
    return float(each(overlap, predictions, references).mean())
