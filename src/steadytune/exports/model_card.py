"""Model cards built from records: for one fine-tuned model, or for every encoder, method and task of a suite.

The front matter is the hub's metadata with a `model-index`; each metric's `args` hold its seeds, spread and interval.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from steadytune import __version__
from steadytune.cells.record import Input, Record
from steadytune.exports.content import Aggregate, Content
from steadytune.files import atomic_folder, write_text
from steadytune.layout import model_folder
from steadytune.rendering.formats import markdown
from steadytune.suite.suite import Suite
from steadytune.tasks.table import Task

CARD = "README.md"
PIPELINES = {True: "question-answering", False: "text-classification"}
"""The hub's pipeline tag, by whether a task's answers are spans."""


def export(suite: Suite, target: Path) -> None:
    """Write a card for every encoder, method and task to `target/<encoder>/<method>/<task>/README.md`."""
    content = Content.load(suite)
    groups: dict[str, list[Record]] = {}
    for cell, record in content.records.items():
        groups.setdefault(cell.group, []).append(record)
    with atomic_folder(target) as folder:
        for name, records in groups.items():
            scores = [score for score in content.aggregates if score.name == name]
            write_text(folder / name / CARD, suite_card(suite, records, scores))


def suite_card(suite: Suite, records: Sequence[Record], scores: Sequence[Aggregate]) -> str:
    """The card of an encoder, method and task: its scores over all seeds."""
    first, ended = records[0], {}
    for record in records:
        ended.setdefault(record.status, []).append(record.cell.seed)
    runs = "; ".join(f"{status.replace('_', ' ')}: seeds {_list(seeds)}" for status, seeds in ended.items())
    opening = [
        f"Fine-tuned {len(records)} times by SteadyTune's suite *{markdown(suite.file.title)}*, each time with another "
        f"seed ({runs}). Scores are means over the seeds that have one.",
    ]
    return _card(suite, first, scores, opening, [], of_seed=False)


def cell_card(suite: Suite, record: Record, origin: str, weights: str, *, adapter: bool) -> str:
    """The card of one cell's model.

    Args:
        suite: the cell's suite.
        record: the cell's record.
        origin: a sentence on where the weights come from.
        weights: SHA-256 of the file with the weights.
        adapter: whether the folder has only LoRA's matrices and the head.
    """
    cell, task = record.cell, suite.task(record.cell.task)
    alike = [other for other in suite.cells if other.group == cell.group]
    scores = Content.of_cells(suite, alike).aggregates
    ended = "" if record.status == "ok" else f" The run ended {record.status}: {markdown(record.reason or '')}."
    opening = [
        f"Fine-tuned with seed {cell.seed} by SteadyTune's suite *{markdown(suite.file.title)}*.{ended} {origin}",
        "",
        "```python",
        *_usage(suite, task, record, adapter=adapter),
        "```",
    ]
    if len(alike) > 1:
        opening += ["", f"This is one of {len(alike)} seeds. If it was chosen for its score, that score is optimistic: "
                    "judge the method by the mean over seeds."]  # fmt: skip
    facts = [("weights, SHA-256", weights), ("record's seal", record.seal), ("fingerprint", record.fingerprint)]
    return _card(suite, record, scores, opening, facts, of_seed=True)


def _card(
    suite: Suite,
    record: Record,
    scores: Sequence[Aggregate],
    opening: Iterable[str],
    facts: Sequence[tuple[str, str]],
    *,
    of_seed: bool,
) -> str:
    """Front matter and text. of_seed: report the record's own scores next to the means."""
    cell, spec, task = record.cell, suite.spec(record.cell), suite.task(record.cell.task)
    title = f"{spec.encoder}-{spec.method}-{spec.task}"
    protocol = record.spec["protocol"]
    parts = [(part["name"], _settings(part["settings"])) for part in record.spec["parts"]]
    ran = [(key.replace("_", " "), str(value)) for key, value in vars(record.environment).items()]
    lines = [
        f"# {markdown(title)}",
        "",
        *opening,
        "",
        "## Scores",
        "",
        *_scores(scores, cell.seed if of_seed else None),
        "",
        "## Training",
        "",
        *_table(("setting", "value"), [
            ("task", f"{task.name}: {task.description}"),
            ("labels", ", ".join(task.labels) or "a number"),
            ("encoder", f"{spec.encoder} ({spec.model}, {spec.weights} weights)"),
            *((f"method {name}", settings or "no settings") for name, settings in parts),
            *((key.replace("_", " "), str(value)) for key, value in protocol.items()),
        ]),
        "",
        "## Provenance",
        "",
        *_table(("what", "value"), [
            ("program", f"SteadyTune {__version__}"),
            *((f"{item.kind} {item.key}", f"{item.source}, revision {item.revision or 'none'}, digest {item.digest}")
              for item in record.inputs),
            *facts,
            *ran,
            ("data licence", task.licence),
        ]),
        "",
        f"`steadytune verify {suite.name} {cell}` trains it again and compares.",
    ]  # fmt: skip
    if suite.file.notes:
        lines += ["", "## Notes", "", *(f"- {markdown(note)}" for note in suite.file.notes)]
    return f"---\n{_metadata(suite, record, scores, title, of_seed).to_yaml()}\n---\n\n" + "\n".join(lines) + "\n"


def _metadata(suite: Suite, record: Record, scores: Sequence[Aggregate], title: str, of_seed: bool) -> ModelCardData:
    spec, seed = suite.spec(record.cell), record.cell.seed
    pipeline = PIPELINES[spec.tasks[spec.task].span]
    revisions = {item.key: item.revision for item in record.inputs}
    results = []
    for score in scores:
        value = score.values.get(seed) if of_seed else score.mean
        if value is None:
            continue
        task = suite.task(score.set)
        results.append(
            EvalResult(
                task_type=pipeline,
                dataset_type=task.dataset,
                dataset_name=f"{score.set} (held out of training)" if score.kind == "held_out" else score.set,
                dataset_config=task.config,
                dataset_split=task.train if score.kind == "held_out" else task.evaluation,
                dataset_revision=revisions.get(task.dataset_key),
                metric_type=score.metric,
                metric_value=value,
                metric_args=_spread(score) | ({"seed": seed} if of_seed else {}),
            )
        )
    given = _encoder_of(record)
    datasets = [item.key.rpartition("/")[0] for item in record.inputs if item.kind == "datasets" and item.from_hub]
    return ModelCardData(
        base_model=given.key if given.from_hub else None,
        datasets=sorted(set(datasets)) or None,
        library_name="transformers",
        pipeline_tag=pipeline,
        metrics=sorted({score.metric for score in scores}),
        tags=["steadytune", spec.method],
        model_name=title,
        eval_results=results,
    )


def _spread(score: Aggregate) -> dict[str, Any]:
    """The statistics behind a mean over seeds."""
    interval = list(score.interval) if score.interval else None
    return {"seeds": sorted(score.values), "planned_seeds": score.planned, "mean": score.mean, "sd": score.sd,
            "interval_95": interval, "majority": score.majority, "n": score.n}  # fmt: skip


def _scores(scores: Sequence[Aggregate], seed: int | None) -> list[str]:
    of_seed = [] if seed is None else [f"seed {seed}"]
    heading = ("evaluated on", "metric", *of_seed, "mean over seeds", "sd", "95 % interval", "seeds", "majority class")
    rows = []
    for score in scores:
        name = f"{score.set} (held out of training)" if score.kind == "held_out" else score.set
        interval = f"{score.interval[0]:.4f} to {score.interval[1]:.4f}" if score.interval else ""
        own = [] if seed is None else [_number(score.values.get(seed))]
        spread = (_number(score.mean), _number(score.sd), interval, f"{len(score.values)} of {score.planned}")
        rows.append((name, score.metric, *own, *spread, _number(score.majority)))
    return _table(heading, rows)


def _usage(suite: Suite, task: Task, record: Record, *, adapter: bool) -> list[str]:
    """Lines of code that open the folder."""
    if adapter:
        auto = "AutoModelForQuestionAnswering" if task.span else "AutoModelForSequenceClassification"
        base = base_of(suite, record)
        count = "" if task.span else f", num_labels={task.num_labels}"
        return ["from peft import PeftModel", f"from transformers import {auto}", "",
                f'model = PeftModel.from_pretrained({auto}.from_pretrained("{base}"{count}), "FOLDER")']  # fmt: skip
    if task.span:
        # transformers 5 has no question-answering pipeline.
        return ["from transformers import AutoModelForQuestionAnswering, AutoTokenizer", "",
                'model = AutoModelForQuestionAnswering.from_pretrained("FOLDER")',
                'tokenizer = AutoTokenizer.from_pretrained("FOLDER")']  # fmt: skip
    example = '{"text": "…", "text_pair": "…"}' if len(task.text) > 1 else '"…"'
    return ["from transformers import pipeline", "",
            f'pipeline("text-classification", "FOLDER")({example}, truncation=True)']  # fmt: skip


def base_of(suite: Suite, record: Record) -> str | Path:
    """The pretrained encoder: its name if it is on the hub, else its folder in the store."""
    given = _encoder_of(record)
    return given.key if given.from_hub else model_folder(suite.file.store, given.key)


def _encoder_of(record: Record) -> Input:
    """The pretrained encoder, as the record names it."""
    return next(item for item in record.inputs if item.kind == "models")


def _settings(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [_row(heading), _row("---" for _ in heading)]
    return [*lines, *(_row(markdown(value) for value in row) for row in rows)]


def _row(values: Iterable[str]) -> str:
    return f"| {' | '.join(values)} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
