"""Attacks on a finished suite are noticed, and a run mends them: a third of them here, all by `make attack`."""

import pytest
from attack import attack_all, make_target


@pytest.mark.slow
def test_attacks_are_noticed_and_mended(root, tmp_path):
    outcomes = attack_all(make_target(root, tmp_path), every=3)
    assert len(outcomes) >= 50
    assert [f"{found.attack.kind}: {found.attack.name}" for found in outcomes if not found.passed] == []
