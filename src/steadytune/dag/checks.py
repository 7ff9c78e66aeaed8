"""Check the names in a suite's file: claims, tables and figures apart from what its cells need, or all together."""

from dataclasses import replace
from functools import partial

from steadytune.claims.files import suite_claims
from steadytune.dag.ownership import check_alone
from steadytune.errors import SteadyTuneError, problems_of, raise_all
from steadytune.layout import LOCK, project_file
from steadytune.rendering.figures import FIGURES
from steadytune.rendering.tables import TABLES
from steadytune.store.inventory import name_problems
from steadytune.store.lock import load_lock
from steadytune.suite.checks import all_known
from steadytune.suite.subset_sizes import size_problems
from steadytune.suite.suite import Suite
from steadytune.tasks.task import Task


def check_outputs(suite: Suite) -> None:
    """Check the claims, tables and figures that a suite's file names, and that no other suite shares its results.

    Raises:
        SteadyTuneError: one line per mistake, with the file, the key, the value and the nearest valid name.
    """
    raise_all(_output_problems(suite))


def file_problems(suite: Suite, *, pinned: bool = True) -> list[str]:
    """One line per mistake in a suite's file: in names and settings, claims, tables, figures and sizes of subsets.

    pinned: whether its own tasks and encoders are pinned; if not, checks that depend on them are skipped.
    """
    problems = [*name_problems(suite, pinned=pinned), *_output_problems(suite, pinned=pinned)]
    return problems or ([*size_problems(suite, partial(_known_rows, suite))] if pinned else [])


def _output_problems(suite: Suite, *, pinned: bool = True) -> list[str]:
    named = (("table", suite.file.tables, TABLES), ("figure", suite.file.figures, FIGURES))
    checks = [partial(all_known, names, known, kind, f"{suite.path}: {kind}s") for kind, names, known in named]
    # Claims may be about own tasks and their labels.
    claims = [partial(suite_claims, suite)] if pinned else []
    return problems_of([*claims, *checks, partial(check_alone, suite)])


def _known_rows(suite: Suite, task: Task, split: str) -> int | None:
    """The number of rows that an own task's pin has, or else those staged or in the data set's card."""
    # Imports numpy, which the Snakefile does without.
    from steadytune.planning.sizes import Sizes

    if task.own:
        return suite.own_lock.tasks[task.name].splits[split].rows  # pyright: ignore[reportArgumentType]
    if "[" in split:
        # Rows are divided by groups, so the part's size is known only roughly.
        return None
    sizes = Sizes(suite.file.store, load_lock(project_file(LOCK)))
    try:
        return sizes.rows(replace(task, size=None), "train" if split == task.train else "evaluation")
    except SteadyTuneError:
        # A staged file is damaged: staging replaces it.
        return None
