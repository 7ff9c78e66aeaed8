"""Share the staged project of the DAG's tests with the drills on SLURM and the profile tests."""

from dag_project import staged  # noqa: F401 (a fixture)
