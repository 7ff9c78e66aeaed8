"""The lock, `config/lock.yaml`: the sources of every data set and encoder, and what each of their files must be."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from steadytune.errors import unknown
from steadytune.layout import LOCK, Kind, project_file
from steadytune.places import beside
from steadytune.safe_yaml import read_yaml
from steadytune.schema import Repo, StrictModel, check, matching
from steadytune.store.file_pins import FilePin, store_name
from steadytune.store.pins import (
    GeneratedPin,
    HubPin,
    LocalPin,
    OwnEncoderPin,
    OwnTaskPin,
    Pin,
    PretrainedPin,
    ShippedPin,
    UrlPin,
)
from steadytune.suite.own import dataset_key

if TYPE_CHECKING:
    from steadytune.suite.suite import Suite

DatasetKey = Annotated[str, matching(r"\w[\w.-]*(/\w[\w.-]*){2}", "<owner>/<name>/<config>")]
ModelKey = Repo


class Entry(StrictModel):
    """One data set or encoder: a pin for each kind of source that has it."""

    hub: HubPin | None = None
    url: UrlPin | None = None
    local: LocalPin | None = None

    @model_validator(mode="after")
    def _any(self) -> Self:
        if not self.pins():
            raise ValueError(f"a pin for one of {', '.join(type(self).model_fields)}")
        return self

    def pins(self) -> dict[str, Pin]:
        """The entry's pins, by kind of source."""
        return {name: pin for name in type(self).model_fields if (pin := getattr(self, name)) is not None}

    def first_pin(self, order: Iterable[str]) -> Pin | None:
        """The pin to stage from: the first in `order`, else one that no order names; None if there is neither."""
        pins = self.pins()
        return next((pins[name] for name in (*order, "generated", "shipped", "own") if name in pins), None)


class DatasetEntry(Entry):
    """One configuration of a data set."""

    generated: GeneratedPin | None = None
    own: OwnTaskPin | None = None

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [store_name(name) for name in self.hub.files] if self.hub else []
        if len(set(names)) < len(names):
            raise ValueError("file names that differ, because the store keeps no folders of the hub")
        return self


class ModelEntry(Entry):
    """One encoder."""

    shipped: ShippedPin | None = None
    pretrained: PretrainedPin | None = None
    own: OwnEncoderPin | None = None


class Lock(StrictModel):
    """The content of a lock file."""

    datasets: dict[DatasetKey, DatasetEntry] = Field(default_factory=dict)
    models: dict[ModelKey, ModelEntry] = Field(default_factory=dict)
    _path: Path = PrivateAttr(default=Path("the lock"))

    def entry(self, kind: Kind, key: str) -> DatasetEntry | ModelEntry:
        """The entry of a data set (`<owner>/<name>/<config>`) or a model (`<owner>/<name>`).

        Raises:
            SteadyTuneError: the lock lacks the key; the message has the nearest that it has.
        """
        entries: Mapping[str, DatasetEntry | ModelEntry] = {"datasets": self.datasets, "models": self.models}[kind]
        if key not in entries:
            raise unknown({"datasets": "data set", "models": "model"}[kind], key, entries, f"{self._path}: {kind}")
        return entries[key]

    def pretraining(self, key: str) -> Path | None:
        """The config file of an encoder that the project pretrains itself; None if it is staged or shipped."""
        pins = self.entry("models", key).pins()
        pin = pins.get("pretrained")
        return project_file(Path(pin.config)) if isinstance(pin, PretrainedPin) and "shipped" not in pins else None


def generated_corpus(settings: Mapping[str, Any]) -> str | None:
    """The data set that pretraining settings name as the corpus; None if they name a plain text file instead."""
    corpus = settings.get("corpus")
    return corpus if isinstance(corpus, str) else None


def load_lock(path: Path) -> Lock:
    """Read and check a lock; cached, so a process parses the same content only once.

    Raises:
        SteadyTuneError: one line naming the file, the key, the value, what was expected and the nearest valid name.
    """
    return _load(path, path.read_bytes() if path.is_file() else b"")


@lru_cache(maxsize=2)
def _load(path: Path, _content: bytes) -> Lock:
    lock = check(Lock, read_yaml(path), path)
    lock._path = path
    return lock


def suite_lock(suite: "Suite") -> Lock:
    """The project's lock, extended by the suite's own tasks and encoders.

    Raises:
        SteadyTuneError: as `load_lock`, or an own encoder has not been pinned yet.
    """
    lock, folder = load_lock(project_file(LOCK)), suite.path.parent
    datasets, models = dict(lock.datasets), dict(lock.models)
    for name, entry in suite.file.tasks.items():
        where = f"{suite.path}: tasks.{name}"
        own = suite.own_lock.tasks[name]
        pin = OwnTaskPin(where=where, folder=folder, store=suite.file.store, entry=entry, pin=own)
        datasets[dataset_key(name, own)] = DatasetEntry(own=pin)
    for name, entry in suite.file.encoders.items():
        if entry.own:
            key, own = suite.own_model(name), suite.own_lock.encoders[name]
            files = {file: FilePin(**pin.model_dump()) for file, pin in own.files.items()}
            if own.hub:
                models[key] = ModelEntry(hub=HubPin(repo=own.hub, revision=own.revision, files=files))
            else:
                where = f"{suite.path}: encoders.{name}.model"
                pin = OwnEncoderPin(folder=beside(folder, entry.model, where), files=files)
                models[key] = ModelEntry(own=pin)
    found = Lock(datasets=datasets, models=models)
    found._path = lock._path
    return found


def entry_digest(lock: Lock, kind: Kind, key: str) -> str:
    """Hex SHA-256 of an entry's canonical JSON: a parameter of the stage rule, so a changed pin is staged again."""
    value = lock.entry(kind, key).model_dump(mode="json", exclude_defaults=True)
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
