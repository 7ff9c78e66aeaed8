"""What a test does if the machine lacks something that it needs: one rule for all tests."""

import os
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """Skip the test; in CI, which has everything that tests need, fail it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
