"""Digests of the settings that the output of a DAG's job depends on; a changed digest runs the job again.

The digest of a cell is that of its spec.
"""

from typing import Any

from steadytune.suite.cell import canonical_digest
from steadytune.suite.suite import Suite

LAYER_PROTOCOL = ("max_length", "evaluation_batch_size", "determinism", "threads")
"""The settings of the suite's protocol that a measurement of layers reads."""


def suite_digest(suite: Suite) -> str:
    """The digest of the suite's file, on whose cells, titles and tables every page depends."""
    return canonical_digest(suite.file.model_dump(mode="json"))


def layer_digest(suite: Suite, encoder: str, task: str) -> str:
    """The digest of the settings of a measurement of layers before fine-tuning."""
    entry = {"model": suite.model(encoder, task), "weights": suite.file.encoders[encoder].weights}
    settings = suite.file.variability.measured()
    return canonical_digest({"encoder": entry, "protocol": _layer_protocol(suite), "settings": settings})


def inside_digest(suite: Suite) -> str:
    """The digest of the settings of measurements inside fine-tuned encoders; empty if the suite has none."""
    block = suite.file.inside
    if block is None:
        return ""
    encoders = {name: suite.file.encoders[name].model_dump(mode="json") for name in block.encoders}
    asked = block.model_dump(mode="json", include={"probes", "examples", "forgetting"})
    return canonical_digest({"encoders": encoders, "protocol": _layer_protocol(suite), "asked": asked})


def _layer_protocol(suite: Suite) -> dict[str, Any]:
    return {name: getattr(suite.protocols.base, name) for name in LAYER_PROTOCOL}
