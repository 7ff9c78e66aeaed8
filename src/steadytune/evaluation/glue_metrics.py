"""The metrics as a local module of `evaluate`, which downloads nothing and writes no cache.

`evaluate` is slow to import, so `metrics.py` imports this module only when it needs it.
"""

import tempfile
from functools import cache
from typing import Any

import datasets
import evaluate
import numpy as np

from steadytune.evaluation.formulas import METRICS, SCORE_METRICS, TEXT_METRICS


class TaskMetric(evaluate.Metric):
    """The metric of the task table that the configuration name gives."""

    def _info(self) -> evaluate.MetricInfo:
        name = str(self.config_name)
        if name in TEXT_METRICS:
            prediction = datasets.Value("string")
            reference, citation = datasets.List(prediction), "Rajpurkar et al. 2016 (SQuAD)"
        else:
            prediction = datasets.Value("float64" if name in SCORE_METRICS else "int64")
            reference, citation = prediction, "Wang et al. 2018 (GLUE)"
        return evaluate.MetricInfo(
            description=METRICS[name].__doc__ or "",
            citation=citation,
            inputs_description="predictions and references: class indices; numbers for a correlation; or texts, and "
            "lists of the texts that are right.",
            # Without a `format`, values come back as lists; the numpy format of `datasets` would round to 32 bits.
            features=datasets.Features({"predictions": prediction, "references": reference}),
        )

    def _compute(self, *, predictions: Any = None, references: Any = None, **_: Any) -> dict[str, float]:
        name = str(self.config_name)
        if name not in TEXT_METRICS:
            predictions, references = np.array(predictions), np.array(references)
        return {name: METRICS[name](predictions, references)}


@cache
def load_metric(name: str) -> TaskMetric:
    """The metric's module, created once per process."""
    # The base class creates a cache folder even if everything is kept in memory; keep it out of the user's home.
    with tempfile.TemporaryDirectory() as folder:
        return TaskMetric(config_name=name, keep_in_memory=True, cache_dir=folder)
