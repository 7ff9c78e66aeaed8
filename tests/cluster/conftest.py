"""The drills use the copied project of the DAG's tests."""

from dag_project import staged  # noqa: F401 (a fixture)
