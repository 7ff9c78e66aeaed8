"""All variants of a method side by side, to show what each setting contributes."""

from steadytune.rendering.entries import BOLD, SPREAD, contenders, leaders, numbers, scope, scored
from steadytune.rendering.run_notes import run_notes
from steadytune.rendering.table import Block, Line, Table
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Results
from steadytune.results.scores import metric_name
from steadytune.suite.variants import base, point


@table("variants", every_variant=True, empty="No method of this suite has variants.")
def variants(results: Results) -> Table:
    """Variant x task, a block for each encoder and method with several variants in the grid."""
    groups: dict[tuple[str, str], list[str]] = {}
    for encoder in results.encoders:
        for variant in results.methods_of(encoder):
            groups.setdefault((encoder, base(variant)), []).append(variant)
    groups = {key: found for key, found in groups.items() if len(found) > 1}
    tasks = [
        task
        for task in results.tasks
        if any(
            sum((encoder, name, task) in results.cells for name in found) > 1 for (encoder, _), found in groups.items()
        )
    ]
    shown, data, blocks = [], [], []
    for (encoder, method), found in groups.items():
        scores = {(variant, task): results.score(encoder, variant, task) for variant in found for task in tasks}
        best = {
            task: leaders(contenders(results, encoder, task, {name: scores[name, task] for name in found}))
            for task in tasks
        }
        rows: list[Line] = []
        for variant in found:
            entries = [scored(scores[variant, task], best=variant in best[task]) for task in tasks]
            rows.append((point(variant) or f"{method}, suite settings", *entries))
        for (variant, task), score in scores.items():
            if score:
                shown.append(((encoder, variant, task), score))
                data.append(numbers({"encoder": encoder, "method": method, "variant": variant, "task": task}, score))
        title = method if len(results.encoders) == 1 else f"{encoder}, {method}"
        blocks.append(Block(tuple(rows), title=title))
    plain = any(not point(variant) for found in groups.values() for variant in found)
    stands = ["Suite settings: as the suite sets the method; every other row names what differs."] if plain else []
    return Table(
        name="variants",
        title="Variants",
        caption=scope(results, "evaluation split of each task"),
        columns=("Variant", *((task, metric_name(results.metric(task))) for task in tasks)),
        blocks=tuple(blocks),
        notes=(SPREAD, BOLD, *stands, *run_notes(shown)),
        data=tuple(data),
    )
