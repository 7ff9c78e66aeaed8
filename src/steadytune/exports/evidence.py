"""Read recorded suites: validate their records, recompute their scores and judge their claims."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field

from steadytune.cells.recorded import CELLS, restore
from steadytune.claims.claim import Claim
from steadytune.claims.comparisons import judge_all
from steadytune.claims.files import suite_claims
from steadytune.claims.judged import Judged, write_verdicts
from steadytune.errors import SteadyTuneError
from steadytune.layout import project_folder, recorded_folder
from steadytune.looks import read_looks
from steadytune.results.collect import collect
from steadytune.results.description import describe
from steadytune.results.loading import load_results
from steadytune.results.model import Results
from steadytune.safe_yaml import read_yaml
from steadytune.schema import StrictModel, check
from steadytune.suite.cell import Cell
from steadytune.suite.file import is_file_name
from steadytune.suite.loading import find_suite, load_suite, read_suite_file

ABOUT, SUITE = "about.yaml", "suite.yaml"
OURS = "SteadyTune"
NOT_STATED = "not stated"


class About(StrictModel):
    """Who ran the cells of a recorded suite."""

    by: str = Field(default=NOT_STATED, max_length=80)
    note: str = Field(default="", max_length=500)


@dataclass(frozen=True)
class Recorded:
    """One recorded suite with everything the page shows of it."""

    folder: Path
    about: About
    results: Results
    judged: tuple[Judged, ...]
    claims: dict[str, Claim]
    """Every judged claim, by ID."""

    @property
    def name(self) -> str:
        """The suite's name."""
        return self.results.name


def recorded_folders(folders: list[Path]) -> list[Path]:
    """The recorded suites in `folders`, each of which is a recorded suite or holds several.

    Raises:
        SteadyTuneError: a folder without a recorded suite, or two suites of the same name.
    """
    found: list[Path] = []
    for folder in folders:
        here = [folder] if (folder / CELLS).is_file() else sorted(path.parent for path in folder.glob(f"*/{CELLS}"))
        if not here:
            raise SteadyTuneError(f"{folder}: no recorded suite: expected {CELLS} in it, or in folders below it")
        found += here
    names: dict[str, Path] = {}
    for path in found:
        if (other := names.setdefault(path.resolve().name, path)) != path:
            raise SteadyTuneError(f"{path}: {other} holds a recorded suite of the same name")
    return found


def read_recorded(folder: Path, place: Path) -> Recorded:
    """Read a recorded suite, and lay it out as results under `place`.

    The records' seals and predictions are checked, scores are recomputed from the predictions, and claims are judged
    by the current rule.

    Args:
        folder: holds `cells.jsonl.gz` and the files that go with it; its name is the suite's, and its `suite.yaml`, if
            it has one, is the suite's file.
        place: folder for the suite's files; the caller removes it.

    Raises:
        SteadyTuneError: a damaged or foreign record, no suite of that name, or a suite that reads files outside its
            folder.
    """
    own, about = folder / SUITE, folder / ABOUT
    name = folder.resolve().name
    if own.is_file():
        _check_alone(own)
    suite = load_suite(own if own.is_file() else find_suite(name), results=place / name)
    if suite.name != name:
        raise SteadyTuneError(f"{folder}: its suite is named '{suite.name}', expected '{name}'")
    planned = frozenset(suite.cells)

    def is_planned(cell: Cell) -> bool:
        if cell not in planned:
            raise SteadyTuneError(f"{folder / CELLS}: {cell}: suite '{name}' plans no such cell")
        return True

    restore(folder, suite.results, is_planned)
    collect(suite, as_recorded=True)
    # Once the folder is in the project, as docs/evidence.md asks, commands find the suite's own file there.
    argument = shlex.quote(str(recorded_folder(suite) / SUITE)) if own.is_file() else suite.argument
    about_suite = replace(describe(suite), recorded=True, argument=argument)
    results = load_results(suite.results, about_suite)
    claims = {claim.id: claim for claim in suite_claims(suite)}
    verdicts = judge_all(suite, results, read_looks(suite))
    write_verdicts(suite.results, verdicts)
    ours = folder.resolve().is_relative_to(project_folder().resolve())
    who = check(About, read_yaml(about), about) if about.is_file() else About(by=OURS if ours else NOT_STATED)
    return Recorded(folder, who, results, verdicts.claims, claims)


def _check_alone(path: Path) -> None:
    """Refuse a suite file that brings Python code, which would run here, or names files outside its folder.

    Its own tasks and encoders may lie anywhere: only what is pinned next to the suite file is read.
    """
    file = read_suite_file(path)
    if file.methods_from:
        what = f"methods_from: '{file.methods_from[0]}'"
        raise SteadyTuneError(f"{path}: {what}: expected none: this page runs no Python from recorded suites")
    named = {"claims": [name for name in file.claims if is_file_name(name)], "analysis_plan": [file.analysis_plan]}
    for key, places in named.items():
        for place in filter(None, places):
            if not (path.parent / place).resolve().is_relative_to(path.parent.resolve()):
                raise SteadyTuneError(f"{path}: {key}: '{place}': expected a file in {path.parent}")
