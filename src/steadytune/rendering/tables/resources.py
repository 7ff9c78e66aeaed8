"""Resources that a suite used: sums over its records, time by phase."""

import math
from typing import Any

from steadytune.rendering.entries import block_title
from steadytune.rendering.table import Block, Line, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.results.costs import Total, total
from steadytune.results.model import Results


@table("resources", every_variant=True)
def resources(results: Results) -> Table:
    """Hours by phase, peak memory, energy and FLOPs of each method's cells and of all cells."""
    blocks, data, records = [], [], []
    for encoder in results.encoders:
        rows: list[Line] = []
        for method in results.methods_of(encoder):
            found = [
                record
                for (of, by, task), seeds in results.planned()
                if (of, by) == (encoder, method)
                for seed in seeds
                if (record := results.record(of, by, task, seed))
            ]
            records += found
            if found:
                rows.append(_line(method, total(found)))
                data.append({"encoder": encoder, "method": method} | total(found).data())
        blocks.append(Block(tuple(rows), title=block_title(encoder, results)))
    if records:
        blocks.append(Block((_line("all cells", total(records)),)))
        data.append({"encoder": "", "method": ""} | total(records).data())
    return Table(
        name="resources",
        title="Resources",
        caption="Total resources of all cells, including those that failed.",
        columns=(
            "Method",
            "Cells",
            "Hours",
            ("Hours", "before training"),
            ("Hours", "training"),
            ("Hours", "evaluation"),
            ("GiB", "host"),
            ("GiB", "device"),
            "Wh",
            "TFLOP",
            "GFLOP/s",
            ("% of peak", "FLOP/s"),
        ),
        blocks=tuple(blocks),
        notes=_notes(records),
        data=tuple(data),
    )


def _line(name: str, found: Total) -> Line:
    hours = [found.seconds(*phases) / 3600 for phases in (("total",), ("start", "load", "tokenise"))]
    hours += [found.seconds(phase) / 3600 for phase in ("train", "evaluate")]
    return (
        name,
        str(found.cells),
        *(number(value, 2) for value in hours),
        *(number(found.memory.get(place, math.nan) / 2**30, 2) for place in ("host", "device")),
        number(found.joules / 3600, 1),
        number(found.flops / 1e12, 2),
        number(found.rate / 1e9, 1),
        number(100 * found.utilisation, 1),
    )


def _notes(records: list[dict[str, Any]]) -> tuple[str, ...]:
    """Notes on what the numbers mean and why some are missing."""
    why = sorted({record["usage"]["without_joules"] for record in records} - {None})
    return (
        "Interrupted attempts count up to the checkpoint from which the next one resumed. GiB: the highest peak of one "
        "cell. GFLOP/s: counted FLOPs of training over its seconds, evaluations left out.",
        f"Wh: of the whole device while a cell ran{', unknown: ' + '; '.join(why) if why else ''}. "
        "% of peak: if the machine's STEADYTUNE_PEAK_FLOPS was set.",
    )
