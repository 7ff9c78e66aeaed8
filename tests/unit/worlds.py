"""A suite in an empty folder, with made-up scores and claims about them."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from synthetic import Grid, mark_current

from steadytune.claims.judged import Judged
from steadytune.claims.verdicts import judge
from steadytune.results.loading import load_or_empty
from steadytune.suite.loading import load_suite
from steadytune.suite.suite import Suite

TASKS = ("mini-rte", "mini-cola", "mini-mrpc", "mini-sst2")


def values(method: str, task: str, *points: float, encoder: str = "mini") -> dict:
    """Headline scores in points by cell."""
    return {(encoder, method, task, seed): value / 100 for seed, value in enumerate(points)}


def noise(*key: int, size: int, sd: float = 1.0) -> np.ndarray:
    """Reproducible normal noise."""
    return sd * np.random.default_rng(key).standard_normal(size)


def claim(name: str, **settings) -> dict[str, Any]:
    """A claim of hype-n against vanilla on all tasks."""
    common = {"id": name, "sentence": f"{name} holds.", "where": "Table 1", "statistic": "difference", "margin": 2.0}
    sides = {"encoders": ["mini"], "method": "hype-n", "against": ["vanilla"], "tasks": "*", "family": name}
    return common | sides | settings


class World:
    """An empty folder in which a test builds a suite and judges its claims."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def build(self, grid: Grid, *claims: dict[str, Any], **top) -> Suite:
        """Write the suite, its claims if there are any, and its results."""
        (self.folder / "config/claims").mkdir(parents=True)
        content = {"paper": "demo", "source": "A demonstration", "suite": "demo", "claims": list(claims)}
        if claims:
            (self.folder / "config/claims/demo.yaml").write_text(yaml.safe_dump(content))
        blocks = {}
        for encoder, method, task, seed in grid.cells():
            blocks.setdefault((encoder, method, task), []).append(seed)
        value = {
            "suite": "demo",
            "title": "A demonstration",
            "encoders": {encoder: {"model": "steadytune/mini"} for encoder in grid.encoders},
            "grid": [
                {"encoders": [encoder], "methods": [method], "tasks": [task], "seeds": seeds}
                for (encoder, method, task), seeds in blocks.items()
            ],
            "claims": ["demo"] if claims else [],
            "tables": ["main", "claims"],
        }
        (self.folder / "config/demo.yaml").write_text(yaml.safe_dump(value | top))
        self.results = grid.write(self.folder / "results")
        suite = load_suite(Path("config/demo.yaml"))
        mark_current(suite)
        return suite

    def judge(self, grid: Grid, *claims: dict[str, Any], **top) -> dict[str, Judged]:
        """The judged claims by id."""
        suite = self.build(grid, *claims, **top)
        return {entry.id: entry for entry in judge(suite, load_or_empty(suite))}


def shifted(shift: float, sd: float = 0.5, seeds: int = 3, tasks: tuple[str, ...] = TASKS, **settings) -> Grid:
    """hype-n is `shift` points above vanilla, give or take `sd`, pair by pair."""
    scores = {}
    for place, task in enumerate(tasks):
        base = 70 + 5 * place + noise(place, 1, size=seeds, sd=2)
        scores |= values("vanilla", task, *base)
        scores |= values("hype-n", task, *(base + shift + noise(place, 2, size=seeds, sd=sd)))
    return Grid(tasks=tasks, seeds=seeds, values=scores, **settings)
