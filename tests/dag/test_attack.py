"""Attacks on a finished suite are noticed, and a run mends them: all of them, as by `make attack`."""

import pytest
from attack import attack_all, make_target


@pytest.mark.long
def test_attacks_are_noticed_and_mended(root, tmp_path):
    outcomes = attack_all(make_target(root, tmp_path))
    assert len(outcomes) >= 50
    assert [f"{found.attack.kind}: {found.attack.name}" for found in outcomes if not found.passed] == []
