"""Every harmful attack of `make attack` on a finished suite is noticed, and a run repairs the damage."""

import pytest
from attack import attack_all, make_target


@pytest.mark.long
def test_every_harmful_attack_is_noticed_and_repaired_by_a_run(root, tmp_path):
    outcomes = attack_all(make_target(root, tmp_path))
    assert len(outcomes) >= 50
    assert [f"{found.attack.kind}: {found.attack.name}" for found in outcomes if not found.passed] == []
