"""Every benchmark, and one table: benchmark, measured, target.

    make bench [BENCH="cells,methods --rounds 1 --threads 1 --write docs/performance.md"]

Texts and the encoder are those of the store that STEADYTUNE_STORE names, or drawn in their shapes; whole processes are
measured only with a store. All sections take about 20 minutes on two quiet cores.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import cells
import hourly
import methods
import prefix
import rendering
import scale
import training
import variability
from measuring import HEAD, Row, machine, write

import dag
from steadytune.suite.suite import STORE_VARIABLE

SECTIONS: dict[str, Callable[[int, int], list[Row]]] = {
    "cells": lambda rounds, threads: cells.measure(rounds, threads),
    # Sixteen cells are many processes already.
    "hourly": lambda rounds, threads: hourly.measure(1),
    "training": lambda rounds, threads: training.measure(24, rounds, threads),
    "methods": lambda rounds, threads: methods.measure(16, rounds, threads),
    "fisher": lambda rounds, threads: methods.measure_fisher(rounds, threads),
    "variability": lambda rounds, threads: variability.measure(rounds),
    "prefix": lambda rounds, threads: prefix.measure(10, rounds, threads),
    "rendering": lambda rounds, threads: rendering.measure(rounds),
    "dag": lambda rounds, threads: dag.measure(rounds),
}
ON_REQUEST: dict[str, Callable[[int, int], list[Row]]] = {
    # Minutes, most of them for 10,000 records.
    "scale": lambda rounds, threads: scale.measure(10_000),
}
BEGIN, END = "<!-- table of `make bench` -->\n", "<!-- end of table -->\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sections", nargs="?", default=",".join(SECTIONS), help="with commas; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--threads", type=int, default=2, help="default 2")
    parser.add_argument("--write", type=Path, help="put the table into this page, in place of the one that it has")
    options = parser.parse_args()
    chosen = options.sections.split(",")
    sections = SECTIONS | ON_REQUEST
    if unknown := set(chosen) - set(sections):
        parser.error(f"no section '{min(unknown)}'; expected some of {', '.join(sections)}")
    first = machine()
    write(first)
    write(f"texts and encoder: {os.environ.get(STORE_VARIABLE, 'drawn')}")
    rows = [row for name in chosen for row in sections[name](options.rounds, options.threads)]
    lines = "\n".join(map(str, [*HEAD, *rows]))
    table = f"\n{lines}\n\n{first}; {options.rounds} rounds, {options.threads} threads.\n"
    write(table)
    write(f"at the end: {machine()}")
    if options.write:
        replace_table(options.write, table)


def replace_table(page: Path, table: str) -> None:
    """Put a table between the page's two marks."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{page}: expected the lines {BEGIN.strip()} and {END.strip()}")
    page.write_text(f"{before}{BEGIN}{table}\n{END}{after}")


if __name__ == "__main__":
    main()
