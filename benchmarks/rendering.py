"""Time for the figures and the report at the end of a run, for the recorded mini suite.

python benchmarks/rendering.py [--rounds R]
"""

import os
import tempfile
from pathlib import Path

from measuring import Cost, Row, by_turns, command, median, timed
from staging import ROOT

RECORDED = ROOT / "published/recorded/mini"


def render() -> Cost:
    """Cost of both stages, run as by the DAG: one after the other, with the imports already done by the worker."""
    import seaborn  # noqa: F401

    from steadytune.exports.evidence import read_recorded
    from steadytune.rendering.report import build_report, write_figures

    with tempfile.TemporaryDirectory() as place:
        results = read_recorded(RECORDED, Path(place)).results
        figures = Path(place) / "figures"
        with timed() as cost:
            write_figures(results, results.suite.figures, figures, min(2, os.cpu_count() or 1))
            build_report(results, Path(place) / "report.html", figures)
        return cost()


def measure(rounds: int) -> list[Row]:
    """The table's row."""
    costs = by_turns({"render": render}, rounds)["render"]
    return [Row("figures and report of the mini suite", median(costs), 10, unit=" s")]


if __name__ == "__main__":
    command(__doc__ or "", measure, rounds=3)
