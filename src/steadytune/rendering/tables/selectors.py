"""The layer that each selector chooses."""

import math

from steadytune.rendering.entries import block_title
from steadytune.rendering.table import NOTHING, Block, Line, Table, number
from steadytune.rendering.tables.layers import least
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Results
from steadytune.results.variability import Variability

NAMES = {"cka": "CKA", "probe": "Probe", "h_score": "H-score"}


@table("selectors", empty="This suite measures no variability.")
def selectors(results: Results) -> Table:
    """Encoder x task: the layer chosen by nu (and how stable it is), CKA with the labels, a probe, and the H-score."""
    blocks, data = [], []
    for encoder in results.encoders:
        found = [item for item in results.variability if item.encoder == encoder]
        rows: list[Line] = [(item.task, str(len(item.nu) - 1), *_chosen(item)) for item in found]
        if rows:
            blocks.append(Block(tuple(rows), title=block_title(encoder, results)))
        data += [row for item in found for row in _numbers(item)]
    notes = (
        f"Layers 1 to L, before fine-tuning. ν: the layer of {least(results)}; share: how many of the bias-corrected "
        "resamples of the examples choose that layer.",
        "CKA: linear centred kernel alignment with the labels. Probe: cross-validated accuracy of a linear classifier, "
        "explained variance of a ridge regression for scores. H-score: with shrunk covariance. Each takes its maximum.",
    )
    return Table(
        name="selectors",
        title="Which layer?",
        caption="The layer that hidden-state variability chooses, and the choices of other scores on the same data.",
        columns=("Task", "L", "ν", ("ν", "share, %"), *NAMES.values()),
        blocks=tuple(blocks),
        notes=notes,
        data=tuple(data),
    )


def _chosen(item: Variability) -> list[str]:
    """The layer by nu and its share, then by every other selector."""
    share = number(100 * item.bands.share[item.best_layer], 0) if item.bands else NOTHING
    others = ((item.selectors or {}).get(name) for name in NAMES)
    return [str(item.best_layer), share, *(str(o.layer) if o and o.layer is not None else NOTHING for o in others)]


def _numbers(item: Variability) -> list[dict[str, object]]:
    """Every score of every layer."""
    rows = []
    for layer, nu in enumerate(item.nu):
        row: dict[str, object] = {"encoder": item.encoder, "task": item.task, "layer": layer, "nu": nu}
        bands = item.bands
        row |= {name: getattr(bands, name)[layer] if bands else math.nan for name in ("low", "high", "share")}
        selectors = item.selectors or {}
        row |= {name: selectors[name].scores[layer] if name in selectors else math.nan for name in NAMES}
        chosen = {name: selectors[name].layer == layer if name in selectors else None for name in NAMES}
        rows.append(row | {"nu_chooses": layer == item.best_layer} | {f"{k}_chooses": v for k, v in chosen.items()})
    return rows
