"""Models on sets with other label spaces, checked by hand."""

import math

import numpy as np
import pytest

from steadytune.errors import SteadyTuneError
from steadytune.evaluation.metrics import compute
from steadytune.evaluation.transfer import align, evaluate_transfer
from steadytune.tasks.table import TASKS

MNLI, RTE, QQP, SNLI, MRPC, STSB = (TASKS[name] for name in ("mnli", "rte", "qqp", "snli", "mrpc", "stsb"))


def logits(*probabilities: list[float]) -> np.ndarray:
    # A different additive constant in every row must not matter.
    return np.log(np.array(probabilities)) + 100.0 * np.arange(len(probabilities))[:, None]


def test_three_way_model_is_scored_on_a_two_way_set_by_either_rule() -> None:
    # Summed: 0.6 and 0.7 of "not entailed" in the first rows, 0.8 of entailment in the last.
    scores = logits([0.4, 0.3, 0.3], [0.3, 0.1, 0.6], [0.8, 0.1, 0.1])
    gold = np.array([1, 0, 0])
    result = evaluate_transfer(MNLI, RTE, scores, gold, "sum")
    assert result == {
        "labels": ["entailment", "not_entailment"],
        "n": 3,
        "headline": "accuracy",
        "metrics": {"accuracy": pytest.approx(2 / 3)},
        "majority_rate": pytest.approx(2 / 3),
        "majority": {"accuracy": pytest.approx(2 / 3)},
    }
    # Arg-max first: now the first row is entailment, which is wrong.
    assert evaluate_transfer(MNLI, RTE, scores, gold, "argmax")["metrics"] == {"accuracy": pytest.approx(1 / 3)}


def test_aligned_scores_are_summed_probabilities() -> None:
    aligned = align(MNLI, QQP, logits([0.5, 0.3, 0.2], [0.1, 0.2, 0.7]), np.array([1, 0]))
    assert aligned.labels == ("not_duplicate", "duplicate")
    np.testing.assert_allclose(aligned.scores, [[0.5, 0.5], [0.9, 0.1]])
    np.testing.assert_array_equal(aligned.gold, [1, 0])


def test_gold_is_collapsed_for_a_two_way_model_on_a_three_way_set() -> None:
    # A QQP model: class 1 is "duplicate". Gold: entailment, neutral, contradiction, contradiction.
    scores = logits([0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4])
    result = evaluate_transfer(QQP, SNLI, scores, np.array([0, 1, 2, 2]))
    assert result["labels"] == ["not_duplicate", "duplicate"]
    assert result["headline"] == "accuracy"
    assert result["metrics"] == {"accuracy": 0.75}
    # One of four is entailed, so the majority is of the collapsed labels and not of the three.
    assert result["majority_rate"] == 0.75
    assert result["majority"] == {"accuracy": 0.75}


def test_three_way_sets_also_give_two_way_accuracy() -> None:
    # Neutral taken for contradiction: wrong on three labels, right on two.
    scores = logits([0.9, 0.05, 0.05], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8])
    result = evaluate_transfer(MNLI, SNLI, scores, np.array([0, 1, 1, 2]))
    assert result["metrics"] == {"accuracy": 0.5, "accuracy_two_way": 0.75}
    assert result["majority_rate"] == 0.5
    assert result["majority"] == {"accuracy": 0.5, "accuracy_two_way": 0.75}
    # The rule applies to the two-way accuracy as well: 0.4 for entailment against 0.6 for the rest.
    close = logits([0.4, 0.3, 0.3])
    assert evaluate_transfer(MNLI, SNLI, close, np.array([0]), "sum")["metrics"]["accuracy_two_way"] == 0.0
    assert evaluate_transfer(MNLI, SNLI, close, np.array([0]), "argmax")["metrics"]["accuracy_two_way"] == 1.0


def test_headline_is_the_targets_metric_only_if_label_names_agree() -> None:
    scores, gold = logits([0.2, 0.8], [0.6, 0.4]), np.array([1, 0])
    shifted = evaluate_transfer(TASKS["mini-mrpc"], TASKS["mini-mrpc-vocabulary"], scores, gold)
    assert (shifted["headline"], set(shifted["metrics"])) == ("f1", {"f1", "accuracy", "accuracy_f1"})
    translated = evaluate_transfer(MRPC, QQP, scores, gold)
    assert (translated["headline"], set(translated["metrics"])) == ("accuracy", {"f1", "accuracy", "accuracy_f1"})
    adversarial = evaluate_transfer(QQP, TASKS["adv-qqp"], scores, gold)
    assert (adversarial["headline"], "f1" in adversarial["metrics"]) == ("accuracy", True)
    cola = evaluate_transfer(TASKS["mini-cola"], TASKS["mini-cola-constructions"], scores, gold)
    assert (cola["headline"], cola["metrics"]) == ("matthews", {"matthews": 1.0, "accuracy": 1.0})


# Per set of HyPe's Table 7: its files' label numbers for entailment, neutral and contradiction, which may coincide.
TABLE_7 = {
    "snli": (0, 1, 2),
    "sick": (0, 1, 2),
    "mnli": (0, 1, 2),
    "mnli-mm": (0, 1, 2),
    "scitail": (0, 1, 1),
    "qqp": (1, 0, 0),
    "hans": (0, 1, 1),
}


@pytest.mark.parametrize("rule", ["sum", "argmax"])
@pytest.mark.parametrize("name", TABLE_7)
def test_two_way_accuracy_on_the_sets_of_hype_table_7(name: str, rule: str) -> None:
    # Contradiction counts as neutral, duplicate as entailment. The three-label model answers in turn: entailment for
    # entailment, contradiction for neutral, neutral for contradiction, and entailment for neutral.
    scores = logits([0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1])
    entailed, neutral, contradiction = TABLE_7[name]
    gold = np.array([entailed, neutral, contradiction, neutral])
    metrics = evaluate_transfer(SNLI if name != "snli" else MNLI, TASKS[name], scores, gold, rule)["metrics"]
    assert metrics.get("accuracy_two_way", metrics["accuracy"]) == 0.75
    # A close call on which sum and arg-max differ: 0.4 for entailment against 0.6 in two parts.
    close = evaluate_transfer(SNLI, TASKS[name], logits([0.4, 0.3, 0.3]), np.array([entailed]), rule)["metrics"]
    assert close.get("accuracy_two_way", close["accuracy"]) == (1.0 if rule == "argmax" else 0.0)


def test_three_way_model_is_scored_on_the_two_labels_of_hans() -> None:
    # A model that follows the heuristics always answers entailment, and is right only if that is the gold label.
    scores = logits(*[[0.9, 0.05, 0.05]] * 4)
    result = evaluate_transfer(MNLI, TASKS["hans"], scores, np.array([0, 0, 1, 1]))
    assert (result["labels"], result["headline"]) == (["entailment", "not_entailment"], "accuracy")
    assert (result["metrics"]["accuracy"], result["majority"]["accuracy"]) == (0.5, 0.5)


def test_labels_are_matched_by_name_not_by_number() -> None:
    # WNLI's class 1 is entailment, RTE's class 0.
    result = evaluate_transfer(TASKS["wnli"], RTE, logits([0.1, 0.9], [0.8, 0.2]), np.array([0, 1]))
    assert result["metrics"] == {"accuracy": 1.0}


@pytest.mark.parametrize("name", ["mrpc", "mnli", "cola", "stsb"])
def test_in_domain_evaluation_equals_compute(name: str) -> None:
    task = TASKS[name]
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(60, task.num_labels)).astype(np.float32)
    labels = generator.uniform(0, 5, 60) if task.regression else generator.integers(task.num_labels, size=60)
    result = evaluate_transfer(task, task, scores, labels)
    assert result["headline"] == task.metric
    assert {metric: result["metrics"][metric] for metric in task.metrics} == compute(task, scores, labels)


def test_regression_transfer_reports_correlations() -> None:
    outputs, gold = np.array([[1.0], [2.0], [4.0], [3.0]]), np.array([1.0, 2.0, 3.0, 4.0])
    result = evaluate_transfer(STSB, TASKS["mini-stsb"], outputs, gold)
    assert (result["labels"], result["headline"]) == ([], "pearson_spearman")
    assert result["metrics"] == pytest.approx({"pearson_spearman": 0.8, "pearson": 0.8, "spearman": 0.8})
    assert math.isnan(result["majority_rate"])
    assert set(result["majority"].values()) == {0.0}


@pytest.mark.parametrize("rule", ["sum", "argmax"])
@pytest.mark.parametrize("target", ["rte", "snli"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_outputs_give_nan_metrics(rule: str, target: str, bad: float) -> None:
    scores = np.array([[0.0, 1.0, bad], [0.0, 0.0, 1.0]])
    result = evaluate_transfer(MNLI, TASKS[target], scores, np.array([0, 1]), rule)
    assert all(math.isnan(value) for value in result["metrics"].values())
    assert result["majority"]["accuracy"] == 0.5


@pytest.mark.parametrize(("source", "target"), [("sst2", "snli"), ("stsb", "rte"), ("rte", "stsb")])
def test_transfer_between_unrelated_labels_is_refused(source: str, target: str) -> None:
    scores = np.zeros((2, TASKS[source].num_labels))
    with pytest.raises(SteadyTuneError, match=f"transfer from '{source}' to '{target}': labels: a model of"):
        evaluate_transfer(TASKS[source], TASKS[target], scores, np.array([0, 1]))
