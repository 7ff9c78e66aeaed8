"""A finished suite as an RO-Crate 1.1: everything that its numbers rest on, and a description that machines read.

RO-Crate: https://www.researchobject.org/ro-crate/specification/1.1/.
"""

import io
import logging
import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune import __version__
from steadytune.errors import SteadyTuneError
from steadytune.exports.content import check_finished
from steadytune.exports.registry import required
from steadytune.files import atomic_folder, atomic_path, read_json, sha256
from steadytune.layout import (
    LOCK,
    RECORD,
    all_tables_path,
    analysis_folder,
    claims_path,
    figures_folder,
    history_path,
    inside_before_path,
    inside_folder,
    inside_path,
    inside_table_path,
    macros_path,
    manifests_folder,
    metrics_path,
    predictions_path,
    project_file,
    project_folder,
    record_path,
    report_path,
    tables_folder,
    variability_folder,
    variability_path,
)
from steadytune.rendering.sections import report_paths
from steadytune.schema import read_yaml
from steadytune.suite.suite import Suite

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

CITATION = Path("CITATION.cff")
SETTINGS = (LOCK, Path("requirements.lock"), Path("environment.yml"), Path("LICENSE"), CITATION)
"""What a run depends on besides the suite's own file, as far as the project has it: files of the project."""

FILES = (metrics_path, inside_table_path, macros_path, all_tables_path)
FOLDERS = (tables_folder, figures_folder, analysis_folder, variability_folder, inside_folder, manifests_folder)
"""Of a suite's results: logs, checkpoints and weights stay behind."""

CHECKSUMS = "SHA256SUMS"

FORMATS = {".parquet": "application/vnd.apache.parquet", ".yaml": "application/yaml", ".yml": "application/yaml",
           ".md": "text/markdown", ".tex": "application/x-tex", ".cff": "application/yaml", ".lock": "text/plain",
           ".npz": "application/zip", "": "text/plain"}  # fmt: skip
"""Media types by suffix that the standard library does not know everywhere."""

log = logging.getLogger(__name__)


def export(suite: Suite, target: Path) -> None:
    """Write a suite as an RO-Crate: to a zip file if `target` ends in `.zip`, else to a new folder.

    Every file is read for its checksum and copied once, and `target` is there whole or not at all.

    Raises:
        SteadyTuneError: rocrate is not installed, the suite is not finished, or `target` is there and no zip file.
    """
    crate_type = required("rocrate.rocrate").ROCrate
    if target.exists() and not (target.suffix == ".zip" and target.is_file()):
        raise SteadyTuneError(f"{target}: exists already; expected a new folder or a file that ends in .zip")
    files = list(suite_files(suite))
    crate = crate_type(version="1.1")
    _describe(crate, suite, files)
    if target.suffix == ".zip":
        with atomic_path(target) as temporary:
            crate.write_zip(temporary)
    else:
        with atomic_folder(target) as temporary:
            crate.write(temporary)
    log.info("wrote %s: %d files", target, len(files))


def suite_files(suite: Suite) -> Iterator[Path]:
    """Every file that a crate of the suite holds, the suite's own first.

    Raises:
        SteadyTuneError: a cell has no record, or the report is not there.
    """
    check_finished(suite)
    report = report_path(suite)
    if not report.is_file():
        raise SteadyTuneError(f"{report}: not found; an export is of a finished suite")
    methods = [suite.path.parent / source for source in suite.file.methods_from]
    candidates = [suite.path, *methods, *map(project_file, SETTINGS), *report_paths(suite)]
    candidates += [path(suite) for path in FILES]
    found = [path for folder in FOLDERS for path in sorted(folder(suite).rglob("*"))]
    candidates += [path for path in found if _is_named(path, suite)]
    candidates += [path(suite, cell) for cell in suite.cells for path in (record_path, predictions_path, history_path)]
    return (path for path in candidates if path.is_file())


def _is_named(path: Path, suite: Suite) -> bool:
    """Whether the suite, as it now is, still asks for a file: what a removed stage left is not exported."""
    if path.parent == analysis_folder(suite):
        judged = bool(suite.file.claims) or len({cell.method for cell in suite.cells}) > 1
        return path.suffix == ".parquet" or (path == claims_path(suite) and judged)
    if path.parent == tables_folder(suite):
        return path.stem in suite.file.tables
    if path.parent == figures_folder(suite):
        return path.stem in suite.file.figures
    if path.is_relative_to(variability_folder(suite)):
        return path in {variability_path(suite, *pair) for pair in suite.layer_studies()}
    if path.is_relative_to(inside_folder(suite)):
        studies = [inside_before_path(suite, *pair) for pair in suite.inside_pairs()]
        studies += [inside_path(suite, cell) for cell in suite.inside_cells]
        return path.with_suffix(".json") in studies
    return True


def _describe(crate: "ROCrate", suite: Suite, files: list[Path]) -> None:
    """Fill in the crate: the root, every file with its checksum, and the run that made them."""
    authors = _describe_root(crate, suite)
    added = {path: crate.add_file(path, _place(path, suite), properties=_file(path)) for path in files}
    sums = io.StringIO("".join(f"{sha256(path)}  {_place(path, suite)}\n" for path in files))
    crate.add_file(sums, CHECKSUMS, properties={"name": "SHA-256 of every file", "encodingFormat": "text/plain"})
    records = [read_json(path) for path in files if path.name == RECORD]
    program = {"@type": "SoftwareApplication", "name": "SteadyTune", "softwareVersion": _version(records)}
    settings = [entity for path, entity in added.items() if path in (suite.path, *map(project_file, SETTINGS))]
    crate.add_action(
        _entity(crate, "#steadytune", program),
        identifier="#run",
        object=[*settings, *(_entity(crate, *found) for found in _inputs(records))],
        result=[entity for entity in added.values() if entity not in settings],
        properties={"name": f"The suite {suite.name}", "agent": authors, "description": _environment(records)},
    )


def _describe_root(crate: "ROCrate", suite: Suite) -> Any:
    """The crate as a whole: title, licence, papers; returns its authors, which it has from `CITATION.cff`."""
    citation = read_yaml(project_file(CITATION))
    crate.name = f"{suite.file.title}: results"
    crate.description = suite.file.description or f"The results of SteadyTune's suite {suite.name}."
    licence = {"@type": "CreativeWork", "name": citation["license"]}
    crate.license = _entity(crate, f"https://spdx.org/licenses/{citation['license']}", licence)
    authors = _compact([_entity(crate, *_author(entry)) for entry in citation["authors"]])
    papers = [_entity(crate, f"#{_slug(work['title'])}", _work(work)) for work in citation.get("references", ())]
    crate.root_dataset["author"] = authors
    if papers:
        crate.root_dataset["citation"] = _compact(papers)
    return authors


def _entity(crate: "ROCrate", identifier: str, properties: dict[str, Any]) -> Any:
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, identifier, properties))


def _place(path: Path, suite: Suite) -> str:
    """Where a file stands in the crate: as in the project; a suite's file, and its methods', stand below `config/`."""
    for source in suite.file.methods_from:
        if path == suite.path.parent / source:
            return f"config/{source.name if source.is_absolute() or '..' in source.parts else source.as_posix()}"
    if path == suite.path:
        return f"config/{path.name}"
    project = project_folder()
    return (path.relative_to(project) if path.is_relative_to(project) else path).as_posix()


def _file(path: Path) -> dict[str, Any]:
    media = FORMATS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return {"name": path.name, "encodingFormat": media, "contentSize": str(path.stat().st_size)}


def _author(entry: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Identifier and properties of an author: a person, or a group that has one name."""
    if "name" in entry:
        return f"#{_slug(entry['name'])}", {"@type": "Organization", "name": entry["name"]}
    name = " ".join(filter(None, (entry.get("given-names"), entry.get("family-names"))))
    return entry.get("orcid") or f"#{_slug(name)}", {"@type": "Person", "name": name}


def _work(work: dict[str, Any]) -> dict[str, Any]:
    """A paper whose method the suites run."""
    notes = {"description": work["notes"]} if "notes" in work else {}
    return {"@type": "ScholarlyArticle", "name": work["title"], "datePublished": str(work["year"])} | notes


def _inputs(records: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Identifier and properties of every data set and encoder that a cell read; the crate does not hold them."""
    found: dict[str, dict[str, Any]] = {}
    for item in (item for record in records for item in record["inputs"]):
        pin = f"revision {item['revision']}, " if item["revision"] else ""
        what = {"datasets": "Data set", "models": "Encoder"}[item["kind"]]
        text = f"{what}, {pin}digest {item['digest']}, source: {item['source']}, pinned by: {item['pinned_by']}"
        found[f"#{item['kind']}/{item['key']}"] = {"@type": "CreativeWork", "name": item["key"], "description": text}
    return sorted(found.items())


def _version(records: list[dict[str, Any]]) -> str:
    """The package's version and the commits of the code that trained."""
    commits = {record["environment"]["git_commit"] for record in records} - {None}
    return f"{__version__} ({', '.join(sorted(commits))})" if commits else __version__


def _environment(records: list[dict[str, Any]]) -> str:
    """Where the cells ran, every value that occurs."""
    values: dict[str, set[str]] = {}
    for key, value in (pair for record in records for pair in record["environment"].items()):
        values.setdefault(key, set()).add(str(value))
    return "; ".join(f"{key.replace('_', ' ')}: {', '.join(sorted(found))}" for key, found in values.items())


def _compact(values: list[Any]) -> Any:
    """As RO-Crate writes what has one value: without the list."""
    return values[0] if len(values) == 1 else values


def _slug(text: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())
