"""The attacks: each changes files of a finished suite in its project's folder, as a person, a disk or a bug might."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
from alterations import (
    Change,
    cut,
    delete,
    digest,
    edit,
    edit_number,
    edit_parquet,
    edit_yaml,
    flip,
    flip_undated,
    replace,
    reseal,
    swap,
)

from steadytune.store.receipt import measure_rows

RESULTS = Path("results/mini")
CELL, OTHER = (RESULTS / f"cells/mini/hype-n/mini-rte@100/seed-{seed}" for seed in (0, 1))
VANILLA = RESULTS / "cells/mini/vanilla/mini-rte@100/seed-0"
DATA, ENCODER = Path("store/datasets/steadytune/mini/rte"), Path("store/models/steadytune/mini")
REVIEWS, OWN_LOCK = Path("config/reviews.csv"), Path("config/mini.lock.yaml")
OWN_CELL, OWN_OTHER = (RESULTS / f"cells/mini/vanilla/reviews/seed-{seed}" for seed in (0, 1))
CONFIG, LOCK, METHOD = Path("config/mini.yaml"), Path("config/lock.yaml"), Path("config/noisy_words.py")
VARIABILITY = RESULTS / "variability/mini/mini-rte@100.json"
INSIDE, INSIDE_OTHER = (RESULTS / f"inside/mini/vanilla/mini-rte@100/seed-{seed}.json" for seed in (0, 1))
BEFORE = RESULTS / "inside/mini/before/mini-rte@100.json"
MANIFEST = RESULTS / "made/tables.json"
SPLITS = DATA / "validation-00000-of-00001.parquet", DATA / "train-00000-of-00001.parquet"
Do = Callable[[], object]


@dataclass(frozen=True)
class Attack:
    """One way to make a suite's numbers false."""

    kind: str
    """The kind of file that it changes."""
    name: str
    do: Do
    harmless: bool = False
    """Whether it changes nothing that is read, so that no check should notice it."""

    @property
    def hides(self) -> bool:
        """Whether it keeps the file's times, to deceive the cache of hashes."""
        return "date kept" in self.name


ATTACKS: list[Attack] = []


def add(kind: str, name: str, do: Do, *, harmless: bool = False) -> None:
    """Add an attack."""
    ATTACKS.append(Attack(kind, name, do, harmless))


def every_way(kind: str, path: Path, change: Change | None = None) -> None:
    """Cut, empty, flip, delete and rename a file; edit it if it is JSON."""
    add(kind, "cut in half", partial(cut, path))
    add(kind, "emptied", partial(cut, path, 0))
    add(kind, "one bit flipped", partial(flip, path))
    add(kind, "one bit flipped, its date kept", partial(flip_undated, path))
    add(kind, "deleted", partial(delete, path))
    add(kind, "renamed", lambda: path.rename(path.with_name(f"{path.name}.old")))
    if change:
        add(kind, "a value edited", partial(edit, path, change))


# Cells.


def better(record: dict[str, Any]) -> None:
    """Raise a score in a record."""
    metrics = record["evaluations"][0]["metrics"]
    metrics[next(iter(metrics))] = 0.9575


def copy_cell() -> None:
    """Copy a cell over another seed's, with the seed edited and the record sealed again."""
    shutil.rmtree(OTHER)
    shutil.copytree(CELL, OTHER)
    reseal(OTHER / "record.json", lambda record: record["spec"].update(seed=1))


def copy_into_every_seed() -> None:
    """Copy one seed's scores, history and predictions to all others, whose records otherwise stay their own."""
    source = json.loads((CELL / "record.json").read_text())
    for cell in CELL.parent.iterdir():
        if cell != CELL:
            for name in ("predictions.parquet", "history.csv"):
                shutil.copy(CELL / name, cell / name)
            taken = {key: source[key] for key in ("status", "reason", "evaluations", "files")}
            reseal(cell / "record.json", lambda record, taken=taken: record.update(taken))


def forge_predictions() -> None:
    """Copy another seed's predictions into a cell, and make its record agree."""
    shutil.copy(OTHER / "predictions.parquet", CELL / "predictions.parquet")
    found = digest(CELL / "predictions.parquet")
    reseal(CELL / "record.json", lambda record: record["files"].update({"predictions.parquet": found}))


def forge_labels(cell: Path, name: str) -> None:
    """Write the model's answers as the gold labels of its own set, `name`, and make the record agree."""
    path = cell / "predictions.parquet"
    frame = pd.read_parquet(path)
    own = frame["evaluation_set"] == name
    frame.loc[own, "label"] = frame.loc[own, "prediction"]
    frame.to_parquet(path, index=False)
    rate = frame.loc[own, "label"].value_counts(normalize=True).max()

    def agree(record: dict[str, Any]) -> None:
        record["files"].update({path.name: digest(path)})
        (evaluation,) = [each for each in record["evaluations"] if each["kind"] == "in_domain"]
        evaluation.update(metrics={"accuracy": 1.0}, majority={"accuracy": rate}, majority_rate=rate)

    reseal(cell / "record.json", agree)


def resealed(name: str, change: Change) -> None:
    """Add an attack that changes a record and seals it again."""
    add("record", f"{name}, sealed again", partial(reseal, CELL / "record.json", change))


every_way("record", CELL / "record.json", better)
resealed("a metric edited", better)
resealed("the majority's score edited", lambda record: record["evaluations"][0].update(majority={"accuracy": 0.9}))
resealed("a status edited", lambda record: record.update(status="diverged"))
resealed("an evaluation set taken out", lambda record: record["evaluations"].pop())
resealed("another learning rate in its spec", lambda record: record["spec"]["protocol"].update(learning_rate=7e-5))
resealed("another fingerprint", lambda record: record.update(fingerprint="0" * 64))
add("record", "a key of its spec renamed", lambda: replace(CELL / "record.json", '"method"', '"methud"'))
add("record", "swapped with another seed's", lambda: swap(CELL / "record.json", OTHER / "record.json"))
add("record", "its date alone changed", lambda: os.utime(CELL / "record.json", (1, 1)), harmless=True)
every_way("predictions", CELL / "predictions.parquet")
add("predictions", "answers edited",
    lambda: edit_parquet(CELL / "predictions.parquet", "prediction", partial(pc.subtract, 1)))  # fmt: skip
add("predictions", "swapped with another seed's",
    lambda: swap(CELL / "predictions.parquet", OTHER / "predictions.parquet"))  # fmt: skip
add("predictions", "copied from another seed, the record sealed again", forge_predictions)
add("predictions", "answers given as gold labels, the record sealed again", partial(forge_labels, CELL, "mini-rte"))
every_way("history", CELL / "history.csv")
add("history", "swapped with another seed's", lambda: swap(CELL / "history.csv", OTHER / "history.csv"))
add("cell", "moved to another seed", lambda: (shutil.rmtree(OTHER), CELL.rename(OTHER)))
add("cell", "copied to another seed, its seed edited and sealed again", copy_cell)
add("cell", "copied into every other seed with own spec and order, sealed again", copy_into_every_seed)
add("cell", "swapped with another seed", lambda: swap(CELL, OTHER))
add("cell", "swapped with another method", lambda: swap(CELL, VANILLA))
add("cell", "deleted", lambda: delete(CELL))

# Inputs.


def forge_encoder() -> None:
    """Change the weights, and the receipt to match."""
    flip(ENCODER / "model.safetensors")
    found = digest(ENCODER / "model.safetensors")
    reseal(ENCODER / "receipt.json", lambda receipt: receipt["files"]["model.safetensors"].update(sha256=found))


def forge_data() -> None:
    """Change the labels, and the receipt to match."""
    edit_parquet(SPLITS[0], "label", partial(pc.subtract, 1))
    found = {"sha256": digest(SPLITS[0]), "bytes": SPLITS[0].stat().st_size}
    reseal(DATA / "receipt.json", lambda receipt: receipt["files"][SPLITS[0].name].update(found))


def add_shard() -> None:
    """Add a file whose path names a split, but which is not in the receipt."""
    (DATA / "validation").mkdir()
    shutil.copy(SPLITS[0], DATA / "validation/0000.parquet")


def other_pin(lock: dict[str, Any]) -> None:
    """Change a pinned hash of rows."""
    files = lock["datasets"]["steadytune/mini/rte"]["generated"]["files"]
    files[next(iter(files))]["rows_sha256"] = "0" * 64


every_way("data's receipt", DATA / "receipt.json", lambda receipt: receipt.update(pinned_by="nobody"))
every_way("encoder's receipt", ENCODER / "receipt.json", lambda receipt: receipt.update(pinned_by="nobody"))
every_way("data", SPLITS[0])
add("data", "labels edited", lambda: edit_parquet(SPLITS[0], "label", partial(pc.subtract, 1)))
add("data", "labels edited, and the receipt", forge_data)
add("data", "training and evaluation swapped", lambda: swap(*SPLITS))
add("data", "another shard laid beside", add_shard, harmless=True)
add("data", "its date alone changed", lambda: os.utime(SPLITS[0], (1, 1)), harmless=True)
every_way("encoder", ENCODER / "model.safetensors")
add("encoder", "a setting edited", lambda: edit(ENCODER / "config.json", lambda c: c.update(hidden_act="relu")))
add("encoder", "words of the tokenizer removed", lambda: cut(ENCODER / "tokenizer.json", 0.9))
add("encoder", "weights edited, and the receipt", forge_encoder)
add("encoder", "tokens laid beside", lambda: (ENCODER / "added_tokens.json").write_text('{"the": 7}'), harmless=True)
add("lock", "another pin of a data set", lambda: edit_yaml(LOCK, other_pin))
add("lock", "cut in half", lambda: cut(LOCK))

# A user's own task: its files, the hashes they were accepted with, the staged rows, its cells.


def own_rows() -> Path:
    """The file with the own task's staged evaluation rows."""
    (found,) = Path("store/datasets/own/reviews").glob("*/evaluation-00000-of-00001.parquet")
    return found


def exchange_labels(labels: Any) -> Any:
    """Swap the two labels in every row."""
    return pc.subtract(1, labels)


def forge_own_rows(*, lock: bool) -> None:
    """Swap the labels of the staged rows, and change the receipt and, if `lock`, the hash in the suite's lock."""
    rows = own_rows()
    before = measure_rows(rows).rows_sha256
    edit_parquet(rows, "label", exchange_labels)
    found = measure_rows(rows)
    reseal(rows.with_name("receipt.json"), lambda receipt: receipt["files"].update({rows.name: asdict(found)}))
    if lock:
        replace(OWN_LOCK, str(before), str(found.rows_sha256))


every_way("own file", REVIEWS)
add("own file", "a label edited", lambda: replace(REVIEWS, ",good", ",bad"))
add("own file", "a row more", lambda: REVIEWS.write_text(f"{REVIEWS.read_text()}one more,good\n"))
add("own file", "swapped with its evaluation", lambda: swap(REVIEWS, REVIEWS.with_name("reviews-dev.csv")))
every_way("own lock", OWN_LOCK)
add("own rows", "emptied", lambda: cut(own_rows(), 0))
add("own rows", "one bit flipped, its date kept", lambda: flip_undated(own_rows()))
add("own rows", "labels edited", lambda: edit_parquet(own_rows(), "label", exchange_labels))
add("own rows", "labels edited, and the receipt", partial(forge_own_rows, lock=False))
add("own rows", "labels edited, the receipt and the lock", partial(forge_own_rows, lock=True))
add("own rows", "deleted", lambda: delete(own_rows().parent))
add("own cell", "predictions swapped with another seed's",
    lambda: swap(OWN_CELL / "predictions.parquet", OWN_OTHER / "predictions.parquet"))  # fmt: skip
add("own cell", "swapped with another seed", lambda: swap(OWN_CELL, OWN_OTHER))
add("own cell", "answers given as gold labels, the record sealed again", partial(forge_labels, OWN_CELL, "reviews"))

# What is measured and collected.

every_way("variability", VARIABILITY, lambda found: found.update(best_layer=1 + found["best_layer"] % 2))
every_way("inside", INSIDE, lambda found: found["nu"].reverse())
every_way("inside's arrays", INSIDE.with_suffix(".npz"))
add("inside", "swapped with another seed's", lambda: swap(INSIDE, INSIDE_OTHER))
add("inside's arrays", "swapped with another seed's",
    lambda: swap(INSIDE.with_suffix(".npz"), INSIDE_OTHER.with_suffix(".npz")))  # fmt: skip
every_way("inside, before", BEFORE, lambda found: found["nu"].reverse())
for gathered in ("metrics.parquet", "inside.parquet", "analysis/calibration.parquet"):
    every_way(gathered, RESULTS / gathered)
    add(gathered, "numbers edited, notes kept",
        partial(edit_parquet, RESULTS / gathered, "value", partial(pc.multiply, 1.1)))  # fmt: skip
every_way("claims.json", RESULTS / "analysis/claims.json", lambda found: found["claims"][0].update(reason="It is so."))

# What is rendered.

for rendered in ("tables/main.csv", "macros.tex", "figures/seed-spread.svg", "report.html"):
    every_way(rendered, RESULTS / rendered)
    add(rendered, "a number edited", partial(edit_number, RESULTS / rendered))
add("tables", "two swapped", lambda: swap(RESULTS / "tables/main.csv", RESULTS / "tables/claims.csv"))
add("figures", "two swapped", lambda: swap(RESULTS / "figures/seed-spread.svg", RESULTS / "figures/layer-drift.svg"))
add("figures", "all deleted", lambda: delete(RESULTS / "figures"))
add("report.html", "its date alone changed", lambda: os.utime(RESULTS / "report.html", (1, 1)), harmless=True)
every_way("manifest", MANIFEST, lambda found: found["made_from"].update(code="0"))
add("manifest", "swapped with another", lambda: swap(MANIFEST, RESULTS / "made/figures.json"))
add("manifest", "all deleted", lambda: delete(RESULTS / "made"))

# What people write.

add("suite", "another learning rate", lambda: edit_yaml(CONFIG, lambda s: s["protocol"].update(learning_rate=7e-5)))
add("suite", "a third seed", lambda: edit_yaml(CONFIG, lambda s: s["grid"][0].update(seeds=3)))
add("suite", "another title", lambda: edit_yaml(CONFIG, lambda s: s.update(title="Another")))
add("suite", "claims taken out", lambda: edit_yaml(CONFIG, lambda s: (s.pop("claims"), s["tables"].remove("claims"))))
add("suite", "inside taken out", lambda: edit_yaml(CONFIG, lambda s: (s.pop("inside"), s["figures"].pop())))
add("suite", "a table more", lambda: edit_yaml(CONFIG, lambda s: s["tables"].append("coverage")))
add("suite", "a second file of its name", lambda: shutil.copy(CONFIG, "config/copy.yaml"))
add("suite", "cut", lambda: cut(CONFIG, 0.9))
add("claim file", "a margin edited", lambda: replace(Path("config/claims/mini.yaml"), "margin: 2.0", "margin: 0.1"))
add("pretraining's settings", "another seed",
    lambda: edit_yaml(Path("config/encoders/mini.yaml"), lambda s: s.update(seed=s.get("seed", 0) + 1)))  # fmt: skip
# Last, because a process reads a method's file only once.
add("method file", "a default edited", lambda: replace(METHOD, "setting(5.0", "setting(50.0"))
add("method file", "its code edited", lambda: replace(METHOD, "uniform_(-1, 1", "uniform_(-9, 9"))
