"""Folders of a user's data: which files are data, which split each belongs to, and one hash of them all."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from steadytune.files import read_json, sha256
from steadytune.suite.own import EVALUATION, TRAIN
from steadytune.tasks.reading import SHARD, split_of

SHOWN_FILES = 12
TRAIN_NAMES = (TRAIN, "training")
EVALUATION_NAMES = ("validation", "evaluation", "dev", "valid", "val", "eval", "development", "test")
"""Names of the evaluation split in a folder or repository that has several splits, best first."""
WORD_OF_A_SPLIT = re.compile(rf"(?<![a-z])(?:({'|'.join(TRAIN_NAMES)})|{'|'.join(EVALUATION_NAMES)})(?![a-z])")
"""A split's name anywhere in a file's name, as in `imdb_train.parquet`; the group matches only the training split's."""


def names_of(split: str) -> tuple[str, ...]:
    """The names that a split may have, best first."""
    return TRAIN_NAMES if split == TRAIN else EVALUATION_NAMES


def named_like(split: str, names: Iterable[str]) -> str | None:
    """The best of some names for a split, ignoring case; None if no name is one of the split's."""
    by_name = {name.casefold(): name for name in names}
    return next((by_name[name] for name in names_of(split) if name in by_name), None)


def shown_files(names: Sequence[str]) -> str:
    """The first of some file names, and how many more there are."""
    more = len(names) - SHOWN_FILES
    return ", ".join([*names[:SHOWN_FILES], *([f"… and {more} more"] if more > 0 else [])])


def read_from(path: Path, split: str) -> str:
    """The part of a folder that a split is read from; empty for a file."""
    if not path.is_dir():
        return ""
    if not is_saved(path):
        return shown_files([file.relative_to(path).as_posix() for file in split_files(path, split)])
    splits = path / "dataset_dict.json"
    return named_like(split, map(str, read_json(splits)["splits"])) or "" if splits.is_file() else ""


def is_saved(path: Path) -> bool:
    """Whether a folder was saved by `datasets`."""
    return (path / "dataset_dict.json").is_file() or (path / "dataset_info.json").is_file()


def data_files(folder: Path) -> list[Path]:
    """The parquet files in a folder and one level below, or all files of a folder saved by `datasets`; no hidden ones.

    Deeper folders are left out: in a user's working folder they may be the store and results.
    """
    found = folder.rglob("*") if is_saved(folder) else (*folder.glob("*.parquet"), *folder.glob("*/*.parquet"))
    return sorted(file for file in found if file.is_file() and not _is_hidden(file.relative_to(folder)))


def _is_hidden(file: Path) -> bool:
    return any(part.startswith(".") for part in file.parts)


def split_files(folder: Path, split: str) -> list[Path]:
    """The parquet files of a split in a folder: the files named like it, or all if no names distinguish splits.

    Raises:
        ValueError: no parquet files; several splits but not this one; names that mention splits in another way; only
            files of the other split; a missing shard; two copies of the split.
    """
    by_name: dict[str, list[Path]] = {}
    for file in data_files(folder):
        by_name.setdefault(_name_of(file.relative_to(folder)), []).append(file)
    if not by_name:
        raise ValueError("a folder without parquet files: of csv, tsv and jsonl name the file")
    # Scores on training data mean nothing: files of the other split are read only if the suite names them.
    alone = len(by_name) == 1 and not by_name.keys() & set(names_of(TRAIN if split == EVALUATION else EVALUATION))
    names = by_name if alone else [name for name in names_of(split) if name in by_name]
    if not names:
        has = ", ".join(sorted(name or "others" for name in by_name))
        raise ValueError(f"it has files of {has}, expected {' or '.join(names_of(split))}: name one with `{split}`")
    name = next(iter(names))
    _check_whole(folder, name, by_name[name])
    if not name:
        _check_says_no_split([file.relative_to(folder) for file in by_name[name]], split)
    return by_name[name]


def _check_says_no_split(files: list[Path], split: str) -> None:
    """Check that the names of files read together mention no other split, such as `imdb_test` for training."""
    words = [match for file in files for match in WORD_OF_A_SPLIT.finditer(file.as_posix().casefold())]
    trained = {bool(match[1]) for match in words}
    if (split == EVALUATION) in trained:
        said = ", ".join(sorted({match[0] for match in words}))
        raise ValueError(
            f"the names of its files mention {said}, so their split is not clear: expected names such as train.parquet "
            f"and train-00000-of-00002.parquet, or folders such as train; name one with `{split}`"
        )


def _check_whole(folder: Path, name: str, files: list[Path]) -> None:
    """Check that all shards of a split are there, and that there is only one set of files for it."""
    sets: dict[tuple[Path, str], list[Path]] = {}
    for file in files:
        sets.setdefault((file.parent, split_of(file).casefold()), []).append(file)
    parents = dict.fromkeys(parent for parent, _ in sets)
    if name and len(parents) > 1:
        found = ", ".join(parent.relative_to(folder).as_posix() for parent in parents)
        raise ValueError(f"it has files of {name} in several folders, {found}: name one of these")
    for same in sets.values():
        check_shards(same)


def check_shards(files: list[Path]) -> None:
    """Check that files with the same split name in one folder are a single file, or all shards of one set.

    Raises:
        ValueError: a shard is missing, or there are several sets.
    """
    found = ", ".join(file.name for file in files)
    matches = [match for file in files if (match := SHARD.fullmatch(file.stem))]
    others = [file for file in files if not SHARD.fullmatch(file.stem) and not file.stem.isdigit()]
    if len(others) > 1 or (others and matches) or len({match["shards"] for match in matches}) > 1:
        raise ValueError(f"it has several sets of files of one split, {found}: name one, or leave one there")
    if matches and sorted(int(match["shard"]) for match in matches) != list(range(int(matches[0]["shards"]))):
        raise ValueError(f"a split is not whole: expected {int(matches[0]['shards'])} files, found {found}")
    numbers = sorted(int(file.stem) for file in files if file.stem.isdecimal())
    # Dates are numbers too, and have gaps.
    if numbers[:1] in ([0], [1]) and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        expected = f"files {numbers[0]} to {numbers[-1]}, each once"
        raise ValueError(f"a split is not whole: expected {expected}, found {found}")


def _name_of(file: Path) -> str:
    """The split in the name of a file or else of its folder; empty if neither names one."""
    said = (split_of(file).casefold(), file.parent.name.casefold())
    return next((name for name in said if name in (*TRAIN_NAMES, *EVALUATION_NAMES)), "")


def hash_path(path: Path) -> str:
    """The SHA-256 of a file, or of the names and hashes of the data files in a folder."""
    if path.is_file():
        return sha256(path)
    digest = hashlib.sha256()
    for file in data_files(path):
        digest.update(f"{file.relative_to(path)} {sha256(file)}\n".encode())
    return digest.hexdigest()
