"""Run every benchmark and print one table: benchmark, measured value, target.

    make bench [BENCH="cells,methods --rounds 1 --threads 1 --precision fp32 --write docs/performance.md"]

Texts and the encoder are from the store that STEADYTUNE_STORE names, or random with the same shapes; whole processes
are measured only with a store. All sections together take 20 to 40 minutes on two idle cores.
Our cells and the peer's are trained in bf16 if the processor has instructions for it, else in fp32.
"""

import argparse
import os
import sys
import time
import traceback
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
from measuring import HEAD, PRECISIONS, Row, machine, write

import dag
from steadytune.suite.suite import STORE_VARIABLE

SIZES = {
    "bf16": {"share": 1, "hourly": 60, "training": 24, "methods": 16, "fisher": 10, "prefix": 10},
    # Fewer steps, because each takes several times as long.
    "fp32": {"share": 2, "hourly": 40, "training": 8, "methods": 6, "fisher": 5, "prefix": 5},
}
"""Number of steps by section; `share` divides the examples of whole processes. All sections take about 20 minutes."""


def sections(rounds: int, threads: int, precision: str) -> dict[str, Callable[[], list[Row]]]:
    """The function that measures each section."""
    sizes = SIZES[precision]
    whole = rounds if precision == "bf16" else 1
    return {
        "cells": lambda: cells.measure(whole, threads, sizes["share"], precision),
        # One round, because sixteen cells are many processes already.
        "hourly": lambda: hourly.measure(1, steps=sizes["hourly"], precision=precision),
        "training": lambda: training.measure(sizes["training"], rounds, threads, precision=precision),
        "methods": lambda: methods.measure(sizes["methods"], rounds, threads, precision),
        "fisher": lambda: methods.measure_fisher(sizes["fisher"], rounds, threads, precision),
        "variability": lambda: variability.measure(rounds),
        "prefix": lambda: prefix.measure(sizes["prefix"], rounds, threads, precision),
        "rendering": lambda: rendering.measure(rounds),
        "dag": lambda: dag.measure(rounds),
        # On request only: it takes minutes, most of them to write 10,000 records.
        "scale": lambda: scale.measure(10_000),
    }


SECTIONS = tuple(name for name in sections(0, 0, PRECISIONS[0]) if name != "scale")
BEGIN, END = "<!-- table of `make bench` -->\n", "<!-- end of table -->\n"


def main() -> int:
    """Measure and print; return 1 if a section failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sections", nargs="?", default=",".join(SECTIONS), help="with commas; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--threads", type=int, default=2, help="default 2")
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0], help="default here %(default)s")
    parser.add_argument("--write", type=Path, help="put the table into this page, in place of the one that it has")
    options = parser.parse_args()
    chosen = options.sections.split(",")
    measures = sections(options.rounds, options.threads, options.precision)
    if unknown := set(chosen) - set(measures):
        parser.error(f"no section '{min(unknown)}'; expected some of {', '.join(measures)}")
    first = machine()
    write(first)
    write(f"texts and encoder: {os.environ.get(STORE_VARIABLE, 'drawn')}")
    rows: list[Row] = []
    failed: list[str] = []
    for name in chosen:
        start = time.perf_counter()
        try:
            rows += measures[name]()
        except Exception:
            # Keep the results of the other sections.
            traceback.print_exc()
            failed.append(name)
        write(f"section {name}: {time.perf_counter() - start:.0f} s")
    lines = "\n".join(map(str, [*HEAD, *rows]))
    settings = f"{options.precision}, {options.rounds} rounds, {options.threads} threads"
    table = f"\n{lines}\n\n{first}; {settings}.\n" + f"\nFailed: {', '.join(failed)}.\n" * bool(failed)
    write(table)
    write(f"at the end: {machine()}")
    if options.write:
        replace_table(options.write, table)
    return int(bool(failed))


def replace_table(page: Path, table: str) -> None:
    """Put a table between the page's two markers."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{page}: expected the lines {BEGIN.strip()} and {END.strip()}")
    page.write_text(f"{before}{BEGIN}{table}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
