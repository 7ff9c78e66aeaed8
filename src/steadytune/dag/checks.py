"""Check the claims, tables and figures in a suite's file, separately from what its cells need."""

from functools import partial

from steadytune.claims.files import suite_claims
from steadytune.dag.ownership import check_alone
from steadytune.errors import problems_of, raise_all
from steadytune.rendering.figures import FIGURES
from steadytune.rendering.tables import TABLES
from steadytune.suite.checks import all_known
from steadytune.suite.suite import Suite


def check_outputs(suite: Suite) -> None:
    """Check the claims, tables and figures that a suite's file names, and that no other suite shares its results.

    Raises:
        SteadyTuneError: one line per mistake, with the file, the key, the value and the nearest valid name.
    """
    named = (("table", suite.file.tables, TABLES), ("figure", suite.file.figures, FIGURES))
    checks = [partial(all_known, names, known, kind, f"{suite.path}: {kind}s") for kind, names, known in named]
    raise_all(problems_of([partial(suite_claims, suite), *checks, partial(check_alone, suite)]))
