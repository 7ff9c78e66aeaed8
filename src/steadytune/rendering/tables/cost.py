"""What a method costs, from the records of its cells."""

from steadytune.rendering.entries import block_title
from steadytune.rendering.table import Block, Line, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.results.costs import costs
from steadytune.results.model import Results


@table("cost", every_variant=True)
def cost(results: Results) -> Table:
    """Trained parameters, training time, FLOPs and memory of every method; time and FLOPs relative to the baseline."""
    blocks, data = [], []
    for encoder in results.encoders:
        rows: list[Line] = []
        for task in results.tasks_of(encoder):
            for method in results.methods_of(encoder):
                if found := costs(results, encoder, method, task):
                    rows.append((method, task, _count(results, encoder, method, task), *_printed(found)))
                    data.append({"encoder": encoder, "method": method, "task": task, **found})
        blocks.append(Block(tuple(rows), title=block_title(encoder, results)))
    notes = (
        "Medians over the seeds whose training finished (k/n: k of n planned); ×: the median over "
        f"seeds of the multiple of {results.baseline}'s cost at the same seed.",
        "Seconds: of training, including a method's preparation and without evaluations, on machines that may have "
        "differed and run other jobs. × time: only of seeds that both ran on the same model of device.",
        "FLOPs: counted by torch's FlopCounterMode in the first step, forward and backward, per position, times all "
        "positions; at inference: of one example of median length.",
        "MiB: peak memory of the device if there is one, otherwise of the process.",
    )
    return Table(
        name="cost",
        title="Cost",
        caption="What each method trains and what its training takes.",
        columns=(
            "Method",
            "Task",
            "Seeds",
            ("Trained", "% of parameters"),
            ("Seconds", "an epoch"),
            "× time",
            "× FLOPs",
            ("× FLOPs", "inference"),
            "MiB",
        ),
        blocks=tuple(blocks),
        align="llrrrrrrr",
        notes=notes,
        data=tuple(data),
    )


def _count(results: Results, encoder: str, method: str, task: str) -> str:
    """The number of seeds behind the medians, as `k/n` if it is not all planned seeds."""
    seeds = results.cells[encoder, method, task]
    trained = sum(bool(results.record(encoder, method, task, seed).get("training")) for seed in seeds)
    return str(trained) if trained == len(seeds) else f"{trained}/{len(seeds)}"


def _printed(found: dict[str, float]) -> tuple[str, ...]:
    return (
        number(100 * found["trained_share"]),
        number(found["epoch_seconds"]),
        *(number(found[f"{name}_ratio"], 2) for name in ("seconds", "flops", "inference")),
        number(found["memory"] / 2**20, 0),
    )
