"""Label spaces are matched by label name."""

import numpy as np
import pytest

from steadytune.errors import SteadyTuneError
from steadytune.tasks.labels import canonical, coarsening, collapse_gold, project, shared_space
from steadytune.tasks.table import TASKS

THREE = ("entailment", "neutral", "contradiction")
TWO = ("entailment", "not_entailment")
QQP = ("not_duplicate", "duplicate")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("entails", "entailment"),
        ("Equivalent", "entailment"),
        ("duplicate", "entailment"),
        ("not entailed", "not_entailment"),
        ("non-entailment", "not_entailment"),
        ("not_equivalent", "not_entailment"),
        ("not_duplicate", "not_entailment"),
        ("neutral", "neutral"),
        ("positive", "positive"),
    ],
)
def test_synonymous_labels_share_a_canonical_name(label: str, name: str) -> None:
    assert canonical(label) == name


def test_projection_matches_labels_by_name_not_index() -> None:
    # MNLI's class 0 is entailment, QQP's class 1 is duplicate.
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.4, 0.5]])
    np.testing.assert_allclose(project(probabilities, THREE, QQP), [[0.3, 0.7], [0.9, 0.1]])
    np.testing.assert_allclose(project(np.array([[0.8, 0.2]]), TASKS["wnli"].labels, TASKS["rte"].labels), [[0.2, 0.8]])


def test_sum_and_argmax_rules_differ_if_parts_outweigh_the_best_class() -> None:
    # Entailment is the best single class, but neutral and contradiction together outweigh it.
    probabilities = np.array([[0.4, 0.3, 0.3]])
    assert project(probabilities, THREE, TWO, rule="sum").argmax() == 1
    np.testing.assert_array_equal(project(probabilities, THREE, TWO, rule="argmax"), [[1, 0]])
    np.testing.assert_array_equal(project(np.array([[0.2, 0.4, 0.4]]), THREE, TWO, rule="argmax"), [[0, 1]])


@pytest.mark.parametrize("rule", ["sum", "argmax"])
def test_nan_probabilities_give_no_answer(rule: str) -> None:
    projected = project(np.array([[np.nan, 0.5, 0.5], [0.0, 1.0, 0.0]]), THREE, TWO, rule)
    np.testing.assert_array_equal(projected[1], [0, 1])
    assert np.isnan(projected[0]).any()


def test_same_labels_in_another_order_are_permuted() -> None:
    probabilities = np.array([[0.5, 0.2, 0.3]])
    turned = ("contradiction", "entailment", "neutral")
    np.testing.assert_array_equal(project(probabilities, THREE, turned), [[0.3, 0.5, 0.2]])


def test_gold_labels_of_a_finer_target_are_collapsed() -> None:
    gold = np.array([0, 1, 2, 2])
    np.testing.assert_array_equal(collapse_gold(gold, THREE, TWO), [0, 1, 1, 1])
    # The model's order counts: a QQP model calls entailment its class 1.
    np.testing.assert_array_equal(collapse_gold(gold, THREE, QQP), [1, 0, 0, 0])


@pytest.mark.parametrize(
    ("model", "target", "space"),
    [
        ("mnli", "snli", THREE),
        ("mnli", "rte", TWO),
        ("mnli", "qqp", QQP),
        ("rte", "mnli", TWO),
        ("qqp", "snli", QQP),
        ("mrpc", "qqp", QQP),
        ("wnli", "rte", TWO),
        ("stsb", "mini-stsb", ()),
    ],
)
def test_shared_space_is_the_coarser_label_space(model: str, target: str, space: tuple[str, ...]) -> None:
    assert shared_space(TASKS[model].labels, TASKS[target].labels) == space


def test_scitail_neutral_means_not_entailment() -> None:
    scitail = TASKS["scitail"]
    assert dict(zip(scitail.values, scitail.labels, strict=True)) == {
        "entails": "entailment",
        "neutral": "not_entailment",
    }
    assert shared_space(THREE, scitail.labels) == scitail.labels


@pytest.mark.parametrize(
    ("model", "target"), [("sst2", "snli"), ("snli", "sst2"), ("cola", "sst2"), ("stsb", "rte"), ("rte", "stsb")]
)
def test_unrelated_label_spaces_are_refused(model: str, target: str) -> None:
    with pytest.raises(SteadyTuneError, match="says nothing about"):
        shared_space(TASKS[model].labels, TASKS[target].labels)


def test_partial_mapping_of_labels_is_no_coarsening() -> None:
    # Neutral maps to a label, contradiction does not; then a coarse label that nothing maps to.
    assert coarsening(THREE, ("entailment", "neutral")) is None
    assert coarsening(("entailment", "not_entailment"), THREE) is None
    assert coarsening((), TWO) is None and coarsening(TWO, ()) is None


def test_project_refuses_finer_targets_unknown_rules_and_wrong_shapes() -> None:
    two = np.array([[0.5, 0.5]])
    with pytest.raises(SteadyTuneError, match="cannot be read as"):
        project(two, TWO, THREE)
    with pytest.raises(SteadyTuneError, match="unknown rule 'max'; known: sum, argmax"):
        project(two, TWO, QQP, rule="max")
    with pytest.raises(ValueError, match="shape"):
        project(two, THREE, TWO)
