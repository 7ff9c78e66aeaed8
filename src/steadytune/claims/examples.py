"""How much a difference depends on which examples happen to be in the evaluation set.

The rows of an evaluation set are resampled with replacement, the same rows for every run of both sides, so examples
that are hard for all runs cancel out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from steadytune.cells.predictions import read_predictions
from steadytune.evaluation.formulas import PROBABILITY_METRICS
from steadytune.evaluation.transfer import align, headline_metric
from steadytune.layout import predictions_path
from steadytune.results.churn import churn
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite

RESAMPLES = 1000
CELLS, TABLES = 10_000, 8
"""Cache sizes, in cells (scores and answers) and in prediction files: a large suite does not fit in memory."""


@cache
def resampled_counts(examples: int, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each example is drawn, (resamples, examples) float32; the same for every set of this size."""
    drawn = np.random.default_rng((0, examples)).multinomial(examples, np.full(examples, 1 / examples), resamples)
    return drawn.astype(np.float32)


def resampled_metric(metric: str, predictions: np.ndarray, gold: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """A metric of one run on every resample, (resamples,).

    Args:
        metric: a metric of `evaluation.formulas`, except those of texts.
        predictions: (examples,), classes or numbers; for AUROC (examples, C), probabilities.
        gold: (examples,), classes or numbers.
        counts: (resamples, examples).
    """
    if metric in ("pearson", "spearman", "pearson_spearman"):
        names = ("pearson", "spearman") if metric == "pearson_spearman" else (metric,)
        return np.mean([_correlation(name, predictions, gold, counts) for name in names], axis=0)
    if metric == "auroc":
        return _auroc(predictions, gold, counts)
    hits = counts @ (predictions == gold) / len(gold)
    if metric == "accuracy":
        return hits
    classes = np.unique(np.concatenate([predictions, gold, [0, 1]]))
    said, true = ((values[:, None] == classes).astype(np.float32) for values in (predictions, gold))
    # How often each class is predicted, gold, and both: (resamples, classes).
    said, true, both = ((counts @ found).astype(np.float64) for found in (said, true, said * true))
    if metric == "matthews":
        return _matthews(said, true, both)
    if metric == "balanced_accuracy":
        return _mean_over_classes(both, true)
    if metric == "macro_f1":
        return _mean_over_classes(2 * both, said + true)
    of_one = classes == 1
    f1 = _share(2 * both[:, of_one], (said + true)[:, of_one])[:, 0]
    return {"f1": f1, "accuracy_f1": (hits + f1) / 2}[metric]


@dataclass(frozen=True)
class Contrast:
    """The runs of two sides on a task, and the weight of their difference."""

    first: tuple[Cell, ...]
    second: tuple[Cell, ...]
    sets: tuple[str, ...]
    """The evaluation sets over which a run's score is averaged."""
    weight: float = 1.0


class Examples:
    """Resampled scores and answers of a suite's cells, cached."""

    def __init__(self, suite: Suite, folder: Path) -> None:
        self.suite, self.folder = suite, folder
        # The least recently used cells can go, because claims come method by method.
        self.scores = lru_cache(maxsize=CELLS)(self._scores)
        self.answers = lru_cache(maxsize=CELLS)(self._answers)
        self._difference = lru_cache(maxsize=CELLS)(self._difference_of)
        self._columns = lru_cache(maxsize=TABLES)(self._read)
        self._rows: dict[bytes, bytes] = {}

    def error(self, contrasts: Iterable[Contrast]) -> float | None:
        """The standard error over examples of a weighted sum of differences, in points; None without predictions.

        Differences on the same rows are summed before their variance is taken, because they vary together even if the
        encoders, training subsets or tasks differ.
        """
        by_rows: dict[tuple[str, str], np.ndarray] = {}
        for contrast in contrasts:
            for name in contrast.sets:
                difference = self._difference(contrast.first, contrast.second, name)
                if difference is None:
                    return None
                task = self.suite.task(name)
                rows = task.dataset_key, task.evaluation
                by_rows[rows] = by_rows.get(rows, 0.0) + contrast.weight / len(contrast.sets) * difference
        return 100 * float(np.sqrt(sum(np.var(found) for found in by_rows.values())))

    def _difference_of(self, first: tuple[Cell, ...], second: tuple[Cell, ...], name: str) -> np.ndarray | None:
        """The difference of two sides' mean scores on a set, (resamples,); None unless every run has predictions."""
        means = []
        for side in (first, second):
            scores = [self.scores(cell, name) for cell in side]
            told = [score for score in scores if score is not None]
            if len(told) < len(scores):
                return None
            means.append(np.mean(told, axis=0))
        return means[0] - means[1]

    def changed(self, pairs: Sequence[tuple[Cell, Cell]]) -> float | None:
        """The mean share of answers on a task's own set that differ within pairs of its cells; None if unknown."""
        shares = []
        for pair in pairs:
            own = [found for cell in pair if (found := self.answers(cell))]
            if len(own) < 2 or own[0][0] != own[1][0]:
                return None
            (_, first), (_, second) = own
            shares.append(churn(first, second, first, regression=self.suite.task(pair[0].task).regression).all)
        return float(np.mean(shares)) if shares else None

    def _read(self, cell: Cell) -> dict[str, np.ndarray] | None:
        """The columns of a cell's predictions; None if there are none."""
        path = predictions_path(self.folder, cell)
        return read_predictions(path) if path.is_file() else None

    def _predictions(self, cell: Cell, name: str) -> dict[str, np.ndarray] | None:
        """The columns of a cell's predictions on a set; None if it has none."""
        columns = self._columns(cell)
        rows = columns["evaluation_set"] == name if columns else np.zeros(0, bool)
        return {column: values[rows] for column, values in columns.items()} if columns and rows.any() else None

    def _answers(self, cell: Cell) -> tuple[bytes, np.ndarray] | None:
        """The row numbers of a cell's own set, as bytes, and its answers on them; None without predictions."""
        task, found = self.suite.task(cell.task), self._predictions(cell, cell.task)
        if found is None:
            return None
        rows = found["row"].tobytes()
        answers = found["text" if task.span else "prediction"]
        small = answers if task.span or task.regression else answers.astype(np.int16)
        return self._rows.setdefault(rows, rows), small

    def _scores(self, cell: Cell, name: str) -> np.ndarray | None:
        source, target = map(self.suite.task, (cell.task, name))
        found = None if source.span else self._predictions(cell, name)
        if found is None:
            return None
        # Cache the answers too while the file is in memory.
        self.answers(cell)
        logits = np.stack([found[f"logit_{i}"] for i in range(source.num_labels)], axis=1).astype(np.float64)
        gold = found["label"].astype(np.float64 if source.regression else np.int64)
        aligned = align(source, target, logits, gold, self.suite.spec(cell).protocol.collapse)
        metric = headline_metric(source, target)
        predictions = aligned.scores[:, 0] if source.regression else aligned.scores.argmax(axis=1)
        if metric in PROBABILITY_METRICS:
            predictions = aligned.scores
        return resampled_metric(metric, predictions, aligned.gold, resampled_counts(len(gold)))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part / whole; 0 if the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _mean_over_classes(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The mean of part / whole over the classes that occur in each resample, whose whole is above 0."""
    return _share(part, whole).sum(axis=1) / (whole > 0).sum(axis=1)


def _matthews(said: np.ndarray, true: np.ndarray, both: np.ndarray) -> np.ndarray:
    n = true.sum(axis=1)
    scale = np.sqrt((n**2 - (said**2).sum(axis=1)) * (n**2 - (true**2).sum(axis=1)))
    return _share(both.sum(axis=1) * n - (said * true).sum(axis=1), scale)


def _auroc(scores: np.ndarray, gold: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """AUROC of the second of two classes, or the mean over all classes if there are more.

    A class without positives or without negatives in a resample is left out; 0.5 if no class remains.
    """
    areas = []
    for name in [1] if scores.shape[1] == 2 else range(scores.shape[1]):
        of_class = gold == name
        ranks = _ranks(scores[:, name], counts)
        inside, outside = (counts[:, which].sum(axis=1, dtype=np.float64) for which in (of_class, ~of_class))
        # Ranks of the class within itself sum to half its squared size. The rest counts the pairs in the right order.
        pairs = (counts[:, of_class] * ranks[:, of_class]).sum(axis=1) - inside**2 / 2
        defined = inside * outside > 0
        areas.append(np.divide(pairs, inside * outside, out=np.full(len(counts), np.nan), where=defined))
    told = np.isfinite(areas)
    total = np.where(told, areas, 0).sum(axis=0)
    return np.divide(total, told.sum(axis=0), out=np.full(len(counts), 0.5), where=told.any(axis=0))


def _correlation(name: str, predictions: np.ndarray, gold: np.ndarray, counts: np.ndarray) -> np.ndarray:
    of_ranks = name == "spearman"
    covariance, *variances = (_rank_moments if of_ranks else _moments)(predictions, gold, counts)
    # Rounding may leave a variance of 0 slightly below it.
    scale = np.sqrt(np.maximum(variances, 0).prod(axis=0))
    return np.divide(covariance, scale, out=np.zeros(len(counts)), where=scale > 0)


def _moments(one: np.ndarray, other: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The covariance of two columns in every resample, and both variances; each (resamples,) float64."""
    # Centred, so that the squares of the means are small compared with the means of the squares.
    one, other = one - one.mean(), other - other.mean()
    columns = np.stack([one, other, one * other, one**2, other**2], axis=1)
    mean, other_mean, product, square, other_square = (counts.astype(np.float64) @ columns).T / len(one)
    return product - mean * other_mean, square - mean**2, other_square - other_mean**2


def _rank_moments(one: np.ndarray, other: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_moments`, of the columns' ranks, times the number of examples."""
    # Whatever is drawn, the ranks minus one half have the mean n / 2.
    one, other = (_ranks(values, counts) - len(values) / 2 for values in (one, other))
    weighted = counts * one
    products = [np.einsum("ij,ij->i", *pair) for pair in ((weighted, other), (weighted, one), (counts * other, other))]
    return products[0], products[1], products[2]


def _ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mid-rank, minus one half, of every example in every resample, (resamples, examples)."""
    _, starts, levels = np.unique(np.sort(values), return_index=True, return_inverse=True)[:3]
    order = np.argsort(values, kind="stable")
    by_level = np.add.reduceat(counts[:, order].astype(np.float64), starts, axis=1)
    ranks = np.empty_like(counts, dtype=np.float64)
    ranks[:, order] = (by_level.cumsum(axis=1) - by_level / 2)[:, levels]
    return ranks
