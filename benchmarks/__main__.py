"""Every benchmark, and one table of what was measured and what it is to be.

    make bench [BENCH="--rounds 1 --threads 1 --only methods,dag"]

Texts and the encoder are those of the store that STEADYTUNE_STORE names, or drawn in their shapes.
"""

import argparse
import os
from collections.abc import Callable

import cells
import methods
import prefix
import start
import training
import variability
from measuring import Row, machine, write

import dag
from steadytune.suite.suite import STORE_VARIABLE

PARTS: dict[str, Callable[[int, int], list[Row]]] = {
    "training": lambda rounds, threads: training.measure(24, rounds, threads),
    # Sixteen cells are many processes already.
    "cells": lambda rounds, threads: cells.measure(1),
    "start": lambda rounds, threads: start.measure(rounds),
    "methods": lambda rounds, threads: methods.measure(16, rounds, threads),
    "variability": lambda rounds, threads: variability.measure(rounds),
    "prefix": lambda rounds, threads: prefix.measure(10, rounds, threads),
    "dag": lambda rounds, threads: dag.measure(rounds),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--threads", type=int, default=2, help="default 2")
    parser.add_argument("--only", default=",".join(PARTS), help="parts by name, with commas; default all: %(default)s")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"--only: no part '{min(unknown)}'; expected some of {', '.join(PARTS)}")
    write(machine())
    write(f"texts and encoder: {os.environ.get(STORE_VARIABLE, 'drawn')}")
    rows = [row for name in chosen for row in PARTS[name](options.rounds, options.threads)]
    write(f"\n{'measured':58} {'ratio':>8}  {'target':9}")
    for row in rows:
        write(row)
    write(f"\n{machine()}")


if __name__ == "__main__":
    main()
