"""Results in the schema of Every Eval Ever (0.3): https://evalevalai.com.

One file per cell and one per mean over seeds, laid out like its datastore: `data/<collection>/steadytune/<model>/
<uuid>.json`. The schema has no fields for seeds and settings, so they are texts in `model_info.additional_details`.
"""

import hashlib
import json
import math
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steadytune import __version__
from steadytune.cells.record import Record
from steadytune.claims.statistics import LEVEL
from steadytune.exports.content import Aggregate, Content
from steadytune.files import atomic_folder, write_json
from steadytune.layout import record_path
from steadytune.suite.suite import Suite
from steadytune.tasks.parts import split_name

VERSION = "0.3.0"
"""Version of the schema."""

LOWEST = {"matthews": -1, "pearson": -1, "spearman": -1, "pearson_spearman": -1}
"""Minimum of each metric whose minimum is not 0; the maximum is always 1."""


def export(suite: Suite, target: Path) -> None:
    """Write every cell and every mean over seeds to a new folder; the means include the verdicts."""
    content = Content.load(suite)
    with atomic_folder(target) as folder:
        for model, log in _logs(content):
            name = uuid.UUID(bytes=hashlib.sha256(log["evaluation_id"].encode()).digest()[:16], version=4)
            write_json(folder / "data" / f"steadytune-{suite.name}" / "steadytune" / model / f"{name}.json", log)


def _logs(content: Content) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the log of each cell's model and of each mean over seeds."""
    scores: dict[str, list[Aggregate]] = {}
    for score in content.aggregates:
        scores.setdefault(score.name, []).append(score)
    by_group: dict[str, list[Record]] = {}
    for cell, record in content.records.items():
        by_group.setdefault(cell.group, []).append(record)
        own = [(score, score.values.get(cell.seed)) for score in scores.get(cell.group, [])]
        results = [_result(content, record, score, value) for score, value in own if value is not None]
        if results:
            yield _log(content, [record], results)
    for name, records in by_group.items():
        if name in scores and len(records) > 1:
            results = [_result(content, records[0], score, None) for score in scores[name]]
            yield _log(content, records, results)


def _log(content: Content, records: list[Record], results: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """The model name and the log of one record, or of a mean over several seeds' records."""
    first, suite = records[0], content.suite
    cell, seeds = first.cell, [record.cell.seed for record in records]
    end = f"seed-{cell.seed}" if len(records) == 1 else "mean-over-seeds"
    model = f"{suite.name}.{cell.encoder}.{cell.method}.{cell.task}.{end}"
    environments = [vars(record.environment) for record in records]
    when = str(int(max(record_path(suite, record.cell).stat().st_mtime for record in records)))
    claims = {f"claim {claim.id}": f"{claim.verdict}: {claim.sentence}" for claim in content.claims}
    return model, {
        "schema_version": VERSION,
        "evaluation_id": f"steadytune-{suite.name}/{model}/{when}",
        "evaluation_timestamp": when,
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": suite.file.title,
            "source_type": "evaluation_run",
            "source_organization_name": "SteadyTune",
            "evaluator_relationship": "other",
            "additional_details": {"suite": suite.name} | (claims if len(records) > 1 else {}),
        },
        "eval_library": {
            "name": "steadytune",
            "version": __version__,
            # A mean's seeds may have run on several machines.
            "additional_details": {
                key: str(value) for key, value in environments[0].items() if all(e[key] == value for e in environments)
            },
        },
        "model_info": {
            "name": model,
            "id": f"steadytune/{model}",
            "developer": "steadytune",
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "base_model": first.spec["model"],
                "base_weights": first.spec["weights"],
                "method": cell.method,
                "method_settings": json.dumps({part["name"]: part["settings"] for part in first.spec["parts"]}),
                "protocol": json.dumps(first.spec["protocol"]),
                "trained_on": cell.task,
                "seeds": json.dumps(seeds),
                "statuses": json.dumps([record.status for record in records]),
                "streams": json.dumps([record.streams for record in records]),
                "fingerprints": json.dumps([record.fingerprint for record in records]),
            },
        },
        "evaluation_results": results,
    }


def _result(content: Content, record: Record, score: Aggregate, value: float | None) -> dict[str, Any]:
    """One metric on one evaluation set: a seed's `value` if given, else the mean over seeds."""
    task, details = content.suite.task(score.set), {"kind": score.kind, "headline": str(score.headline)}
    if score.majority is not None:
        details["majority_class"] = str(score.majority)
    if value is None:
        details["values_by_seed"] = json.dumps(score.values)
    split = task.train if score.kind == "held_out" else task.evaluation
    read = next(item for item in record.inputs if item.key == task.dataset_key)
    about = {key: str(getattr(read, key)) for key in ("source", "revision", "digest")}
    source: dict[str, Any] = {"dataset_name": score.set, "source_type": "other"}
    if read.from_hub:
        of_hub = {"hf_repo": task.dataset, "hf_split": split_name(split or "")[0], "samples_number": score.n}
        source |= {"source_type": "hf_dataset"} | of_hub
    return {
        "evaluation_result_id": f"{score.set}/{score.kind}/{score.metric}",
        "evaluation_name": score.set,
        "source_data": source | {"additional_details": about | {"config": task.config, "split": str(split)}},
        "metric_config": {
            "evaluation_description": task.description,
            "metric_id": score.metric,
            "metric_name": score.metric,
            "metric_kind": score.metric,
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": LOWEST.get(score.metric, 0),
            "max_score": 1,
        },
        "score_details": {"score": score.mean if value is None else value, "details": details}
        | ({"uncertainty": _uncertainty(score)} if value is None and score.sd is not None else {}),
    }


def _uncertainty(score: Aggregate) -> dict[str, Any]:
    assert score.sd is not None and score.interval is not None, "of several seeds"
    n = len(score.values)
    return {
        "standard_error": {"value": score.sd / math.sqrt(n), "method": "over seeds: standard deviation / sqrt(seeds)"},
        "confidence_interval": {
            "lower": score.interval[0],
            "upper": score.interval[1],
            "confidence_level": LEVEL,
            "method": "Student's t over seeds",
        },
        "standard_deviation": score.sd,
        "num_samples": n,
    }
