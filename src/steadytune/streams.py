"""Named streams of randomness, each a pure function of the cell's seed and task, the stream's name and a counter.

No two consumers share a generator. A method that draws more noise, or runs the model twice in a step, therefore changes
neither the data order nor the next step's dropout: two methods on one task at one seed differ only by the method
(common random numbers). A resumed cell needs no saved generator state. Tasks share no stream, because tests of claims
treat a seed's runs on several tasks as independent.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

STREAMS = ("init", "order", "dropout", "noise")


def derive(seed: int, name: str, *counters: int | str) -> int:
    """A 63-bit seed for stream `name` at `counters` (an epoch, a step): the leading bits of a SHA-256 of them all."""
    text = "/".join([str(seed), name, *map(str, counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def cell_seed(seed: int, task: str) -> int:
    """The seed of all streams of a cell, the same for all methods and different for each task."""
    return derive(seed, task)


@dataclass
class Streams:
    """The streams of one cell, from its `cell_seed`.

    `noise` is the generator that methods draw from: on the training device, re-seeded at every step by `at_step`,
    which re-seeds the default generators (where dropout draws) as well.
    """

    seed: int
    device: str = "cpu"

    def __post_init__(self) -> None:
        self.noise = torch.Generator(device=self.device)
        self.at_step("prepare")

    def at_step(self, step: int | Literal["prepare"]) -> None:
        """Re-seed for step `step` (0-based, counted over the whole training), or for the work before the first step."""
        torch.manual_seed(derive(self.seed, "dropout", step))
        self.noise.manual_seed(derive(self.seed, "noise", step))

    def order(self, epoch: int) -> np.random.Generator:
        """The generator of epoch `epoch`'s data order."""
        return np.random.Generator(np.random.Philox(derive(self.seed, "order", epoch)))

    @staticmethod
    def seeds(seed: int) -> dict[str, int]:
        """Every stream's seed, derived without a counter, for the record."""
        return {name: derive(seed, name) for name in STREAMS}
