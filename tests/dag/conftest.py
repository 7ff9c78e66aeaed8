"""A fresh copy of the project for each test of whole runs."""

import pytest
from dag_project import Project, copy_staged, staged  # noqa: F401 (a fixture)


@pytest.fixture
def project(root, staged, tmp_path) -> Project:  # noqa: F811
    """A fresh copy with the staged store."""
    return copy_staged(root, staged, tmp_path)
