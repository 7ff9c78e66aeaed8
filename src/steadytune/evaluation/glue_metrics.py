"""The metrics as a local module of `evaluate`: nothing is fetched, and no cache is written.

`evaluate` imports much, so this module is itself imported late, by `metrics.py`.
"""

import tempfile
from functools import cache
from typing import Any

import datasets
import evaluate
import numpy as np

from steadytune.evaluation.formulas import METRICS, SCORE_METRICS


class TaskMetric(evaluate.Metric):
    """One metric of the task table; the configuration name says which."""

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("float64" if self.config_name in SCORE_METRICS else "int64")
        return evaluate.MetricInfo(
            description=METRICS[str(self.config_name)].__doc__ or "",
            citation="Wang et al. 2018 (GLUE)",
            inputs_description="predictions and references: class indices, or numbers for a correlation.",
            # Given back as lists: the numpy format of `datasets` would round to 32 bits.
            features=datasets.Features({"predictions": value, "references": value}),
        )

    def _compute(self, *, predictions: Any = None, references: Any = None, **_: Any) -> dict[str, float]:
        name = str(self.config_name)
        return {name: METRICS[name](np.array(predictions), np.array(references))}


@cache
def load_metric(name: str) -> TaskMetric:
    """The metric's module, made once a process."""
    # The base class makes a folder for its cache files even where all is kept in memory: not in the user's home, then.
    with tempfile.TemporaryDirectory() as folder:
        return TaskMetric(config_name=name, keep_in_memory=True, cache_dir=folder)
