"""How much of a reported number comes from the way it was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steadytune.claims.judged import Judged, judged_of
from steadytune.rendering.claims import verdict_text
from steadytune.rendering.entries import block_title, over_tasks
from steadytune.rendering.table import NOTHING, Block, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.rendering.verdicts import not_judged
from steadytune.results.model import Results
from steadytune.results.selection import select
from steadytune.text import extent, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from steadytune.claims.optimism import Gain, Optimism

NOTES = (
    "Differences in points with their 95 % interval over other seeds, on the same tasks and evaluation examples. "
    "A dash: unknown on some task.",
    "Last epoch: the mean over seeds after the last epoch, which the other tables report. Epoch by other seeds: what "
    "is gained if each run stops at the epoch that is best for the other seeds; a new run would gain it too.",
    "Best epoch: each run at its own best epoch, minus its score at the epoch by other seeds: optimism. Median and "
    "best seed: that run minus the mean of the seeds. Best seed and epoch: the best run at its best epoch, minus the "
    "last epoch's mean.",
    "Best grid point: chosen on the reported set, minus the point that the other seeds choose on held-out data.",
    "Intervals for the best seed are for the expected gain with normally distributed scores; the observed gain can lie "
    "outside. docs/selection.md has more.",
)


@table("optimism", every_variant=True, empty="No method has two runs.")
def optimism(results: Results) -> Table:
    """Method x way of choosing the number to report: how far it exceeds what another run would have."""
    from steadytune.claims.optimism import WAYS, optimism_of

    shown, found = select(results), optimism_of(results)
    blocks, data = [], []
    for encoder in results.encoders:
        rows = []
        for (name, method), item in found.items():
            if name == encoder:
                gains = {way: getattr(item, way) for way in WAYS}
                rows.append((method, number(item.last), extent(set(item.seeds)), *map(gain_text, gains.values())))
                data.append({"encoder": encoder, "method": method} | _numbers(item, gains))
        if rows:
            blocks.append(Block(tuple(rows), title=block_title(encoder, results)))
    return Table(
        name="optimism",
        title="What is a chosen number worth?",
        caption="The same runs, printed in the usual ways: how far each lies above what a new run would give.",
        columns=("Method", ("Last epoch", "mean"), "Seeds", *(way[:1].upper() + way[1:] for way in WAYS.values())),
        blocks=tuple(blocks),
        notes=(*_over(shown, found), *NOTES),
        data=tuple(data),
    )


def _over(shown: Results, found: Mapping[tuple[str, str], Optimism]) -> list[str]:
    """Notes on the tasks that rows average over and on methods left out for lack of runs; equal notes are merged."""
    encoders: dict[str, list[str]] = {}
    for encoder in dict.fromkeys(encoder for encoder, _ in found):
        rows = {method: item.tasks for (name, method), item in found.items() if name == encoder}
        encoders.setdefault(_over_one(shown, encoder, rows), []).append(encoder)
    if len(encoders) == 1:
        return [note[:1].upper() + note[1:] for note in encoders]
    return [f"{', '.join(names)}: {note}" for note, names in encoders.items()]


def _over_one(shown: Results, encoder: str, rows: Mapping[str, tuple[str, ...]]) -> str:
    shared = shown.shared_tasks(encoder)
    if not shared:
        if different := over_tasks(rows):
            return f"averages over different tasks cannot be compared with one another: {different}."
        return f"every row is an average over {listed(next(iter(rows.values())))}."
    absent = [method for method in shown.methods_of(encoder) if method not in rows]
    left = f" Left out, with fewer than two runs on some task: {', '.join(absent)}." if absent else ""
    return f"every row is an average over the tasks planned for every method ({', '.join(shared)}).{left}"


def gain_text(gain: Gain | None) -> str:
    """`+1.2 [0.3, 2.1]`, or a dash."""
    return f"{number(gain.value, sign=True)} [{number(gain.low)}, {number(gain.high)}]" if gain else NOTHING


def _numbers(item: Optimism, gains: dict[str, Gain | None]) -> dict[str, object]:
    values: dict[str, object] = {"tasks": len(item.tasks), "seeds": min(item.seeds), "last": item.last}
    for way, gain in gains.items():
        numbers = (gain.value, gain.low, gain.high) if gain else ("", "", "")
        values |= dict(zip((way, f"{way}_low", f"{way}_high"), numbers, strict=True))
    return values


ANALYSES = ("best epoch of each run", "selection on the reported set", "nested selection")
RUNS = {"mean": "Mean", "median": "Median", "best": "Best seed"}


@table("readings", every_variant=True)
def readings(results: Results) -> Table:
    """Every claim about a difference, judged on scores chosen in each of the usual ways."""
    rows, data, flips = [], [], dict.fromkeys((*ANALYSES, "median", "best"), 0)
    for claim in judged_of(results):
        if claim.statistic != "difference" or not claim.finding or not claim.details:
            continue
        gaps = {name: _gap(claim, name) for name in RUNS}
        verdicts = {name: view.verdict for name, view in claim.sensitivity.items() if name in ANALYSES}
        for name in flips:
            flips[name] += verdicts.get(name, claim.verdict) != claim.verdict
            flips[name] += name in gaps and (gaps[name] > 0) != (gaps["mean"] > 0)
        others = [verdicts.get(name, NOTHING) for name in ANALYSES]
        rows.append((claim.id, verdict_text(claim), *others, *(number(gap, sign=True) for gap in gaps.values())))
        data.append(
            {"id": claim.id, "verdict": claim.verdict, **{name: verdicts.get(name, "") for name in ANALYSES}, **gaps}
        )
    verdict_flips = [f"{count} by {name}" for name, count in flips.items() if name in ANALYSES and count]
    sign_flips = [f"{flips[name]} by the {RUNS[name].lower()}" for name in ("median", "best") if flips[name]]
    notes = (
        "Verdicts: by the last epoch and the suite's own selection; if every run counted with its best epoch; if "
        "points of a grid were chosen on the reported set; and on held-out data. A dash: no influence.",
        "Points: the difference of the two sides' means, medians and best seeds, on average over tasks, as a paper "
        "prints it without a test.",
        f"Verdicts that flip: {', '.join(verdict_flips) or 'none'}. Signs opposite to the mean's: "
        f"{', '.join(sign_flips) or 'none'}.",
    )
    return Table(
        name="readings",
        title="Which verdicts would flip?",
        caption="Claims about a difference, judged by the same rule on scores that were chosen.",
        columns=("Claim", "Verdict", *(name[:1].upper() + name[1:] for name in ANALYSES), *RUNS.values()),
        blocks=(Block(tuple(rows)),) if rows else (),
        align="wwwwwrrr",
        notes=notes if rows else (not_judged(results) or "No claim about a difference was evaluated.",),
        data=tuple(data),
    )


def _gap(claim: Judged, name: str) -> float:
    """First minus second by the summary `name` of the runs, averaged over tasks, for the least favourable baseline."""
    gaps = [getattr(detail.first, name) - getattr(detail.second, name) for detail in claim.on_tasks()]
    return sum(gaps) / len(gaps)
