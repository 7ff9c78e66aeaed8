"""Every benchmark, and one table of what was measured and what it is to be.

    make bench [BENCH="--rounds 1 --threads 1"]

Texts and the encoder are those of the store that STEADYTUNE_STORE names, or drawn in their shapes.
"""

import argparse
import os

import methods
import prefix
import start
import training
from measuring import machine, write

import dag
from steadytune.suite import STORE_VARIABLE


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--threads", type=int, default=2, help="default 2")
    options = parser.parse_args()
    rounds, threads = options.rounds, options.threads
    write(machine())
    write(f"texts and encoder: {os.environ.get(STORE_VARIABLE, 'drawn')}")
    rows = training.measure(24, rounds, threads)
    rows += start.measure(rounds)
    rows += methods.measure(16, rounds, threads)
    rows += prefix.measure(10, rounds, threads)
    rows += dag.measure(rounds)
    write(f"\n{'measured':58} {'ratio':>8}  {'target':9}")
    for row in rows:
        write(row)
    write(f"\n{machine()}")


if __name__ == "__main__":
    main()
