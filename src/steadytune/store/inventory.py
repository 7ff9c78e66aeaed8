"""What a suite reads from the store, and whether it is staged."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.errors import SteadyTuneError, raise_all, unknown
from steadytune.layout import LOCK, Kind, project_file, staged_folder
from steadytune.safe_yaml import read_yaml
from steadytune.store.file_pins import store_name
from steadytune.store.lock import Lock, generated_corpus, load_lock, suite_lock
from steadytune.store.pins import GeneratedPin, HubPin, LocalPin, UrlPin
from steadytune.store.receipt import RECEIPT, read_receipt, receipt_digest, verify
from steadytune.store.staging import choose, describe, objection
from steadytune.suite.cell import canonical_digest
from steadytune.suite.checks import setting_problems
from steadytune.suite.loading import suite_problems
from steadytune.tasks.reading import split_of
from steadytune.tasks.table import TASKS
from steadytune.tasks.task import OWN

if TYPE_CHECKING:
    from steadytune.suite.suite import Suite


@dataclass(frozen=True)
class Item:
    """An entry of the lock that a suite needs."""

    kind: Kind
    key: str
    pretrained: bool = False
    """Whether the workflow trains it, so staging does not fetch it."""

    @property
    def where(self) -> str:
        """The entry's folder, relative to the store."""
        return f"{self.kind}/{self.key}"


@dataclass(frozen=True)
class Finding:
    """The result of checking an item."""

    item: Item
    state: str
    """`ok`, `missing`, `damaged` or `outdated`; `later` if the workflow has yet to train it."""
    said: str

    @property
    def good(self) -> bool:
        """Whether nothing is left to do before a run."""
        return self.state in ("ok", "later")

    def __str__(self) -> str:
        return f"{self.state:<8}  {self.item.where}: {self.said}"


def inventory(suite: "Suite", lock: Lock) -> list[Item]:
    """Every entry that a run of the suite reads: data sets, pretraining corpora and encoders.

    Raises:
        SteadyTuneError: the lock lacks an entry.
    """
    check_lock(suite, lock)
    models = suite.models()
    trained = {key: config for key in models if (config := lock.pretraining(key)) is not None}
    corpora = {corpus for config in trained.values() if (corpus := generated_corpus(read_yaml(config)))}
    datasets = sorted({*suite.datasets(), *corpora})
    return [*(Item("datasets", key) for key in datasets), *(Item("models", key, key in trained) for key in models)]


def check_lock(suite: "Suite", lock: Lock) -> None:
    """Check that the lock has the weights of every encoder, and every split to predict.

    Raises:
        SteadyTuneError: one line per name in the suite that the lock lacks, with the nearest that it has.
    """
    raise_all(lock_problems(suite, lock))


def lock_problems(suite: "Suite", lock: Lock) -> list[str]:
    """The lines that `check_lock` raises; users' own encoders are left out, because the suite's own lock pins them."""
    problems = []
    for name, entry in suite.file.encoders.items():
        models = {} if entry.own else {"model": entry.model}
        for key, model in {**models, **{f"models.{task}": model for task, model in entry.models.items()}}.items():
            try:
                lock.entry("models", model)
            except SteadyTuneError as error:
                folder = (suite.path.parent / model).is_dir()
                hint = f"; for the folder beside the suite write `./{model}`" if folder else ""
                problems.append(f"{suite.path}: encoders.{name}.{key}: {error}{hint}")
    return [*problems, *_split_problems(suite, lock)]


def _split_problems(suite: "Suite", lock: Lock) -> Iterator[str]:
    """One line per split in `predict` that the pinned files of its task do not include."""
    for name, predicted in suite.file.predict.items():
        task = TASKS.get(name.partition("@")[0])
        entry = lock.datasets.get(task.dataset_key) if task else None
        match entry and entry.first_pin(suite.sources.order):
            case HubPin(files=files) | UrlPin(files=files) | LocalPin(files=files) | GeneratedPin(files=files):
                splits = {split_of(Path(store_name(file))) for file in files}
                for split in predicted:
                    if split not in splits:
                        yield str(unknown("split", split, splits, f"{suite.path}: predict.{name}"))


def name_problems(suite: "Suite", *, pinned: bool = True) -> list[str]:
    """One line per mistake in a suite's names and settings, those that only the lock reveals among them.

    pinned: whether its own tasks and encoders are pinned; if not, checks that depend on them are skipped.
    """
    own = suite_problems(suite) if pinned else setting_problems(suite, pinned=False)
    return [*own, *lock_problems(suite, load_lock(project_file(LOCK)))]


def outdated(kind: Kind, key: str, folder: Path, lock: Lock, suite: "Suite") -> str:
    """Why a staged folder is not what the lock pins; empty if it is, or if they cannot be compared.

    An encoder that the workflow trains is compared by its settings and corpus. Nothing is compared if the receipt is
    unreadable, or if the lock has no pin for any of the suite's sources.
    """
    try:
        receipt = read_receipt(folder)
        # The suite's own tasks and encoders are pinned by its own lock, which the caller's lock may not include.
        lock = suite_lock(suite) if key.startswith(f"{OWN}/") else lock
        config = lock.pretraining(key) if kind == "models" else None
        if config is None:
            return objection(receipt, choose(kind, key, lock, suite.sources))
    except SteadyTuneError:
        return ""
    now = pretraining_inputs(config, suite.file.store)
    then = {"settings": "", **receipt.made_from}
    changed = [name for name, value in then.items() if now.get(name, value) != value]
    return f"it was pretrained with other {', '.join(changed)} than now" if changed else ""


def pretraining_inputs(config: Path, store: Path) -> dict[str, str]:
    """Digests of an encoder's pretraining settings and, if it is staged, its corpus."""
    settings = read_yaml(config)
    found = {"settings": canonical_digest(settings)}
    if corpus := generated_corpus(settings):
        with suppress(SteadyTuneError):
            found[corpus] = receipt_digest(read_receipt(staged_folder(store, "datasets", corpus)))
    return found


def inspect(items: list[Item], suite: "Suite", lock: Lock) -> Iterator[Finding]:
    """Check every item by hash, against its receipt and the lock; nothing is changed."""
    for item in items:
        yield _inspect(item, suite, lock)


def _inspect(item: Item, suite: "Suite", lock: Lock) -> Finding:
    folder = staged_folder(suite.file.store, item.kind, item.key)
    if not (folder / RECEIPT).is_file():
        return (
            Finding(item, "later", "the workflow trains it")
            if item.pretrained
            else Finding(item, "missing", "not staged")
        )
    try:
        receipt = verify(folder)
    except SteadyTuneError as error:
        return Finding(item, "damaged", str(error))
    reason = outdated(item.kind, item.key, folder, lock, suite)
    return Finding(item, "outdated", reason) if reason else Finding(item, "ok", describe(receipt))
