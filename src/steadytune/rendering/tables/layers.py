"""Hidden-state variability, layer by layer."""

import math

from steadytune.rendering.entries import block_title
from steadytune.rendering.table import NOTHING, Block, Entry, Line, Table, Value, number
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Results


@table("variability", empty="This suite measures no variability.")
def variability(results: Results) -> Table:
    """Hidden-state variability by layer, a column for each task, l* in bold."""
    blocks, data = [], []
    tasks = list(dict.fromkeys(item.task for item in results.variability))
    for encoder in results.encoders:
        found = {item.task: item for item in results.variability if item.encoder == encoder}
        if not found:
            continue
        rows: list[Line] = []
        for layer in range(max(len(item.nu) for item in found.values())):
            line: list[Value] = [str(layer)]
            for task in tasks:
                item = found.get(task)
                value = item.nu[layer] if item and layer < len(item.nu) else math.nan
                line.append(Entry(_significant(value), best=item is not None and layer == item.best_layer))
                if item and layer < len(item.nu):
                    best = layer == item.best_layer
                    data.append({"encoder": encoder, "task": task, "layer": layer, "nu": value, "best_layer": best})
            rows.append(tuple(line))
        chosen: Line = ("l*", *(str(found[task].best_layer) if task in found else NOTHING for task in tasks))
        blocks.append(Block(tuple(rows), title=block_title(encoder, results), reference=(chosen,)))
    note = (
        "Layer 0: embedding output; layer l: output of the l-th Transformer layer. "
        f"Bold: l*, the layer of {least(results)}; layer 0 is no candidate."
    )
    return Table(
        name="variability",
        title="Hidden-state variability",
        caption="ν(l) of the encoder before fine-tuning: variability within classes over variability between them.",
        columns=("Layer", *tasks),
        blocks=tuple(blocks),
        notes=(note,),
        data=tuple(data),
    )


def least(results: Results) -> str:
    """The criterion that defines l*: least ν or, if the suite chooses by it, least corrected ν."""
    corrected = any(item.settings.get("choose_by") == "corrected" for item in results.variability)
    return "least ν corrected for its bias" if corrected else "least ν"


def _significant(value: float) -> str:
    """Three significant digits, without an exponent in the range of variability."""
    if abs(value) >= 100:
        return number(value, 0)
    return f"{value:#.3g}" if math.isfinite(value) else NOTHING
