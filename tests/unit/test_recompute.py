"""Scores recomputed from saved predictions."""

import numpy as np
import pytest

from steadytune.cells.recompute import _matthews
from steadytune.evaluation.formulas import matthews


def test_recomputed_matthews_equals_the_recorded_metric():
    # 3 hits and 1 miss of class 1, 2 and 1 of class 0: (3 x 2 - 1 x 1) / sqrt(4 x 4 x 3 x 3).
    gold, answers = np.array([1, 1, 1, 1, 0, 0, 0]), np.array([1, 1, 1, 0, 0, 0, 1])
    assert _matthews(answers, gold) == pytest.approx(5 / 12, abs=1e-12)
    assert _matthews(np.ones_like(gold), gold) == 0
    random = np.random.default_rng(0)
    for classes in (2, 3, 5):
        gold, answers = random.integers(classes, size=(2, 60))
        assert _matthews(answers, gold) == pytest.approx(matthews(answers, gold), abs=1e-12)
