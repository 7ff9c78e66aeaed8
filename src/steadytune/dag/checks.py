"""What a suite's file says about claims, tables and figures: checked apart from what its cells need."""

from steadytune.claims.files import suite_claims
from steadytune.dag.ownership import check_alone
from steadytune.errors import unknown
from steadytune.rendering.figures import FIGURES
from steadytune.rendering.tables import TABLES
from steadytune.suite.suite import Suite


def check_outputs(suite: Suite) -> None:
    """Check the names of the claims, tables and figures in a suite's file, and that its results are its own.

    Raises:
        SteadyTuneError: one line naming the file, the key, the value and the nearest valid name.
    """
    suite_claims(suite)
    for kind, names, known in (("table", suite.file.tables, TABLES), ("figure", suite.file.figures, FIGURES)):
        for name in names:
            if name not in known:
                raise unknown(kind, name, known, f"{suite.path}: {kind}s")
    check_alone(suite)
