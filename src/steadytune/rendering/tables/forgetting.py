"""How much an encoder forgets in fine-tuning, next to its score."""

import math
import statistics

from steadytune.rendering.entries import block_title, mean_entry
from steadytune.rendering.table import Block, Line, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.results.inside import BEFORE, every_inside
from steadytune.results.model import Results

LOSS = "masked_word_loss"


@table("forgetting", empty="This suite measures no masked-word loss.")
def forgetting(results: Results) -> Table:
    """The masked-word loss before and after fine-tuning, its growth, and the mean score of the same seeds."""
    blocks: list[Block] = []
    data: list[dict[str, object]] = []
    for encoder, inside in every_inside(results):
        rows: list[Line] = []
        for task in inside.tasks:
            start = statistics.fmean(inside.values(LOSS, BEFORE, task) or [math.nan])
            for method in inside.methods:
                if losses := inside.values(LOSS, method, task):
                    end, score = statistics.fmean(losses), results.score(encoder, method, task)
                    seeds = {row["seed"] for row in inside.rows[LOSS, method, task]}
                    mean = score.on(seeds).mean if score else math.nan
                    grown = number(end - start, 2, sign=True)
                    rows.append(
                        (method, task, number(start, 2), mean_entry(losses, 2), grown, number(mean), len(losses))
                    )
                    data.append({"encoder": encoder, "method": method, "task": task, "before": start, "after": end,
                                 "score": mean, "runs": len(losses)})  # fmt: skip
        if rows:
            blocks.append(Block(tuple(rows), title=block_title(encoder, results)))
    notes = (
        "Loss: mean cross-entropy in nats of 15 % of the words of texts that the encoder was not fine-tuned on, each "
        "replaced by the mask, through the pretrained masked-word head.",
        "Methods that drop layers have none, and neither have encoders without such a head.",
    )
    return Table(
        name="forgetting",
        title="Forgetting",
        caption="Masked-word loss of the encoder before and after fine-tuning, and the score of the same runs.",
        columns=(
            "Method",
            "Task",
            ("Before", "nats"),
            ("After", "nats"),
            ("Growth", "nats"),
            ("Score", "points"),
            "Runs",
        ),
        blocks=tuple(blocks),
        align="llrrrrr",
        notes=notes,
        data=tuple(data),
    )
