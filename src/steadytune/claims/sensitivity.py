"""The sensitivity analyses that a verdict should survive, and whether one could change anything about a claim."""

from collections.abc import Iterable

from steadytune.claims.claim import Claim, Comparison, Cost, Difference, MeanDifference, ScoreComparison, Spread
from steadytune.claims.evidence import Analysis, Stratum
from steadytune.claims.paired_runs import PairedRuns, keys_of
from steadytune.suite.suite import Suite

SENSITIVITY = (
    Analysis("nested selection", rule="nested"),
    Analysis("selection on the reported set", rule="published"),
    Analysis("best epoch of each run", best_epoch=True),
    Analysis("without degenerate runs", without_degenerate=True),
    Analysis("diverged runs as majority class", with_diverged=True),
    Analysis("ranks", test="ranks"),
    Analysis("by seed", test="by seed"),
    Analysis("over examples", test="over examples"),
)


def analyses_of(suite: Suite) -> tuple[Analysis, ...]:
    """All sensitivity analyses of a suite, including one without each task."""
    tasks = dict.fromkeys(cell.task for cell in suite.cells)
    return *SENSITIVITY, *(Analysis(f"without {task}", without_task=task) for task in tasks)


def touches(claim: Claim, runs: PairedRuns) -> bool:
    """Whether the analysis of `runs` could change anything about a claim, such as a choice or a degenerate run."""
    analysis = runs.analysis
    if not isinstance(claim, Comparison) or (isinstance(claim, Cost) and analysis.rule is None):
        return False
    strata = runs.strata(claim)
    if analysis.without_task is not None:
        tasks = {stratum.task for stratum in runs.strata(claim, every=True)}
        return analysis.without_task in tasks and len(tasks) > 1
    if analysis.best_epoch:
        return _has_epochs(claim, runs, strata)
    if analysis.test != "its own":
        of_scores = isinstance(claim, ScoreComparison)
        several = analysis.test != "by seed" or len(strata) > 1
        return of_scores and several and (analysis.test == "over examples" or isinstance(claim, MeanDifference))
    ends = runs.ends(claim, strata)
    if analysis.without_degenerate:
        return bool(ends.get("degenerate")) and not isinstance(claim, Spread)
    if analysis.with_diverged:
        return bool(ends.get("diverged"))
    keys = [key for key in keys_of(claim, strata) if runs.sides.selected.choices.get(key, 1) > 1]
    applies = analysis.rule != "nested" or all(key in runs.sides.selected.held_out for key in keys)
    return bool(keys) and applies and analysis.rule not in (None, runs.suite.file.selection)


def _has_epochs(claim: Comparison, runs: PairedRuns, strata: Iterable[Stratum]) -> bool:
    """Whether a claim is about headline scores on each task's own set, and every scored run recorded its epochs."""
    if isinstance(claim, Difference) and (claim.sets or claim.reading != "headline"):
        return False
    found = [(runs.sides.best_epochs(key), runs.sides.results_of(key[1]).score(*key)) for key in keys_of(claim, strata)]
    return bool(found) and all(score and best.keys() == score.points.keys() for best, score in found)
