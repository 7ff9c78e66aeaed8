"""Time and memory of nu for every layer: one streaming pass against a truncated pass per layer and a pseudo-inverse.

    python benchmarks/variability.py [--examples N] [--layers L] [--width D] [--tokens T] [--classes K] [--rounds R]

Both ways take turns, each in its own process. Results are medians over the rounds; memory is the growth of the
process's peak.
"""

import argparse
import copy
import multiprocessing
import resource
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from measuring import Row, write
from transformers import BertConfig, BertForSequenceClassification
from transformers.utils import logging

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.layers.pooling import pool_tokens
from steadytune.layers.variability import variability
from steadytune.tasks.data import Encoded

SPECIAL = frozenset({0, 1, 2})
VOCABULARY, BATCH = 1000, 64
SIZES = {"examples": 3000, "layers": 6, "width": 128, "tokens": 10, "classes": 3}
# As deep as BERT-large, but small enough to take seconds.
DEEP = {"examples": 64, "layers": 24, "width": 512, "tokens": 32, "classes": 3}


def streaming(encoder: Encoder, batcher: Batcher) -> list[float]:
    """Return nu of every layer, by the project's single streaming pass."""
    return list(variability(encoder, batcher, SPECIAL).nu)


@torch.inference_mode()
def naive(encoder: Encoder, batcher: Batcher) -> list[float]:
    """Return nu of every layer by its definition, with one pass per layer of a model cut there; keeps all features."""
    classes = torch.from_numpy(batcher.encoded.labels)
    special = torch.tensor(sorted(SPECIAL))
    features = []
    for layer in range(encoder.num_layers + 1):
        cut = Encoder(copy.deepcopy(encoder.model))
        cut.truncate(max(layer, 1))
        cut.model.eval()
        pooled = torch.empty(len(classes), encoder.width)
        for rows, batch in batcher.evaluation():
            hidden = cut(batch.inputs, keep_hidden=True).hidden[layer]
            pooled[rows] = pool_tokens(hidden, batch.inputs, torch.isin(batch.inputs["input_ids"], special))
        features.append(pooled)
    return [definition(layer.double(), classes) for layer in features]


def definition(features: torch.Tensor, classes: torch.Tensor) -> float:
    """The nu of features (n, width), by covariance matrices and torch.linalg.pinv."""
    groups = [features[classes == y] for y in classes.unique()]
    means = torch.stack([group.mean(dim=0) for group in groups])
    within = torch.stack([torch.cov(group.T, correction=0) for group in groups]).mean(dim=0)
    between = torch.cov(means.T, correction=0)
    return float(torch.trace(within @ torch.linalg.pinv(between, hermitian=True))) / len(groups)


WAYS = {"streaming": streaming, "naive": naive}


class Run(NamedTuple):
    """One run of one way: its time, the growth of the process's peak memory, and nu of every layer."""

    seconds: float
    mebibytes: float
    nu: list[float]


def run(way: str, options: argparse.Namespace) -> Run:
    """Run one way; meant for a fresh process."""
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    encoder, batcher = material(options)
    # Warm up: the first pass allocates what every pass needs.
    with torch.inference_mode():
        encoder(next(batcher.evaluation())[1].inputs, keep_hidden=True)
    before, start = peak(), time.perf_counter()
    nu = WAYS[way](encoder, batcher)
    return Run(time.perf_counter() - start, peak() - before, nu)


def material(options: argparse.Namespace) -> tuple[Encoder, Batcher]:
    """A random BERT, and random texts of `tokens` / 2 to `tokens` words, the first two of which give the class."""
    torch.manual_seed(0)
    sizes = {"hidden_size": options.width, "intermediate_size": 4 * options.width, "num_attention_heads": 4}
    config = BertConfig(vocab_size=VOCABULARY, num_hidden_layers=options.layers, initializer_range=0.1, **sizes)
    encoder = Encoder(BertForSequenceClassification(config))
    generator = np.random.Generator(np.random.Philox(0))
    labels = generator.integers(options.classes, size=options.examples)
    texts = []
    for label in labels:
        words = generator.integers(3, VOCABULARY, size=generator.integers(options.tokens // 2, options.tokens + 1))
        words[:2] = 3 + label
        texts.append(np.concatenate([[1], words, [2]]))
    encoded = Encoded(texts, None, labels, np.arange(len(texts)), 0)
    return encoder, Batcher(encoded, encoder.padding, BATCH)


def peak() -> float:
    """The process's largest resident set so far, in MiB (ru_maxrss counts KiB on Linux, bytes on macOS)."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found / 2**20 if sys.platform == "darwin" else found / 2**10


def by_turns(options: argparse.Namespace) -> dict[str, list[Run]]:
    """Run every way once per round, each in its own process."""
    found: dict[str, list[Run]] = {way: [] for way in WAYS}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        for _ in range(options.rounds):
            for way, runs in found.items():
                runs.append(pool.submit(run, way, options).result())
    return found


def measure(rounds: int, **sizes: int) -> list[Row]:
    """The table's row, for a 24-layer encoder; sizes: overrides of DEEP."""
    options = argparse.Namespace(**DEEP | sizes | {"rounds": rounds})
    found = by_turns(options)
    write(f"\nnu of every layer: {', '.join(f'{name} {value}' for name, value in vars(options).items())}")
    report(found)
    ratio = statistics.median(n.seconds / s.seconds for s, n in zip(found["streaming"], found["naive"], strict=True))
    name = f"nu of {options.layers} layers: one pass a layer over ours"
    return [Row(name, ratio, 10, at_least=True, unit="x")]


def report(found: dict[str, list[Run]]) -> None:
    """Print medians, ratios and the largest difference."""
    seconds = {way: statistics.median(run.seconds for run in runs) for way, runs in found.items()}
    memory = {way: statistics.median(run.mebibytes for run in runs) for way, runs in found.items()}
    for way in WAYS:
        write(f"{way:10} {seconds[way]:7.2f} s   peak + {memory[way]:6.1f} MiB")
    saved = f", peak memory {memory['naive'] / memory['streaming']:.2f}" if memory["streaming"] else ""
    write(f"naive / streaming: time {seconds['naive'] / seconds['streaming']:.2f}{saved}")
    pairs = zip(found["streaming"][0].nu, found["naive"][0].nu, strict=True)
    write(f"largest relative difference of nu: {max(abs(one / other - 1) for one, other in pairs):.1e}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, default in {**SIZES, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    options = parser.parse_args()
    write(", ".join(f"{name} {value}" for name, value in vars(options).items()))
    report(by_turns(options))


if __name__ == "__main__":
    main()
