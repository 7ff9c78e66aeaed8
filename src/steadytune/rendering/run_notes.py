"""Notes below a table on the seeds and outcomes of the runs behind its scores."""

from collections.abc import Collection, Iterable, Mapping

from steadytune.rendering.entries import COUNTS, STALE
from steadytune.results.model import Key
from steadytune.results.scores import Score, in_order
from steadytune.text import listed, ranges

NOT_FRESH = (
    "from records that are not fresh (the code changed, or inputs are no longer staged); `steadytune status` says why, "
    "`steadytune run SUITE --stale` trains them again:"
)
NAMED_GROUPS = 20
"""Most groups of runs that one note names."""


def run_notes(shown: Iterable[tuple[Key, Score]]) -> list[str]:
    """Notes on the seeds and outcomes of the runs behind a table's scores.

    shown: the scores with their (encoder, method, task). Scores on several sets may share one.
    """
    shown = list(shown)
    return [*_seed_notes(shown), *status_notes(shown)]


def _seed_notes(shown: Iterable[tuple[Key, Score]]) -> list[str]:
    """A note on the runs whose planned seeds differ from the majority's; empty if all agree."""
    planned = {key: tuple(score.statuses) for key, score in shown}
    keys: dict[tuple[int, ...], list[Key]] = {}
    for key, seeds in planned.items():
        keys.setdefault(seeds, []).append(key)
    if len(keys) < 2:
        return []
    usual = max(keys, key=lambda seeds: len(keys[seeds]))
    others = [
        f"{ranges(seeds)} for {_named(dict.fromkeys(found, ()), planned)}"
        for seeds, found in keys.items()
        if seeds != usual
    ]
    return [
        f"Seeds: {ranges(usual)}, but {', and '.join(others)}. Means over different seeds differ for that reason too."
    ]


def status_notes(shown: Iterable[tuple[Key, Score]]) -> list[str]:
    """Notes on the counts, on the seeds with each status other than ok, and on records that are not fresh."""
    ends: dict[str, dict[Key, set[int]]] = {}
    planned: dict[Key, set[int]] = {}
    scored: dict[Key, set[int]] = {}
    old: dict[Key, set[int]] = {}
    for key, score in shown:
        for seed, status in score.statuses.items():
            ends.setdefault(status, {}).setdefault(key, set()).add(seed)
            planned.setdefault(key, set()).add(seed)
        for seed in score.points:
            scored.setdefault(key, set()).add(seed)
            if seed in score.stale:
                old.setdefault(key, set()).add(seed)
    notes = [
        f"{status.replace('_', ' ').capitalize()}: "
        f"{'every run' if ends[status] == planned else _named(ends[status], planned)}."
        for status in in_order(ends.keys() - {"ok"})
    ]
    where = "every record" if old == scored else _named(old, scored)
    return [*([COUNTS] if notes else []), *notes, *([f"{STALE}: {NOT_FRESH} {where}."] if old else [])]


def _named(found: Mapping[Key, Collection[int]], among: Mapping[Key, Collection[int]]) -> str:
    """Name runs by method and task: `hype-u and lnsr on every task (seeds 10–14); lora on rte (every seed)`.

    Args:
        found: (encoder, method, task) -> the seeds to name; none are printed if it is empty.
        among: the same for all runs of the table. Encoders are named if it has several.
    """
    tasks: dict[tuple[str, str], list[str]] = {}
    for encoder, method, task in among:
        tasks.setdefault((encoder, method), []).append(task)
    alike: dict[tuple[str, str, str], list[str]] = {}
    for (encoder, method, task), seeds in found.items():
        alike.setdefault((encoder, method, _seeds(seeds, among[encoder, method, task])), []).append(task)
    methods: dict[tuple[str, str], list[str]] = {}
    for (encoder, method, seeds), on in alike.items():
        every = len(on) > 1 and len(on) == len(tasks[encoder, method])
        methods.setdefault((encoder, f"{'every task' if every else listed(on)}{seeds}"), []).append(method)
    encoders: dict[str, list[str]] = {}
    for (encoder, where), names in methods.items():
        encoders.setdefault(f"{listed(names)} on {where}", []).append(encoder)
    several = len({encoder for encoder, _, _ in among}) > 1
    groups = [f"{listed(names)}: {group}" if several else group for group, names in encoders.items()]
    more = len(groups) - NAMED_GROUPS
    rest = [f"and {more} more, which the report lists under “Cell by cell”"] if more > 0 else []
    return "; ".join(groups[:NAMED_GROUPS] + rest)


def _seeds(seeds: Collection[int], planned: Collection[int]) -> str:
    if not seeds:
        return ""
    if len(seeds) == len(planned) > 1:
        return " (every seed)"
    return f" (seed{'s' if len(seeds) > 1 else ''} {ranges(seeds)})"
