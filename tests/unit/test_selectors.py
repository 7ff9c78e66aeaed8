"""Other ways to choose a layer: each score against its formula, and the chosen layer."""

import math

import numpy as np
import pytest

from steadytune.layers.selectors import choose_layers, h_score, label_cka


def features_of(classes, width=6, gap=1.0, seed=0):
    """Features (n, width) whose class means differ along every axis."""
    generator = np.random.default_rng(seed)
    centres = gap * generator.normal(size=(classes.max() + 1, width))
    return centres[classes] + generator.normal(size=(len(classes), width)) @ generator.normal(size=(width, width))


CLASSES = np.random.default_rng(1).integers(0, 3, size=80)


def test_h_score_matches_its_formula():
    features = features_of(CLASSES)
    expected = np.stack([features[label == CLASSES].mean(axis=0) for label in CLASSES])
    # Ledoit and Wolf (2004), section 3: the shrinkage towards a multiple of the identity, example by example.
    centred = features - features.mean(axis=0)
    n, width = centred.shape
    covariance = centred.T @ centred / n
    target = np.trace(covariance) / width * np.eye(width)
    distance = np.sum((covariance - target) ** 2)
    error = sum(np.sum((np.outer(row, row) - covariance) ** 2) for row in centred) / n**2
    alpha = min(error, distance) / distance
    shrunk = (1 - alpha) * covariance + alpha * target
    by_hand = np.trace(np.linalg.inv(shrunk) @ ((1 - alpha) * np.cov(expected.T, bias=True)))
    assert h_score(features, CLASSES) == pytest.approx(by_hand, rel=1e-9)


def test_cka_with_labels_is_1_for_one_direction_and_near_0_for_noise():
    targets = np.eye(2)[CLASSES % 2]
    direction = np.outer(CLASSES % 2, [3.0, -4.0]) + 7
    assert label_cka(direction, targets) == pytest.approx(1, abs=1e-9)
    noise = np.random.default_rng(0).normal(size=(80, 500))
    assert abs(label_cka(noise, targets)) < 0.05
    assert math.isnan(label_cka(np.ones((80, 2)), targets))
    assert math.isnan(label_cka(direction[:3], targets[:3]))


def chosen(features, labels, classes=None):
    return choose_layers(np.stack(features).astype(np.float32), labels, labels if classes is None else classes, seed=0)


def test_every_selector_chooses_the_layer_that_separates_the_classes():
    classes = CLASSES
    noise = np.random.default_rng(3).normal(size=(4, 80, 6))
    layers = [features_of(classes, gap=9.0), noise[1], noise[2], features_of(classes, gap=9.0), noise[3]]
    choices = chosen(layers, classes)
    assert {name: choice.layer for name, choice in choices.items()} == {"cka": 3, "probe": 3, "h_score": 3}
    probe = choices["probe"].scores
    assert probe[3] > 0.95
    assert 0.15 < probe[1] < 0.55


def test_equal_scores_choose_the_lowest_layer():
    layer = features_of(CLASSES)
    assert {choice.layer for choice in chosen([layer] * 4, CLASSES).values()} == {1}


def test_numeric_labels_are_probed_by_regression():
    generator = np.random.default_rng(0)
    layers = generator.normal(size=(3, 200, 5))
    labels = layers[2] @ np.array([1.0, -2.0, 0.5, 0.0, 1.0]) + 3
    choices = chosen(layers, labels, (labels > 3).astype(int))
    assert {choice.layer for choice in choices.values()} == {2}
    assert choices["probe"].scores[2] == pytest.approx(1, abs=1e-2)
    assert choices["probe"].scores[1] < 0.1


def test_constant_features_have_no_score_and_no_choice(caplog):
    labels = np.array([0, 1] * 10 + [1] * 10)
    choices = chosen(np.ones((3, 30, 2)), labels)
    for name in ("cka", "h_score"):
        assert choices[name].layer is None
        assert all(map(math.isnan, choices[name].scores))
        assert f"{name} scores no layer" in caplog.text
    # A probe of constant features predicts the majority class.
    assert choices["probe"].scores == pytest.approx([2 / 3] * 3)


def test_probe_leaves_out_classes_with_fewer_examples_than_folds():
    classes = np.array([0] * 20 + [1] * 20 + [2] * 4)
    layer = np.eye(3)[classes] * 9 + np.random.default_rng(0).normal(size=(44, 3))
    assert chosen([layer, layer], classes)["probe"].scores == (1.0, 1.0)
    assert chosen([layer[16:], layer[16:]], classes[16:])["probe"].layer is None
