"""Metrics compared with scikit-learn, scipy and small cases by hand, including undefined cases."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from steadytune.errors import SteadyTuneError
from steadytune.evaluation.formulas import METRICS
from steadytune.evaluation.metrics import compute, majority_rate, majority_value, score
from steadytune.tasks.table import TASKS

MRPC = TASKS["mrpc"]
STSB = TASKS["stsb"]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [2, 3])
def test_class_metrics_equal_scikit_learn(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=200)
    predictions = np.where(generator.random(200) < 0.6, labels, generator.integers(classes, size=200))
    values = score(("accuracy", "matthews"), predictions, labels)
    assert values["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, predictions), abs=1e-12)
    assert values["matthews"] == pytest.approx(sklearn_metrics.matthews_corrcoef(labels, predictions), abs=1e-12)
    if classes == 2:
        f1 = float(sklearn_metrics.f1_score(labels, predictions))
        both = score(("f1", "accuracy_f1"), predictions, labels)
        assert both["f1"] == pytest.approx(f1, abs=1e-12)
        assert both["accuracy_f1"] == pytest.approx((f1 + values["accuracy"]) / 2, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_correlations_equal_scipy(seed: int, ties: bool) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.uniform(0, 5, size=200)
    labels = np.round(labels) if ties else labels
    predictions = np.exp(labels + generator.normal(size=200))
    values = score(("pearson", "spearman", "pearson_spearman"), predictions, labels)
    pearson: Any = stats.pearsonr(predictions, labels)[0]
    spearman: Any = stats.spearmanr(predictions, labels)[0]
    assert values["pearson"] == pytest.approx(pearson, abs=1e-12)
    assert values["spearman"] == pytest.approx(spearman, abs=1e-12)
    assert values["pearson_spearman"] == pytest.approx((pearson + spearman) / 2, abs=1e-12)


def test_class_metrics_by_hand() -> None:
    # Predictions 0 1 1 1 for gold 0 0 1 1: TP 2, FP 1, FN 0, TN 1.
    scores = np.array([[2.0, 1.0], [0.0, 1.0], [0.0, 1.0], [-2.0, -1.0]], dtype=np.float32)
    values = compute(replace(MRPC, metrics=("accuracy", "f1", "matthews")), scores, np.array([0, 0, 1, 1]))
    # Matthews: (2 * 1 - 1 * 0) / sqrt(3 * 2 * 2 * 1).
    assert values == pytest.approx({"accuracy": 0.75, "f1": 0.8, "matthews": 2 / math.sqrt(12)})


def test_regression_metrics_use_the_raw_score() -> None:
    # Ranks agree except for one swap. Values 1, 2, 4, 3 for gold 1..4: sum of products 4, both sums of squares 5.
    values = compute(STSB, np.array([[1.0], [2.0], [4.0], [3.0]], dtype=np.float32), np.array([1.0, 2.0, 3.0, 4.0]))
    assert values == pytest.approx({"pearson_spearman": 0.8, "pearson": 0.8, "spearman": 0.8})


def test_tied_scores_predict_the_first_class() -> None:
    assert compute(TASKS["rte"], np.zeros((2, 2)), np.array([0, 1])) == {"accuracy": 0.5}


@pytest.mark.parametrize("constant", [0, 1])
def test_f1_and_matthews_of_constant_predictions(constant: int) -> None:
    labels = np.array([0, 1, 1, 1])
    values = score(("f1", "matthews"), np.full(4, constant), labels)
    # Always 1: precision 3/4, recall 1. Always 0: no positive is found.
    assert values == {"f1": pytest.approx(6 / 7 if constant else 0.0), "matthews": 0.0}


def test_f1_without_any_positive_is_zero() -> None:
    assert score(("f1",), np.zeros(3), np.zeros(3)) == {"f1": 0.0}


@pytest.mark.parametrize("metric", ["pearson", "spearman", "pearson_spearman"])
def test_correlations_with_a_constant_are_zero(metric: str) -> None:
    varied, constant = np.array([0.1, 2.0, 3.0]), np.full(3, 0.1)
    assert score((metric,), constant, varied) == {metric: 0.0}
    assert score((metric,), varied, constant) == {metric: 0.0}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_scores_give_nan_metrics(bad: float) -> None:
    scores = np.array([[0.0, 1.0], [bad, 0.0]])
    values = compute(MRPC, scores, np.array([0, 1]))
    assert set(values) == set(MRPC.metrics)
    assert all(math.isnan(value) for value in values.values())


def test_wrong_score_shape_and_unknown_metric_are_refused() -> None:
    with pytest.raises(ValueError, match="scores of shape"):
        compute(TASKS["mnli"], np.zeros((4, 2)), np.zeros(4, dtype=int))
    with pytest.raises(SteadyTuneError, match=r"unknown metric 'accurracy' \(did you mean 'accuracy'\?\)"):
        score(("accurracy",), np.zeros(2), np.zeros(2))


def test_majority_rate_and_value_by_hand() -> None:
    mrpc, qqp = np.array([0, 1, 1, 1]), np.array([0, 0, 0, 1])
    assert majority_rate(mrpc) == majority_rate(qqp) == 0.75
    assert majority_value("accuracy", mrpc) == 0.75
    # Always "equivalent": precision 3/4, recall 1. Always "not duplicate": no positive is found.
    assert majority_value("f1", mrpc) == pytest.approx(6 / 7)
    assert majority_value("f1", qqp) == 0.0
    assert majority_value("accuracy_f1", mrpc) == pytest.approx((0.75 + 6 / 7) / 2)
    assert majority_value("matthews", mrpc) == 0.0
    assert majority_value("accuracy", np.array([2, 0, 2, 1])) == 0.5


def test_majority_of_regression_is_nan_rate_and_zero_value() -> None:
    labels = np.array([0.0, 2.5, 5.0])
    assert math.isnan(majority_rate(labels))
    assert majority_value("pearson_spearman", labels) == 0.0


def test_metrics_need_no_network_and_leave_no_files(tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "def refuse(*_, **__): raise RuntimeError('network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "import numpy as np\n"
        "from steadytune.evaluation.metrics import score\n"
        "labels = np.array([0, 1, 1, 0])\n"
        "assert score(('accuracy', 'f1', 'matthews', 'pearson_spearman'), labels, labels) == dict.fromkeys(\n"
        "    ('accuracy', 'f1', 'matthews', 'pearson_spearman'), 1.0)\n"
    )
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "HF_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [str(path) for path in tmp_path.rglob("*") if path.is_file()] == []


def test_macro_f1_balanced_accuracy_and_auroc_by_hand():
    gold, said = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 0])
    # Class 0: precision and recall 2/3; class 1: 1/2 and 1; class 2: none.
    assert METRICS["macro_f1"](said, gold) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert METRICS["balanced_accuracy"](said, gold) == pytest.approx((2 / 3 + 1 + 0) / 3)
    # Of the four pairs of a positive and a negative, three are in order.
    scores = np.array([0.1, 0.6, 0.4, 0.9])
    assert METRICS["auroc"](np.stack([1 - scores, scores], 1), np.array([0, 0, 1, 1])) == pytest.approx(0.75)
    assert METRICS["auroc"](np.full((3, 2), 0.5), np.array([1, 1, 1])) == 0.5
    assert majority_value("auroc", np.array([0, 1, 1])) == 0.5
