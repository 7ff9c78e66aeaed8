"""Find the files of a suite's own task: local ones, or those of a hub repository at a commit, which are downloaded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from steadytune.errors import SteadyTuneError
from steadytune.layout import store_lock_path
from steadytune.locks import hold
from steadytune.places import beside
from steadytune.staged import check_file_name
from steadytune.store.contents import check_content
from steadytune.store.own_files import FORMATS
from steadytune.store.own_folders import check_shards, named_like, shown_files
from steadytune.store.receipt import measure
from steadytune.store.repository import Repository
from steadytune.suite.own import EVALUATION, TRAIN, OwnFile, OwnTask, TaskPin
from steadytune.tasks.reading import split_of


@dataclass(frozen=True)
class Place:
    """The files of a split."""

    paths: tuple[Path, ...]
    """One file or folder, or the shards of a hub set."""
    hub: Mapping[str, OwnFile] = field(default_factory=dict)
    """Hash and size of each file of a hub set, by its path in the repository."""


@contextmanager
def find_places(
    where: str, entry: OwnTask, folder: Path, store: Path, limit: int, pin: TaskPin | None = None
) -> Iterator[dict[str, Place]]:
    """Yield the files of each split that a task names; use them only inside the block.

    Hub files are downloaded to the store first. After the block, pinned ones are removed, because their rows are
    staged.

    Args:
        where: the task in the suite's file, for messages.
        entry: the task's entry there.
        folder: the folder of the suite's file.
        store: the store's root.
        limit: the maximum size in bytes of a hub file that is not pinned.
        pin: the task's pin, if it has one.

    Raises:
        SteadyTuneError: the hub has no such files, or they differ from the pinned ones.
    """
    if entry.hub is None:
        named = {TRAIN: entry.train, EVALUATION: entry.evaluation}
        yield {split: Place((beside(folder, path, f"{where}.{split}"),)) for split, path in named.items() if path}
        return
    repository = Repository(where, "datasets", entry.hub, entry.revision, limit)
    if pin is None:
        files = repository.files()
        splits = (TRAIN,) if entry.holdout else (TRAIN, EVALUATION)
        wanted = {split: choose_files(where, entry, split, files) for split in splits}
    else:
        wanted = {split: list(found.files) for split, found in pin.splits.items() if found.files}
    downloads = store / ".downloads" / "hub" / entry.hub.replace("/", "--")
    pinned = {split: found.files for split, found in pin.splits.items()} if pin else {}
    # Two tasks may use the same files at the same time.
    with hold(store_lock_path(store, f"hub/{entry.hub}"), message=f"{where}: waiting for another task of {entry.hub}"):
        places = {split: _bring(repository, names, downloads, pinned.get(split)) for split, names in wanted.items()}
        yield places
        for path in (path for place in places.values() if pin for path in place.paths):
            path.unlink(missing_ok=True)


def choose_files(where: str, entry: OwnTask, split: str, files: list[str]) -> list[str]:
    """Choose a split's files in a repository: the files that the suite names, or else the files named like the split.

    Raises:
        SteadyTuneError: there are no such files, or they do not belong together.
    """
    below = f"{entry.config}/" if entry.config else ""
    data = [name for name in sorted(files) if name.startswith(below) and _holds_rows(name, entry)]
    asked = entry.train if split == TRAIN else entry.evaluation
    if asked:
        found = [name for name in data if fnmatch(name, f"{below}{asked}")]
    else:
        by_split: dict[str, list[str]] = {}
        for name in data:
            by_split.setdefault(split_of(Path(name)), []).append(name)
        name = named_like(split, by_split)
        found = by_split[name] if name else []
    has = shown_files(data) or "no csv, jsonl or parquet"
    if not found:
        named = f"no file '{asked}'" if asked else f"no file that is named like the {split} split"
        raise SteadyTuneError(f"{where}: {split}: {entry.hub}: {named}: name one with `{split}`; it has {has}")
    kinds = {(PurePosixPath(name).parent, PurePosixPath(name).suffix) for name in found}
    if len(kinds) > 1 or (len(found) > 1 and not found[0].endswith(".parquet")):
        raise SteadyTuneError(
            f"{where}: {split}: {entry.hub}: several files: {shown_files(found)}: name a folder with "
            f"`config`, or one file with `{split}`"
        )
    if not asked:
        try:
            check_shards([Path(name) for name in found])
        except ValueError as error:
            raise SteadyTuneError(f"{where}: {split}: {entry.hub}: {error}") from None
    return found


def _holds_rows(name: str, entry: OwnTask) -> bool:
    try:
        check_file_name(name)
    except ValueError:
        return False
    return PurePosixPath(name).suffix in (*FORMATS, *([".json"] if entry.format else []))


def _bring(repository: Repository, names: list[str], downloads: Path, pinned: Mapping[str, OwnFile] | None) -> Place:
    paths, found = [], {}
    for name in names:
        path = repository.get(name, downloads, pinned[name].bytes if pinned else None, check=not pinned)
        check_content(path, f"{repository.where}: {name} of {repository.name}")
        measured = measure(path)
        found[name] = OwnFile(sha256=measured.sha256, bytes=measured.bytes)
        if pinned and found[name] != pinned[name]:
            path.unlink()
            raise SteadyTuneError(
                f"{repository.where}: {name} of {repository.name}: SHA-256 {pinned[name].sha256} is pinned, "
                f"{found[name].sha256} came from the hub: run again"
            )
        paths.append(path)
    return Place(tuple(paths), found)
