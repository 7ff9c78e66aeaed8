"""Predict a split in fixed-size batches, and evaluate the predictions."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.evaluation.spans import answer
from steadytune.evaluation.transfer import evaluate_transfer
from steadytune.suite.cell import Status
from steadytune.tasks.spans import Windows
from steadytune.tasks.table import Task
from steadytune.training.precision import Precision


class Predictions(Protocol):
    """A model's predictions on every example of a split: `Outputs`, or `Answers` to questions."""

    def evaluate(self, source: Task, target: Task, rule: str = "sum") -> dict[str, Any]:
        """The metrics of a model of `source` on a split of `target`; see `evaluate_transfer`."""
        ...

    def judge(self) -> tuple[Status, str | None]:
        """The status of a trained model by its predictions on the development set, and the reason if it is not ok."""
        ...

    def columns(self) -> dict[str, Any]:
        """The columns to write to `predictions.parquet`, n values each."""
        ...


@dataclass(frozen=True)
class Outputs:
    """A model's outputs on n examples: C classes, or one score."""

    logits: np.ndarray
    """(n, C) float32."""
    rows: np.ndarray
    """(n,) int64, as in `Encoded`."""
    labels: np.ndarray
    """(n,), as in `Encoded`."""

    def evaluate(self, source: Task, target: Task, rule: str = "sum") -> dict[str, Any]:
        """See `evaluate_transfer`."""
        return evaluate_transfer(source, target, self.logits, self.labels, rule)

    def judge(self) -> tuple[Status, str | None]:
        """Diverged if an output is not finite; degenerate if all examples get one class, or one score to 6 decimals."""
        if not np.isfinite(self.logits).all():
            return "diverged", "the outputs on the development set are not all finite"
        answers = self.logits.argmax(axis=1) if self.logits.shape[1] > 1 else self.logits[:, 0].round(6)
        if (answers == answers[0]).all():
            return "degenerate", "one answer for every development example"
        return "ok", None

    def columns(self) -> dict[str, Any]:
        """Row, gold label, predicted class or score, and every logit."""
        prediction = self.logits.argmax(1) if self.logits.shape[1] > 1 else self.logits[:, 0]
        named = {f"logit_{i}": values for i, values in enumerate(self.logits.T)}
        kept = {"row": self.rows.astype(np.int64), "label": self.labels.astype(np.float64)}
        return {**kept, "prediction": prediction.astype(np.float64), **named}


def predict(encoder: Encoder, batcher: Batcher, precision: Precision) -> Predictions:
    """Predict a split in its own order, without dropout or noise.

    Args:
        encoder: the model, which is left in evaluation mode.
        batcher: the split; the protocol fixes its batch size, so scores do not depend on the training batch.
        precision: the compute precision.
    """
    encoded = batcher.encoded
    if isinstance(encoded, Windows):
        return answer(encoder, batcher, precision)
    encoder.model.eval()
    logits = np.empty((len(batcher.lengths), encoder.num_labels), dtype=np.float32)
    with torch.inference_mode(), precision.autocast():
        for rows, batch in batcher.evaluation():
            logits[rows] = encoder(batch.inputs).logits.float().cpu().numpy()
    return Outputs(logits, encoded.rows, encoded.labels)
