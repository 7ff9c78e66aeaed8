"""Planning thousands of cells: a dry run of a paper's suite, and a second run of 3,000 cells with nothing to do.

    python benchmarks/dag.py [--rounds R]

Runs in a copy of the project. The 3,000 cells are not trained: all outputs are empty files, and Snakemake is told that
they are up to date.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from measuring import Cost, Row, children_seconds, command, median

from steadytune.suite.loading import load_suite

ROOT = Path(__file__).resolve().parents[1]
PAPER = "config/paper-hype.yaml"
# Make the calls that the Snakefile's rules make for every cell.
PARSE = """
import sys, time
from types import SimpleNamespace
from steadytune.dag.dag import Dag
class Asked(SimpleNamespace):
    def keys(self):
        return vars(self).keys()
wall, processor = time.perf_counter(), time.process_time()
dag = Dag.load(sys.argv[1:], {})
dag.records, dag.tables, dag.figures, dag.cell_outputs(), dag.suite_digest
for cell in dag.suite.cells:
    asked = Asked(encoder=cell.encoder, method=cell.method, task=cell.task, seed=str(cell.seed))
    dag.cell_inputs(asked), dag.cell_digest(asked), dag.cell_threads(asked)
print(time.perf_counter() - wall, time.process_time() - processor)
"""
COPIED = ("Snakefile", "workflow", "config", "src", "profiles", "published", "notebooks")
SUITE = {
    "suite": "many",
    "title": "Many cells",
    "encoders": {"mini": {"model": "steadytune/mini"}},
    "grid": [
        {"encoders": ["mini"], "methods": ["vanilla", "hype-n", "hype-u", "lnsr", "r3f"],
         "tasks": ["mini-rte", "mini-stsb", "mini-cola"], "seeds": 200}
    ],
    "tables": ["main"],
}  # fmt: skip


def measure(rounds: int) -> list[Row]:
    """The table's rows."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for name in COPIED:
            source = ROOT / name
            shutil.copytree(source, project / name) if source.is_dir() else shutil.copy2(source, project / name)
        parsed = [cost_of_parsing(project, PAPER) for _ in range(rounds)]
        planned = [cost(project, PAPER, "--dry-run", "--quiet", "all") for _ in range(rounds)]
        (project / "config/many.yaml").write_text(yaml.safe_dump(SUITE))
        pretend(project, "config/many.yaml")
        repeated = [cost(project, "config/many.yaml") for _ in range(rounds)]
    cells = f"{len(load_suite(ROOT / PAPER).cells):,} cells"
    found = {
        f"dry run of {cells}": (planned, 10),
        f"of it, this project's part: read the suite, targets and digests of {cells}": (parsed, 1),
        "second run of 3,000 cells, nothing to do": (repeated, 10),
    }
    return [
        Row(name, median(costs), target, unit=" s", note=f"processor {median(costs, 'processor'):.1f} s")
        for name, (costs, target) in found.items()
    ]


def cost_of_parsing(project: Path, suite: str) -> Cost:
    """Cost of the calls that the Snakefile makes to this project, without imports."""
    variables = os.environ | {"PYTHONPATH": str(project / "src")}
    done = subprocess.run([sys.executable, "-c", PARSE, suite], cwd=project, env=variables, capture_output=True,
                          text=True, check=True)  # fmt: skip
    wall, processor = map(float, done.stdout.split())
    return Cost(wall, processor)


def pretend(project: Path, suite: str) -> None:
    """Create every output of a suite and mark it as up to date."""
    listed = snakemake(project, suite, "--summary").stdout.splitlines()
    for line in listed:
        path = project / line.partition("\t")[0]
        if "\t" in line and not line.startswith("output_file"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    snakemake(project, suite, "--touch", "--quiet", "all")
    # If anything were left to do, the timed run would not be a second run.
    left = snakemake(project, suite, "--dry-run").stdout
    if "Nothing to be done" not in left:
        raise RuntimeError(f"the pretended outputs are not up to date:\n{left[-1500:]}")


def cost(project: Path, suite: str, *arguments: str) -> Cost:
    """Cost of one call of Snakemake."""
    before, start = children_seconds(), time.perf_counter()
    snakemake(project, suite, *arguments)
    return Cost(time.perf_counter() - start, children_seconds() - before)


def snakemake(project: Path, suite: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake on two cores; all its output is in `stdout`."""
    command = [sys.executable, "-m", "snakemake", "--configfile", suite, "--cores", "2", *arguments]
    environment = os.environ | {"PYTHONPATH": str(project / "src")}
    done = subprocess.run(command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout[-1500:]}")
    return done


if __name__ == "__main__":
    command(__doc__ or "", measure, rounds=3)
