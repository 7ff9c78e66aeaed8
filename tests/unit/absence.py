"""What a test does where the machine lacks what it needs: one rule for all of them."""

import os
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """Skip the test; in CI, which has all that tests need, fail it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
