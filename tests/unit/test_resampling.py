"""nu on resamples and subsets against its definition on the same examples; bands against a known population."""

import math

import numpy as np
import pytest
import torch
from oracles.variability import VARIANTS, definition

from steadytune.layers.bands import confidence_bands, corrected_choice
from steadytune.layers.resampling import Sample, best_layers, bootstrap_draws, half_draws, nu_of_draws, subset_draws
from steadytune.layers.robustness import imbalance, quotas_of, scarcity
from steadytune.suite.variability import PAPER, NuSettings, VariabilitySettings


def kept(features, classes, size=10**6):
    """A sample of features (layers, n, width)."""
    sample = Sample(np.asarray(classes), size)
    sample.add(np.arange(len(classes)), torch.as_tensor(features))
    return sample


def population(sizes, centres, scales, seed=0):
    """Independent features (n, width) around class centres (k, width) with scales (width,), and their classes (n,)."""
    generator = np.random.default_rng(seed)
    classes = np.repeat(np.arange(len(sizes)), sizes)
    return centres[classes] + generator.normal(size=(len(classes), len(scales))) * scales, classes


def two_classes(n, width, gap, seed=0):
    """Two classes of n / 2, `gap` apart along the first of `width` axes of unit variance: nu = 2 / gap^2."""
    centres = np.zeros((2, width))
    centres[:, 0] = [-gap / 2, gap / 2]
    return population((n // 2, n - n // 2), centres, np.ones(width), seed)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_nu_of_a_draw_equals_nu_of_its_repeated_examples(variant, offset):
    generator = np.random.default_rng(0)
    features, classes = population((30, 9, 14), generator.normal(size=(3, 7)), np.ones(7))
    draws = bootstrap_draws(classes, 60, generator)
    draws[::2, :4] += 3
    found = nu_of_draws(torch.from_numpy(features + offset), classes, draws, NuSettings(**variant))
    for draw, value in zip(draws, found.tolist(), strict=True):
        rows = np.repeat(np.arange(len(classes)), draw)
        assert value == pytest.approx(definition(features[rows], classes[rows], **variant), rel=1e-7)


def test_nu_with_more_classes_than_dimensions_and_of_constant_features():
    generator = np.random.default_rng(0)
    features, classes = population((4, 5, 6, 7), generator.normal(size=(4, 2)), np.ones(2))
    everything = np.ones((1, len(classes)), dtype=int)
    assert nu_of_draws(torch.from_numpy(features), classes, everything, PAPER)[0] == pytest.approx(
        definition(features, classes), rel=1e-9
    )
    constant = torch.full((len(classes), 2), 0.1)
    assert nu_of_draws(constant, classes, everything, PAPER).tolist() == [math.inf]


def test_sample_keeps_the_same_rows_for_any_batches():
    indices = np.array([0] * 60 + [1] * 39 + [2])
    features = torch.arange(200.0).reshape(2, 100, 1)
    sample = Sample(indices, 20)
    for rows in np.array_split(np.random.default_rng(0).permutation(100), 7):
        sample.add(rows, features[:, rows])
    assert sample.counts.tolist() == [12, 8]
    assert sample.classes.tolist() == [0] * 12 + [1] * 8
    assert torch.equal(sample.features, features[:, sample.rows])
    assert Sample(indices, 20).rows.tolist() == sample.rows.tolist()
    assert len(Sample(indices, 1000)) == 100


def test_bootstrap_draws_keep_every_class_at_its_size():
    classes = np.array([0, 1, 0, 1, 1, 2])
    draws = bootstrap_draws(classes, 4000, np.random.default_rng(0))
    for y, size in enumerate((2, 3, 1)):
        assert set(draws[:, classes == y].sum(axis=1)) == {size}
    assert draws.mean(axis=0) == pytest.approx(np.ones(6), abs=0.05)
    assert set(draws[:, 0]) == {0, 1, 2}


def test_half_sample_has_half_of_every_class_without_repeats():
    classes = np.array([0, 1, 0, 1, 1, 2, 0, 0])
    draws = half_draws(classes, 500, np.random.default_rng(0))
    assert set(np.unique(draws)) == {0, 1}
    for y, size in enumerate((2, 2, 1)):
        assert set(draws[:, classes == y].sum(axis=1)) == {size}
    assert draws[:, classes == 1].mean(axis=0) == pytest.approx(np.full(3, 2 / 3), abs=0.07)


def test_subsets_meet_their_quotas_and_are_nested():
    classes = np.array([0, 1, 0, 1, 1, 0, 0])
    keys = np.random.default_rng(0).random((50, 7))
    small, large = (subset_draws(classes, np.array(quotas), keys) for quotas in ((1, 2), (3, 2)))
    assert (small[:, classes == 0].sum(axis=1) == 1).all()
    assert (large[:, classes == 0].sum(axis=1) == 3).all()
    assert (large[:, classes == 1].sum(axis=1) == 2).all()
    assert set(np.unique(large)) == {0, 1}
    assert (small <= large).all()
    assert len(np.unique(large, axis=0)) > 5


def test_best_layer_is_never_the_embedding_output():
    nu = np.array([[0.1, 3, 2, 2], [0.1, math.inf, 5, 9], [0.1, math.inf, math.inf, math.inf]])
    assert best_layers(nu).tolist() == [2, 2, 0]


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ((70, 30), 10, [7, 3]),
        ((71, 29), 10, [7, 3]),
        ((98, 2), 10, [8, 2]),
        ((97, 1, 2), 10, [7, 1, 2]),
        ((50, 50), 4, [2, 2]),
        ((50, 50), 3, None),
    ],
)
def test_quotas_keep_two_examples_of_each_class_if_it_has_two(counts, size, expected):
    quotas = quotas_of(np.array(counts), np.array(counts) / sum(counts), size)
    assert (None if quotas is None else quotas.tolist()) == expected


def test_imbalance_draws_share_one_size_and_scarcity_sizes_must_fit():
    features, classes = two_classes(100, 3, 4.0)
    sample = kept(np.stack([features, features])[:, :90], classes[:90])
    points = imbalance(sample, 1, (0.3, 0.5, 0.8, 0.95), PAPER, 5, np.random.default_rng(0))
    # 50 of class 0 and 40 of class 1: 0.95 n <= 50 and 0.5 n <= 40. A share of 0.3 would not be a majority.
    assert [point.examples for point in points] == [52, 52, 52]
    assert [point.share for point in points] == pytest.approx([0.5, 0.8, 0.95], abs=0.01)
    points = scarcity(sample, 1, (3, 10, 45, 90, 500), PAPER, 5, np.random.default_rng(0))
    assert [point.examples for point in points] == [10, 45]


def test_other_classes_share_what_the_majority_class_leaves():
    features, classes = population((60, 40, 20), np.eye(3), np.ones(3))
    sample = kept(features[None].repeat(2, 0), classes)
    points = imbalance(sample, 1, (0.35, 0.5, 0.9, 0.96), PAPER, 3, np.random.default_rng(0))
    # 0.96 n <= 60 and 0.65 n <= 60: n is 62. At 0.35 the second class would have 27 and the first 22; at 0.96 each of
    # the others keeps two.
    assert [(point.examples, round(62 * point.share)) for point in points] == [(62, 31), (62, 56), (62, 58)]


def test_class_of_one_example_does_not_prevent_imbalanced_draws():
    features, classes = population((1, 60, 39), np.eye(3), np.ones(3))
    sample = kept(features[None].repeat(2, 0), classes)
    points = imbalance(sample, 1, (0.5, 0.9), PAPER, 3, np.random.default_rng(0))
    assert [point.examples for point in points] == [66, 66]


def test_scarcity_reports_agreement_distance_and_spread_of_its_draws():
    clear, classes = two_classes(80, 4, 20.0)
    noise, _ = two_classes(80, 4, 0.0, seed=1)
    sample = kept(np.stack([clear, noise, noise[::-1], clear]), classes)
    for best, agreement, distance in ((3, 1.0, 0.0), (1, 0.0, 2.0)):
        (point,) = scarcity(sample, best, (20,), PAPER, 25, np.random.default_rng(0))
        assert (point.agreement, point.distance) == (agreement, distance)
    assert point.nu[3] == pytest.approx(2 / 400, rel=0.5)
    assert point.nu_low[1] < point.nu[1] < point.nu_high[1]


def test_draws_of_constant_features_agree_with_no_layer():
    sample = kept(np.ones((3, 40, 2)), [0, 1] * 20)
    (point,) = scarcity(sample, 1, (10,), PAPER, 5, np.random.default_rng(0))
    assert point.agreement == 0
    assert math.isnan(point.distance)
    assert point.nu == (math.inf,) * 3


def bands_of(features, classes, examples=None, nu=None, resampling="half"):
    sample, settings = kept(features, classes), VariabilitySettings(resampling=resampling)
    measured = tuple(definition(layer, classes) for layer in features) if nu is None else nu
    return confidence_bands(sample, measured, examples or len(classes), settings, np.random.default_rng(5))


@pytest.mark.parametrize("resampling", ["half", "bootstrap"])
@pytest.mark.parametrize(("gap", "width"), [(1.0, 4), (0.5, 40)])
def test_bands_cover_the_population_nu_at_about_their_nominal_rate(gap, width, resampling):
    # 0.5 along one of 40 axes: nu of 200 examples is 5 or so, far below the population's 8.
    hits, separations = [], []
    for seed in range(60):
        features, classes = two_classes(200, width, gap, seed)
        bands = bands_of(features[None].repeat(2, 0), classes, resampling=resampling)
        hits.append(bands.low[1] <= 2 / gap**2 <= bands.high[1])
        separations.append(1 / bands.corrected[1])
    assert 0.85 <= np.mean(hits) <= 1
    if resampling == "half":
        assert np.mean(separations) == pytest.approx(gap**2 / 2, rel=0.12)


def test_bands_of_a_sample_are_as_narrow_as_the_full_data_allow():
    features, classes = two_classes(200, 4, 1.0)
    small = bands_of(features[None].repeat(2, 0), classes, nu=(2.0, 2.0))
    large = bands_of(features[None].repeat(2, 0), classes, nu=(2.0, 2.0), examples=100 * 200)
    widths = [1 / bands.low[1] - 1 / bands.high[1] for bands in (small, large)]
    assert widths[0] == pytest.approx(10 * widths[1], rel=1e-9)


def test_wide_layer_of_noise_is_not_chosen_for_its_width():
    # Layer 1 separates the classes: nu = 2. Layer 2 does not: its nu is infinite, but near 300 / 400 on 300 examples.
    narrow, classes = two_classes(300, 3, 1.0, seed=2)
    narrow = np.pad(narrow, ((0, 0), (0, 197)))
    wide, _ = two_classes(300, 200, 0.0, seed=3)
    features = np.stack([narrow, narrow, wide])
    assert definition(wide, classes) == pytest.approx(0.75, rel=0.1)
    nu = tuple(definition(layer, classes) for layer in features)
    assert np.argmin(nu) == 2
    bands = bands_of(features, classes)
    assert corrected_choice(bands, nu) == 1
    assert bands.low[2] > 1
    assert bands.high[2] == math.inf
    assert bands.share[0] == 0
    assert bands.share[1] > 0.8
    assert sum(bands.share) == pytest.approx(1)


def test_bands_are_infinite_for_constant_and_zero_for_collapsed_layers():
    generator = np.random.default_rng(0)
    classes = np.arange(40) % 2
    collapsed = generator.normal(size=(2, 5))[classes]
    constant = np.full((40, 5), 0.1)
    bands = bands_of(np.stack([constant, collapsed, constant]), classes, nu=(math.inf, 0.0, math.inf))
    assert bands.low == (math.inf, pytest.approx(0), math.inf)
    assert bands.high == (math.inf, pytest.approx(0), math.inf)
    assert bands.share == (0, 1, 0)


def test_bands_are_defined_for_resamples_without_scatter():
    # Two examples a class: a half-sample has one of each.
    features = np.array([[[0.0], [1.0], [5.0], [7.0]]] * 2)
    bands = bands_of(features, np.array([0, 0, 1, 1]))
    assert all(0 <= low <= high for low, high in zip(bands.low, bands.high, strict=True))
    assert bands.share == (0, 1)
