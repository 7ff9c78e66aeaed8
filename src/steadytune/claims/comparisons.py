"""Comparisons of two methods by the rules of `verdicts`, with or without a claim about them."""

from collections import Counter
from collections.abc import Sequence

from steadytune.claims.examples import Examples
from steadytune.claims.judged import Judged, Verdicts
from steadytune.claims.paired_runs import PRIMARY, PairedRuns
from steadytune.claims.question import POINT, Differs
from steadytune.claims.verdicts import Judge, is_unplanned, judge
from steadytune.errors import SteadyTuneError, unknown
from steadytune.looks import NONE, Looks
from steadytune.results.loading import empty_results
from steadytune.results.model import Results
from steadytune.suite.suite import Suite
from steadytune.suite.variants import base, variants_by_name

RELEASED = "-released"
"""The suffix of a method's name if it follows the authors' released code."""


def judge_all(suite: Suite, results: Results, looks: Looks = NONE) -> Verdicts:
    """Judge a suite's claims, compare each method with the baseline, and other forms of a method with its plain one.

    Args:
        suite: names the claims.
        results: the results of its cells.
        looks: earlier looks, which show whether the plan has been changed after a look.
    """
    examples = Examples(suite, results.folder)
    return Verdicts(
        suite.name,
        claims=judge(suite, results, looks, examples),
        comparisons=compare(suite, results, against_baseline(suite), looks, examples),
        forms=compare(suite, results, forms(suite), looks, examples),
    )


def against_baseline(suite: Suite, margin: float = POINT) -> tuple[Differs, ...]:
    """Questions that compare each method with the suite's first one, on every encoder planned for both."""
    planned = {(cell.encoder, base(cell.method)) for cell in suite.cells}
    methods = list(variants_by_name(dict.fromkeys(cell.method for cell in suite.cells), suite.named))
    return tuple(
        Differs.between(encoder, method, methods[0], margin)
        for encoder in suite.file.encoders
        for method in methods[1:]
        if {(encoder, method), (encoder, methods[0])} <= planned
    )


def forms(suite: Suite) -> tuple[Differs, ...]:
    """Questions that compare each other form of a method with its plain form.

    Another form follows the authors' released code, or is a variant that the suite names. The plain form of
    `r3f-released` is `r3f`; the plain form of `freelb~steps=3` is `freelb`, if `freelb` has no grid.
    """
    planned = {(cell.encoder, cell.method) for cell in suite.cells}
    found = []
    for name in suite.named:
        plain = base(name) if "~" in name else name.replace(RELEASED, "")
        if plain != name and ("~" not in name or suite.named.get(plain) == (plain,)):
            found.append((name, plain))
    return tuple(
        Differs.between(encoder, name, plain)
        for encoder in suite.file.encoders
        for name, plain in found
        if any((encoder, variant) in planned for variant in suite.named[name])
        and any((encoder, variant) in planned for variant in suite.named.get(plain, ()))
    )


def as_reported(suite: Suite, first: str, second: str) -> tuple[str, str]:
    """Two sides in the report's order, under which looks are kept; unchanged if the report does not compare them."""
    (encoder, method), (other, baseline) = _side(first), _side(second)
    questions = {(asked.method, asked.against) for asked in (*against_baseline(suite), *forms(suite))}
    turned = (baseline, (method,)) in questions and (encoder == other or not (encoder and other))
    return (second, first) if turned else (first, second)


def pair(suite: Suite, first: str, second: str, effect: float) -> tuple[Differs, ...]:
    """Questions that compare two methods or variants, on every encoder that has both or on the encoders named.

    Args:
        suite: the suite that has both.
        first: a method, or `<encoder>/<method>`.
        second: the same; an encoder that only one side names is used for both.
        effect: the difference that matters, in points.

    Raises:
        SteadyTuneError: an unknown name, two sides that share no task, or two sides that are the same.
    """
    planned = PairedRuns(suite, empty_results(suite), PRIMARY).planned
    (encoder, method), (other, baseline) = _side(first), _side(second)
    encoders, methods = ({key[place] for key in planned} for place in (0, 1))
    for kind, names, known in (("encoder", filter(None, (encoder, other)), encoders),
                               ("method", (method, baseline), methods)):  # fmt: skip
        for name in names:
            if kind == "method" and name in encoders:
                raise SteadyTuneError(f"suite '{suite.name}': '{name}' is an encoder: expected {name}/METHOD")
            if name not in known:
                raise unknown(kind, name, known, f"suite '{suite.name}'")
    every = [(each, each) for each in suite.file.encoders]
    named = [(encoder or other, other or encoder)] if encoder or other else every
    tasks = {task for _, _, task in planned}
    cells = {
        (one, another, task): (planned[one, method, task], planned[another, baseline, task])
        for one, another in named
        for task in tasks
        if {(one, method, task), (another, baseline, task)} <= planned.keys()
    }
    # A method with a single variant has the same cells as that variant.
    if all(its == others for its, others in cells.values()):
        why = "expected two that differ" if cells else "no encoder and task have both"
        raise SteadyTuneError(f"suite '{suite.name}': {first} against {second}: {why}")
    shared = dict.fromkeys((one, another) for one, another, _ in cells)
    return tuple(Differs.between(one, method, baseline, effect, another) for one, another in shared)


def _side(text: str) -> tuple[str, str]:
    """(encoder, method) of `minilm/hype-n`; the encoder is empty if there is none."""
    encoder, _, method = text.rpartition("/")
    return encoder, method


def compare(
    suite: Suite,
    results: Results,
    questions: Sequence[Differs],
    looks: Looks = NONE,
    examples: Examples | None = None,
    *,
    detailed: bool = True,
) -> tuple[Judged, ...]:
    """Answer questions, with p-values corrected within each family; skip questions whose methods share no task.

    `detailed`: whether to answer task by task and over examples too.
    """
    runs = PairedRuns(suite, results, PRIMARY)
    planned = [question for question in questions if not is_unplanned(question, runs)]
    judge_claims = Judge(
        suite,
        Counter(question.family for question in planned),
        looks,
        (examples or Examples(suite, results.folder)) if detailed else None,
    )
    return tuple(judge_claims(planned, dict.fromkeys((question.id for question in planned), runs), detailed=detailed))
