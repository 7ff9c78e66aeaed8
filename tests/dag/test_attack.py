"""Every attack on a finished suite is noticed, and a run mends it."""

import pytest
from attack import attack_all, make_target


@pytest.mark.slow
def test_every_attack_is_noticed_and_mended(root, tmp_path):
    outcomes = attack_all(make_target(root, tmp_path))
    assert len(outcomes) >= 50
    assert [f"{found.attack.kind}: {found.attack.name}" for found in outcomes if not found.passed] == []
