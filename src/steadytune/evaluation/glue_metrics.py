"""The metrics as a local module of `evaluate`: nothing is fetched, and no cache is written.

`evaluate` imports much, so this module is itself imported late, by `metrics.py`.
"""

import tempfile
from functools import cache
from typing import Any

import datasets
import evaluate
import numpy as np

from steadytune.evaluation.formulas import METRICS, SCORE_METRICS, TEXT_METRICS


class TaskMetric(evaluate.Metric):
    """One metric of the task table; the configuration name says which."""

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
            # Given back as lists: the numpy format of `datasets` would round to 32 bits.
            features=datasets.Features({"predictions": prediction, "references": reference}),
        )

    def _compute(self, *, predictions: Any = None, references: Any = None, **_: Any) -> dict[str, float]:
        name = str(self.config_name)
        if name not in TEXT_METRICS:
            predictions, references = np.array(predictions), np.array(references)
        return {name: METRICS[name](predictions, references)}


@cache
def load_metric(name: str) -> TaskMetric:
    """The metric's module, made once a process."""
    # The base class makes a folder for its cache files even where all is kept in memory: not in the user's home, then.
    with tempfile.TemporaryDirectory() as folder:
        return TaskMetric(config_name=name, keep_in_memory=True, cache_dir=folder)
