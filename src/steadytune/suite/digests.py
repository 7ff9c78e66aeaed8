"""What makes a job of the DAG run again: the digest of all settings that its output goes by. A cell's is its spec's."""

from typing import Any

from steadytune.suite.cell import canonical_digest
from steadytune.suite.suite import Suite

LAYER_PROTOCOL = ("max_length", "evaluation_batch_size", "determinism", "threads")
"""What a measurement of layers takes of the suite's protocol."""


def suite_digest(suite: Suite) -> str:
    """That of the suite's file: other cells, titles or tables make other pages."""
    return canonical_digest(suite.file.model_dump(mode="json"))


def layer_digest(suite: Suite, encoder: str, task: str) -> str:
    """That of all that a measurement of layers before fine-tuning goes by."""
    entry = {"model": suite.model(encoder, task), "weights": suite.file.encoders[encoder].weights}
    settings = suite.file.variability.measured()
    return canonical_digest({"encoder": entry, "protocol": _layer_protocol(suite), "settings": settings})


def inside_digest(suite: Suite) -> str:
    """That of how cells are looked into; empty where none is."""
    block = suite.file.inside
    if block is None:
        return ""
    encoders = {name: suite.file.encoders[name].model_dump(mode="json") for name in block.encoders}
    asked = block.model_dump(mode="json", include={"probes", "examples", "forgetting"})
    return canonical_digest({"encoders": encoders, "protocol": _layer_protocol(suite), "asked": asked})


def _layer_protocol(suite: Suite) -> dict[str, Any]:
    return {name: getattr(suite.protocols.base, name) for name in LAYER_PROTOCOL}
