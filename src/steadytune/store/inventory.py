"""What a suite reads from the store, and whether it is there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadytune.errors import SteadyTuneError
from steadytune.layout import Kind, staged_folder
from steadytune.schema import read_yaml
from steadytune.store.lock import Lock, generated_corpus
from steadytune.store.receipt import RECEIPT, Receipt, verify
from steadytune.store.staging import choose, describe, objection

if TYPE_CHECKING:
    from steadytune.suite.file import Sources
    from steadytune.suite.suite import Suite


@dataclass(frozen=True)
class Item:
    """An entry of the lock that a suite needs."""

    kind: Kind
    key: str
    pretrained: bool = False
    """Whether the workflow trains it, so that staging does not bring it."""

    @property
    def where(self) -> str:
        """Its folder below the store."""
        return f"{self.kind}/{self.key}"


@dataclass(frozen=True)
class Finding:
    """What the check of an item found."""

    item: Item
    state: str
    """`ok`, `missing`, `damaged` or `outdated`; `later` for what the workflow has not trained yet."""
    said: str

    @property
    def good(self) -> bool:
        """Whether nothing is left to do before a run."""
        return self.state in ("ok", "later")

    def __str__(self) -> str:
        return f"{self.state:<8}  {self.item.where}: {self.said}"


def inventory(suite: "Suite", lock: Lock) -> list[Item]:
    """Every entry that a run of the suite reads: data sets, the text that encoders are pretrained on, and encoders.

    Raises:
        SteadyTuneError: one that the lock does not have.
    """
    check_lock(suite, lock)
    models = suite.models()
    trained = {key: config for key in models if (config := lock.pretraining(key)) is not None}
    corpora = {corpus for config in trained.values() if (corpus := generated_corpus(read_yaml(config)))}
    datasets = sorted({*suite.datasets(), *corpora})
    return [*(Item("datasets", key) for key in datasets), *(Item("models", key, key in trained) for key in models)]


def check_lock(suite: "Suite", lock: Lock) -> None:
    """Look for the weights of every encoder in the lock.

    Raises:
        SteadyTuneError: one line naming the suite's key that the lock does not have, and the nearest that it has.
    """
    for name, entry in suite.file.encoders.items():
        model = suite.own_model(name) if entry.own else entry.model
        models = {"model": model, **{f"models.{task}": model for task, model in entry.models.items()}}
        for key, model in models.items():
            try:
                lock.entry("models", model)
            except SteadyTuneError as error:
                folder = (suite.path.parent / model).is_dir()
                hint = f"; for the folder beside the suite write `./{model}`" if folder else ""
                raise SteadyTuneError(f"{suite.path}: encoders.{name}.{key}: {error}{hint}") from None


def outdated(kind: Kind, key: str, receipt: Receipt, lock: Lock, sources: "Sources") -> str:
    """Why a staged folder is not what the lock pins, whoever staged it; empty if it is.

    What the workflow trains itself, and what the lock has from no source of the suite, is not compared.
    """
    try:
        trained = kind == "models" and lock.pretraining(key) is not None
        return "" if trained else objection(receipt, choose(kind, key, lock, sources))
    except SteadyTuneError:
        return ""


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
    reason = "" if item.pretrained else objection(receipt, choose(item.kind, item.key, lock, suite.sources))
    return Finding(item, "outdated", reason) if reason else Finding(item, "ok", describe(receipt))
