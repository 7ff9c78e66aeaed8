"""What a suite's cells would be trained from now, computed once for all cells that differ only in their seed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from steadytune.cells.inputs import cell_fingerprint, cell_fingerprint_by_seed, input_folders, selected_layer
from steadytune.errors import SteadyTuneError
from steadytune.layout import Kind
from steadytune.suite.cell import Spec
from steadytune.suite.suite import Suite

Cause = Literal["settings", "inputs", "unstaged", "code"]
"""Why a record is stale; `unstaged`: its inputs are not available for comparison."""

Staged = Callable[[Kind, str, Path], str | tuple[Cause, str]]
"""Returns the digest of a staged folder, or why cells cannot be compared with it."""


@dataclass(frozen=True)
class _Inputs:
    """The inputs of cells that differ only in their seed."""

    digests: dict[str, str]
    unstaged: str
    """Why the selected layer is unknown; empty if it is known, or if they do not read it."""
    layer: int | None
    fingerprint: Callable[[int], str]
    """The fingerprint by seed, for cells without a parent."""


class Wanted:
    """The current settings, inputs and fingerprints of a suite's cells."""

    def __init__(self, suite: Suite, staged: Staged) -> None:
        self._suite, self._staged = suite, staged
        self._settings: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._inputs: dict[tuple[str, str, str], _Inputs | tuple[Cause, str]] = {}

    def settings(self, spec: Spec) -> dict[str, Any]:
        """`spec.to_dict()`; its parts are shared between seeds, so callers must not change them."""
        if spec.start:
            return spec.to_dict()
        key = (spec.encoder, spec.method, spec.task)
        if key not in self._settings:
            self._settings[key] = spec.to_dict()
        return self._settings[key] | {"seed": spec.seed}

    def outdated(self, spec: Spec, record: dict[str, Any]) -> tuple[Cause, str] | None:
        """How inputs or code differ from a record's; None if they do not."""
        key = (spec.encoder, spec.method, spec.task)
        if key not in self._inputs:
            self._inputs[key] = self._find_inputs(spec)
        now = self._inputs[key]
        if isinstance(now, tuple):
            return now
        for item in record["inputs"]:
            if now.digests.get(item["key"]) != item["digest"]:
                return "inputs", f"input {item['key']} has changed"
        if now.unstaged:
            return "unstaged", now.unstaged
        if now.layer is not None and now.layer != (record["training"] or {}).get("selected_layer", now.layer):
            return "inputs", "the selected layer has changed"
        parent = (record.get("parent") or {}).get("fingerprint")
        alone = not (spec.start or parent)
        found = now.fingerprint(spec.seed) if alone else cell_fingerprint(spec, now.digests, now.layer, parent)
        if found != record["fingerprint"]:
            return "code", "the task's entry or the code that trains it has changed"
        return None

    def _find_inputs(self, spec: Spec) -> _Inputs | tuple[Cause, str]:
        digests = {}
        for (kind, key), folder in input_folders(spec, self._suite.file.store).items():
            found = self._staged(kind, key, folder)
            if isinstance(found, tuple):
                return found
            digests[key] = found
        layer, unstaged = None, ""
        try:
            layer = selected_layer(self._suite, spec)
        except SteadyTuneError as error:
            unstaged = f"its inputs cannot be compared ({error})"
        return _Inputs(digests, unstaged, layer, cell_fingerprint_by_seed(spec, digests, layer))
