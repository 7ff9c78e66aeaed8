"""Digests of the settings that each DAG job's output depends on; a changed digest reruns the job.

A cell's digest is its spec's digest.
"""

from typing import Any

from steadytune.suite.cell import canonical_digest
from steadytune.suite.suite import Suite

LAYER_PROTOCOL = ("max_length", "evaluation_batch_size", "determinism", "threads")
"""Protocol settings that a measurement of layers reads."""


def suite_digest(suite: Suite) -> str:
    """The digest of the suite's file, which every page depends on for its cells, titles and tables."""
    return canonical_digest(suite.file.model_dump(mode="json"))


def variability_digest(suite: Suite, encoder: str, task: str) -> str:
    """The digest of the settings for measuring an encoder's layers before fine-tuning."""
    entry = {"model": suite.model(encoder, task), "weights": suite.file.encoders[encoder].weights}
    settings = suite.file.variability.measured()
    return canonical_digest({"encoder": entry, "protocol": _layer_protocol(suite), "settings": settings})


def inside_digest(suite: Suite) -> str:
    """The digest of the settings for analysing fine-tuned encoders; empty if the suite has no `inside` block."""
    block = suite.file.inside
    if block is None:
        return ""
    encoders = {name: suite.file.encoders[name].model_dump(mode="json") for name in block.encoders}
    asked = block.model_dump(mode="json", include={"probes", "examples", "forgetting"})
    return canonical_digest({"encoders": encoders, "protocol": _layer_protocol(suite), "asked": asked})


def _layer_protocol(suite: Suite) -> dict[str, Any]:
    return {name: getattr(suite.protocols.base, name) for name in LAYER_PROTOCOL}
