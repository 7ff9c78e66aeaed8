"""How much of a score comes from choosing hyper-parameters on the reported set."""

from steadytune.rendering.entries import COUNTS, SPREAD, block_title, plain_mean, scored
from steadytune.rendering.table import NOTHING, Block, Line, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Key, Results
from steadytune.results.scores import paired
from steadytune.results.selection import RULES, chosen_variants, select, selection_notes


@table("selection", every_variant=True)
def selection(results: Results) -> Table:
    """The scores of each method with variants under published and nested selection, and the difference."""
    published, nested = select(results, "published"), select(results, "nested")
    blocks, data = [], []
    for encoder in published.encoders:
        rows: list[Line] = []
        for method in published.methods_of(encoder):
            gains = []
            for task in published.tasks:
                first, second = (side.score(encoder, method, task) for side in (published, nested))
                if first and second and published.choices.get((encoder, method, task), 1) > 1:
                    gains.append(paired(first, second).mean)
                    variants = [_spelled(side, (encoder, method, task)) for side in (published, nested)]
                    rows.append((method, task, scored(first), scored(second), number(gains[-1], sign=True)))
                    key = {"encoder": encoder, "method": method, "task": task}
                    chosen = dict(zip(("published_variant", "nested_variant"), variants, strict=True))
                    means = {"published_mean": first.mean, "nested_mean": second.mean, "gain": gains[-1]}
                    data.append(key | chosen | means)
            if len(gains) > 1:
                rows.append((method, "average", NOTHING, NOTHING, number(plain_mean(gains), sign=True)))
        blocks.append(Block(tuple(rows), title=block_title(encoder, results)))
    rules = [f"{rule.capitalize()}: {RULES[rule]}." for rule in ("published", "nested")]
    gain = "Gain: published minus nested, the part of a score that is selection on the reported set."
    return Table(
        name="selection",
        title="What selection is worth",
        caption="The same cells, with each method's variant chosen in two ways.",
        columns=("Method", "Task", "Published", "Nested", "Gain"),
        blocks=tuple(blocks),
        align="llrrr",
        notes=(SPREAD, COUNTS, *rules, gain, *selection_notes(published), *selection_notes(nested)),
        data=tuple(data),
    )


def _spelled(results: Results, key: Key) -> str:
    """The chosen variant; if it differs between seeds, each variant with its seeds."""
    found = chosen_variants(results, key)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{variant} (seeds {', '.join(map(str, seeds))})" for variant, seeds in found.items())
