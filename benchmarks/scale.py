"""CPU seconds and peak memory of every command on a large finished suite, whose records are made up.

    python benchmarks/scale.py [--cells 10000] [--folder FOLDER]

20 methods on 5 tasks of the mini language, in a copy of the project. Every cell has a sealed record of the current
settings, code and staged inputs, and predictions that give its scores, so all cells are fresh.
"""

import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from measuring import Row, command, write

from dag import COPIED, ROOT
from steadytune.cells.gold import StagedGold
from steadytune.cells.inputs import cell_fingerprint, input_folders
from steadytune.cells.record import Environment, Evaluation, Input, Record, Training, write_record
from steadytune.evaluation.formulas import METRICS
from steadytune.evaluation.metrics import majority_rate, majority_value
from steadytune.layout import HISTORY, PREDICTIONS, cell_folder
from steadytune.store.receipt import read_receipt, receipt_digest
from steadytune.suite.loading import load_suite
from steadytune.training.usage import Usage

METHODS = (
    "vanilla", "hype-n", "hype-u", "lnsr", "r3f", "r3f-u", "r-drop", "smart", "freelb", "l2-sp", "prior-decay",
    "recadam", "mixout", "child-tuning-f", "noisytune", "sam", "neftune", "lora", "bitfit", "houlsby",
)  # fmt: skip
TASKS = ("mini-rte", "mini-cola", "mini-mnli", "mini-mrpc", "mini-sst2")
# Targets for 50,000 cells: CPU seconds, megabytes; None: no target.
TARGETS = {
    "status": (20, None),
    "plan": (15, None),
    "claims": (40, 800),
    "tables": (20, None),
    "figures": (25, None),
    "report": (30, None),
    "dag": (None, None),
}
PAGE_MEGABYTES = 10
CLAIM = {"where": "nowhere", "encoders": ["tiny"], "against": ["vanilla"], "tasks": "*", "family": "all"}


def make_project(folder: Path, cells: int) -> Path:
    """Make a copy of the project with a suite, staged inputs and every record; return the suite's file."""
    folder.mkdir(exist_ok=True)
    for name in COPIED:
        source = ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy2(source, folder / name)
    value = {
        "suite": "scale",
        "title": f"{cells} cells",
        "encoders": {"tiny": {"model": "steadytune/tiny-en"}},
        "grid": [{"encoders": ["tiny"], "methods": list(METHODS), "tasks": list(TASKS),
                  "seeds": cells // (len(METHODS) * len(TASKS))}],
        "transfer": {task: [] for task in TASKS},
        "claims": ["scale"],
        "tables": ["claims", "main", "readings"],
        "figures": ["seed-spread", "learning-curves", "expected-best"],
    }  # fmt: skip
    claims = [
        {
            "id": f"{form}-{method}",
            "sentence": f"{method} differs.",
            "statistic": form,
            "method": method,
            "margin": margin,
            **CLAIM,
        }
        for method in METHODS[1:6]
        for form, margin in (("difference", 1.0), ("spread", 0.5))
    ]
    path = folder / "config/scale.yaml"
    path.write_text(yaml.safe_dump(value))
    written = {"paper": "scale", "source": "Nobody", "suite": "scale", "claims": claims}
    (folder / "config/claims/scale.yaml").write_text(yaml.safe_dump(written))
    os.chdir(folder)
    run("stage", "scale")
    fill(path)
    return path


def fill(path: Path) -> None:
    """Write the files of every cell."""
    suite = load_suite(path)
    digests, staged_gold = {}, StagedGold(suite.file.store)
    environment = Environment(python="3", torch="2", transformers="5", platform="Linux", device="cpu", device_name="A",
                              threads=1, git_commit="0" * 40, git_dirty=False)  # fmt: skip
    training = Training(examples=600, truncated=0, subset_digest=None, steps=76, tokens=36584, real_tokens=34664,
                        flops=8.8e10, micro_batches=1, inference_flops=1.1e7, layers=3, selected_layer=None,
                        trainable_parameters=470914, total_parameters=470914, initial_weights="0" * 64,
                        first_order="0" * 64, resumed=False)  # fmt: skip
    usage = Usage(
        flops_per_second=2e10, peak_flops_per_second=None, utilisation=None, joules=None, without_joules="none"
    )
    for number, cell in enumerate(suite.cells):
        spec, folder = suite.spec(cell), cell_folder(suite, cell)
        folder.mkdir(parents=True, exist_ok=True)
        inputs = []
        for (kind, key), staged in input_folders(spec, suite.file.store).items():
            if key not in digests:
                digests[key] = read_receipt(staged), receipt_digest(read_receipt(staged))
            receipt, digest = digests[key]
            inputs.append(Input(kind=kind, key=key, source=receipt.source, revision=None, pinned_by=receipt.pinned_by,
                                digest=digest))  # fmt: skip
        task, random = spec.tasks[cell.task], np.random.default_rng(number)
        rows, gold = staged_gold(spec, cell.task)
        rate = 0.7 + 0.01 * METHODS.index(cell.method) / len(METHODS) + 0.03 * random.standard_normal()
        answers = np.where(random.random(len(gold)) < rate, gold, random.integers(task.num_labels, size=len(gold)))
        logits = random.random((len(gold), task.num_labels)) + 2 * np.eye(task.num_labels)[answers]
        table = {"evaluation_set": [cell.task] * len(gold), "row": rows, "label": gold.astype(float)}
        table |= {"prediction": answers.astype(float)} | {f"logit_{i}": logits[:, i] for i in range(task.num_labels)}
        predictions, history = io.BytesIO(), io.StringIO()
        pq.write_table(pa.table(table), predictions, compression="zstd")
        lines = [{"epoch": n, "step": 19 * n, "train_loss": 1 / n, "learning_rate": 1e-4} for n in range(1, 5)]
        writer = csv.DictWriter(history, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        files = {PREDICTIONS: predictions.getvalue(), HISTORY: history.getvalue().encode()}
        for name, content in files.items():
            (folder / name).write_bytes(content)
        metrics = {name: float(METRICS[name](answers, gold)) for name in task.metrics}
        evaluation = Evaluation(set=cell.task, kind="in_domain", headline=task.metric, metrics=dict(metrics),
                                majority={name: majority_value(name, gold) for name in metrics}, n=len(gold),
                                majority_rate=majority_rate(gold), truncated=0, seen_in_training=0)  # fmt: skip
        record = Record(
            status="ok", reason=None, spec=spec.to_dict(), inputs=inputs, streams={}, environment=environment,
            fingerprint=cell_fingerprint(spec, {key: digest for key, (_, digest) in digests.items()
                                                if any(item.key == key for item in inputs)}, None),
            training=replace(training, first_order=f"{cell.seed:064d}"), evaluations=[evaluation],
            timing={"train": 4.0, "total": 7.0}, memory={"host": 5 * 10**8}, usage=usage,
            files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        )  # fmt: skip
        write_record(record, folder)


def run(*arguments: str) -> tuple[float, float, str]:
    """Run a command of the project; return its CPU seconds, peak megabytes and output."""
    module = arguments[0] if arguments[0] == "snakemake" else "steadytune"
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments[arguments[0] == "snakemake" :]],
        env=os.environ | {"PYTHONPATH": str(Path.cwd() / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = process.stdout.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)}:\n{said[-1500:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, said


def measure(cells: int, folder: str = "") -> list[Row]:
    """The table's rows; records that an earlier call left in `folder` are reused."""
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(folder or temporary)
        before = Path.cwd()
        if (project / "config/scale.yaml").exists():
            os.chdir(project)
            for name in ("src", "workflow"):
                shutil.rmtree(name)
                shutil.copytree(ROOT / name, name)
        else:
            # In another process: a command's peak is never below the memory of the process that started it.
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                pool.submit(make_project, project, cells).result()
            os.chdir(project)
        steps = {
            "status, first": ("status", "scale"),
            "collect": ("collect", "scale"),
            "status": ("status", "scale"),
            "plan": ("plan", "scale"),
            "claims": ("claims", "scale", "--write"),
            "tables": ("render", "scale", "tables"),
            "figures": ("render", "scale", "figures"),
            "report": ("render", "scale", "report"),
            "dag": ("snakemake", "--configfile", "config/scale.yaml", "--cores", "2", "-n", "--quiet", "all"),
        }
        rows = []
        for name, arguments in steps.items():
            seconds, peak, said = run(*arguments)
            if name == "status, first" and not said.startswith(f"{cells} fresh"):
                raise RuntimeError(f"expected {cells} fresh cells:\n{said[-1500:]}")
            target, memory = TARGETS.get(name, (None, None))
            note = f"peak {peak:.0f} MB" + (f" (target {memory})" if memory else "")
            rows.append(Row(f"{name} of {cells} cells, CPU", seconds, target, unit="s", note=note))
            write(rows[-1])
        page = Path("results/scale/report.html").stat().st_size / 1e6
        rows.append(Row("report's page", page, PAGE_MEGABYTES, unit="MB"))
        os.chdir(before)
    return rows


if __name__ == "__main__":
    command(__doc__ or "", measure, cells=10_000, folder="")
