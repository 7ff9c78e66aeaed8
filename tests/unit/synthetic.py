"""Results of a suite that never ran: the files of all stages before rendering, written from a table of scores."""

import json
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from steadytune.claims.judged import Finding, Judged, Sensitivity, Verdicts, write_verdicts
from steadytune.dag.products import making
from steadytune.results.description import Description, PretrainingPair
from steadytune.suite.suite import Suite

Key = tuple[str, str, str, int]
UNSCORED = ("diverged", "out_of_memory", "failed", "missing", "quarantined")


@dataclass
class Grid:
    """A grid of cells, and the result to write for each."""

    name: str = "demo"
    encoders: tuple[str, ...] = ("mini",)
    methods: tuple[str, ...] = ("vanilla", "hype-n")
    tasks: tuple[str, ...] = ("mini-rte",)
    seeds: int = 3
    transfer: dict[str, tuple[str, ...]] = field(default_factory=dict)
    methods_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Encoder or task -> its methods, if not all of them."""
    statuses: dict[Key, str] = field(default_factory=dict)
    """Cells that did not end ok."""
    values: dict[Key, float] = field(default_factory=dict)
    """Headline values in domain; if absent, derived from the cell's name."""
    held_out: dict[Key, float] = field(default_factory=dict)
    """Headline values on the part of the training split that was held out from training."""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Task or set -> the counts of `results.loading.COUNTS` that differ from the usual ones."""
    metrics: dict[str, str] = field(default_factory=dict)
    """Task or set -> headline metric; accuracy if absent."""
    layers: int = 4
    epochs: int = 3

    @property
    def suite(self) -> Description:
        """The description that rendering takes."""
        compared = (PretrainingPair("mini", "mini-random"),) if "mini-random" in self.encoders else ()
        return Description(
            name=self.name,
            title="A demonstration suite",
            encoders=self.encoders,
            methods=self.methods,
            tasks=self.tasks,
            pretraining_pairs=compared,
        )

    def cells(self) -> list[Key]:
        """Every planned cell."""
        return [
            (encoder, method, task, seed)
            for encoder in self.encoders
            for task in self.tasks
            for method in self.methods
            if method in self.methods_of.get(encoder, self.methods)
            and method in self.methods_of.get(task, self.methods)
            for seed in range(self.seeds)
        ]

    def write(self, root: Path) -> Path:
        """Write everything under `root`/<name>; returns that folder."""
        folder = root / self.name
        folder.mkdir(parents=True)
        rows = [row for cell in self.cells() for row in self._rows(cell)]
        pd.DataFrame(rows).to_parquet(folder / "metrics.parquet")
        for cell in self.cells():
            if self.statuses.get(cell) != "missing":
                self._write_cell(folder, cell)
        for encoder in self.encoders:
            for task in self.tasks:
                self._write_variability(folder, encoder, task)
        return folder

    def value(self, cell: Key, evaluation_set: str) -> float:
        """The headline value of a cell on a set; NaN if the cell has none."""
        status = self.statuses.get(cell, "ok")
        if status in UNSCORED:
            return float("nan")
        if status == "degenerate":
            return 0.53
        encoder, method, task, _ = cell
        if evaluation_set == task and cell in self.values:
            return self.values[cell]
        level = 0.55 if encoder.endswith("random") else 0.68 + 0.2 * _uniform(task)
        level += 0.02 * _uniform(method, task) - (0.12 if evaluation_set != task else 0)
        return level + 0.02 * _normal(*map(str, cell), evaluation_set)

    def _rows(self, cell: Key) -> list[dict[str, Any]]:
        encoder, method, task, seed = cell
        status = self.statuses.get(cell, "ok")
        rows = []
        for evaluation_set in (task, *self.transfer.get(task, ())):
            metric = self.metrics.get(evaluation_set, "accuracy")
            value = self.value(cell, evaluation_set)
            for name, headline in ((metric, True), ("f1", False)) if metric != "f1" else ((metric, True),):
                row = {"suite": self.name, "encoder": encoder, "method": method, "task": task, "seed": seed}
                row |= {
                    "status": status,
                    "evaluation_set": evaluation_set,
                    "metric": name,
                    "headline": headline,
                    "stale": "",
                }
                row |= {"kind": "in_domain" if evaluation_set == task else "transfer", "value": value}
                known = status not in UNSCORED
                row |= {"majority_rate": 0.53 if known else np.nan, "majority": 0.53 if known else np.nan}
                counts = self._counts(task, evaluation_set) | {"seconds": 12.5}
                rows.append(row | (counts if known else dict.fromkeys(counts, np.nan)))
        if cell in self.held_out:
            first = {**rows[0], "kind": "held_out", "evaluation_set": task, "value": self.held_out[cell]}
            rows.append(first)
        return rows

    def _counts(self, task: str, evaluation_set: str) -> dict[str, float]:
        """The counts of the examples behind a set's scores of a model trained on `task`."""
        usual = {"n": 400, "truncated": 0, "seen_in_training": 0, "train_examples": 2000, "train_truncated": 0}
        training = {name: n for name, n in self.counts.get(task, {}).items() if name.startswith("train_")}
        return usual | training | self.counts.get(evaluation_set, {})

    def _write_cell(self, folder: Path, cell: Key) -> None:
        encoder, method, task, seed = cell
        status = self.statuses.get(cell, "ok")
        path = folder / "cells" / encoder / method / task / f"seed-{seed}"
        path.mkdir(parents=True)
        environment = {"python": "3.11.2", "torch": "2.9.0+cpu", "transformers": "5.0.0", "device": "cpu", "threads": 1}
        environment |= {"device_name": "A processor", "platform": "Linux"}
        environment |= {"git_commit": "0123456789abcdef0123456789abcdef01234567", "git_dirty": False}
        source = {"kind": "datasets", "key": f"steadytune/mini/{task}", "source": "generated", "revision": None}
        model = {"kind": "models", "key": f"steadytune/{encoder}", "source": "pretrained", "revision": None}
        pins = {"pinned_by": "generated", "digest": "ab" * 32}
        record = {"status": status, "reason": "loss is NaN at step 7" if status == "diverged" else None}
        record |= {"encoder": encoder, "method": method, "task": task, "seed": seed, "environment": environment}
        record |= {"inputs": [source | pins, model | pins], "timing": {"total": 12.5, "train": 9.0}}
        record |= {"memory": {"host": 700 * 2**20}, "training": None, "spec": {"protocol": {"batch_size": 32}}}
        record |= {"usage": {"joules": None, "without_joules": "no GPU", "peak_flops_per_second": None}}
        if status not in UNSCORED:
            counts = {"trainable_parameters": 100 if method == "vanilla" else 50, "total_parameters": 200}
            record["training"] = {
                "resumed": False,
                "examples": 2000,
                "steps": 63 * self.epochs,
                "flops": 1e9 if method == "vanilla" else 2e9,
                "inference_flops": 1e6,
            } | counts
        (path / "record.json").write_text(json.dumps(record))
        if status in ("failed", "out_of_memory"):
            return
        metric = self.metrics.get(task, "accuracy")
        lines = [f"epoch,step,train_loss,learning_rate,{metric}"]
        for epoch in range(1, self.epochs + 1):
            noise = 0.03 * _normal(*map(str, cell), str(epoch))
            score = self.value(cell, task) * (1 - 0.4 * 0.5**epoch) + 0.3 * noise
            loss = 0.2 + 0.6 * 0.6**epoch * (1 + noise)
            lines.append(f"{epoch},{epoch * 63},{loss:.6f},{2e-5 * (1 - epoch / self.epochs):.3e},{score:.6f}")
        (path / "history.csv").write_text("\n".join(lines) + "\n")

    def _write_variability(self, folder: Path, encoder: str, task: str) -> None:
        best = 1 + zlib.crc32(task.encode()) % self.layers
        nu = [20 + 30 * _uniform(task, encoder) + 12 * abs(layer - best) ** 1.5 for layer in range(self.layers + 1)]
        path = folder / "variability" / encoder
        path.mkdir(parents=True, exist_ok=True)
        content = layer_study(encoder, task, nu, best)
        share = [0.0, *(0.6 if layer == best else 0.4 / (self.layers - 1) for layer in range(1, self.layers + 1))]
        around = {"corrected": 1.1, "low": 0.8, "high": 1.3}
        bands = {name: [factor * value for value in nu] for name, factor in around.items()}
        content["bands"] = bands | {"share": share, "examples": 400, "resamples": 200}
        content["bands"]["high"][-1] = None
        level = 0.5 + 0.5 * _uniform(task, encoder)
        draws = [(300, share, level * (1.5 - share)) for share in (0.5, 0.7, 0.9)]
        content["robustness"] = {"draws": 20, "imbalance": [_draws(*point) for point in draws]}
        draws = [(size, 0.5, level * (1 - 2 / size)) for size in (10, 100, 1000)]
        content["robustness"]["scarcity"] = [_draws(*point) for point in draws]
        scores = [None, *(1 / (1 + abs(layer - best % self.layers - 1)) for layer in range(1, self.layers + 1))]
        content["selectors"] = {
            name: {"scores": scores, "layer": best % self.layers + 1} for name in ("cka", "probe", "h_score")
        }
        (path / f"{task}.json").write_text(json.dumps(content))


def mark_current(suite: Suite) -> None:
    """Write a manifest that marks `metrics.parquet` as collected from the current cells, so that its scores are read.

    If they were collected again, the grid's made-up records, which have no seal, would be quarantined.
    """
    with making(suite, "metrics"):
        pass


def judged(name: str, verdict: str, **changes) -> Judged:
    """A judged claim in points; `changes` apply to its finding or to the claim."""
    of_claim = {key: value for key, value in changes.items() if key in Judged.__dataclass_fields__}
    of_finding = {key: value for key, value in changes.items() if key not in of_claim}
    finding = Finding(effect=2.4, interval=(1.0, 3.8), favours=True, p=0.01, p_against=1.0, needs=None,
                      detectable=1.0, smallest_p=0.0, p_adjusted=0.03)  # fmt: skip
    known = Judged(id=name, sentence="It gains.", source="The mini suite", where="after HyPe <1>", test="sign-flip",
                   statistic="difference", direction="higher", family="mini", verdict=verdict, unit="points",
                   reason="Its p-value is small.", margin=2.0, margin_is="ours", published=None)  # fmt: skip
    return replace(known, finding=None if verdict == "not evaluated" else replace(finding, **of_finding), **of_claim)


def layer_study(encoder: str, task: str, nu: list[float | None], best: int) -> dict[str, Any]:
    """What the variability stage writes if only nu is requested."""
    measured = {"settings": {}, "examples": 400, "nu": nu, "best_layer": best, "classes": [0.0, 1.0]}
    left_out = dict.fromkeys(("bands", "robustness", "selectors"))
    return {"encoder": encoder, "task": task, "counts": [200, 200], **measured, **left_out}


def write_claims(folder: Path) -> None:
    """Write two verdicts as the claims stage does: one reproduced, one whose cells the suite does not plan."""
    first = judged("mini-gain", "reproduced", published=1.85, seeds=(0, 1))
    first = replace(first, sensitivity={"median": Sensitivity("inconclusive", survives=False, finding=first.finding)})
    later = {"sentence": "It lasts.", "reason": "3 cells are missing.", "outside": ("a", "b", "c")}
    second = judged("mini-later", "not evaluated", command="steadytune run me", **later)
    write_verdicts(folder, Verdicts("demo", claims=(first, second)))


def _draws(examples: int, share: float, agreement: float) -> dict[str, Any]:
    nu = {"nu": [], "nu_low": [], "nu_high": []}
    return {"examples": examples, "share": share, "agreement": agreement, "distance": 1 - agreement, **nu}


def _uniform(*names: str) -> float:
    """A number in [0, 1) that depends on the names only."""
    return zlib.crc32("/".join(names).encode()) / 2**32


def _normal(*names: str) -> float:
    """A standard normal number that depends on the names only."""
    return float(np.random.default_rng(zlib.crc32("/".join(names).encode())).standard_normal())
