"""What a suite's file says about claims, tables and figures: checked apart from what its cells need."""

from functools import partial

from steadytune.claims.files import suite_claims
from steadytune.dag.ownership import check_alone
from steadytune.errors import problems_of, raise_all
from steadytune.rendering.figures import FIGURES
from steadytune.rendering.tables import TABLES
from steadytune.suite.checks import all_known
from steadytune.suite.suite import Suite


def check_outputs(suite: Suite) -> None:
    """Check the names of the claims, tables and figures in a suite's file, and that its results are its own.

    Raises:
        SteadyTuneError: a line for each mistake: the file, the key, the value and the nearest valid name.
    """
    named = (("table", suite.file.tables, TABLES), ("figure", suite.file.figures, FIGURES))
    checks = [partial(all_known, names, known, kind, f"{suite.path}: {kind}s") for kind, names, known in named]
    raise_all(problems_of([partial(suite_claims, suite), *checks, partial(check_alone, suite)]))
