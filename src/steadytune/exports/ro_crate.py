"""A finished suite as an RO-Crate 1.1: everything its numbers depend on, with a machine-readable description.

RO-Crate: https://www.researchobject.org/ro-crate/specification/1.1/.
"""

import io
import logging
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune import __version__
from steadytune.exports.crate_files import CITATION, inputs_of, is_projects, places_of, suite_files
from steadytune.files import atomic_folder, atomic_path, read_json, sha256
from steadytune.layout import RECORD, project_file
from steadytune.safe_yaml import read_yaml
from steadytune.suite.suite import Suite

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

CHECKSUMS = "SHA256SUMS"

FORMATS = {".parquet": "application/vnd.apache.parquet", ".yaml": "application/yaml", ".yml": "application/yaml",
           ".md": "text/markdown", ".tex": "application/x-tex", ".cff": "application/yaml", ".lock": "text/plain",
           ".npz": "application/zip", "": "text/plain"}  # fmt: skip
"""Media types by suffix, for suffixes that the standard library does not know on every system."""

log = logging.getLogger(__name__)


def export(suite: Suite, target: Path) -> None:
    """Write a suite as an RO-Crate: to a zip file if `target` ends in `.zip`, else to a new folder.

    Every file is read once for its checksum and copied once. `target` is written atomically.

    Raises:
        SteadyTuneError: the suite is not finished.
    """
    from rocrate.rocrate import ROCrate

    files = list(suite_files(suite))
    crate = ROCrate(version="1.1")
    _describe(crate, suite, files)
    if target.suffix == ".zip":
        with atomic_path(target) as temporary:
            crate.write_zip(temporary)
    else:
        with atomic_folder(target) as temporary:
            crate.write(temporary)
    log.info("wrote %s: %d files", target, len(files))


def _describe(crate: "ROCrate", suite: Suite, files: list[Path]) -> None:
    """Fill in the crate: the root, every file with its checksum, and the run that made them."""
    authors, places = _describe_root(crate, suite), places_of(suite, files)
    added = {path: crate.add_file(path, place, properties=_file(path)) for path, place in places.items()}
    sums = io.StringIO("".join(f"{sha256(path)}  {place}\n" for path, place in places.items()))
    crate.add_file(sums, CHECKSUMS, properties={"name": "SHA-256 of every file", "encodingFormat": "text/plain"})
    records = [read_json(path) for path in files if path.name == RECORD]
    program = {"@type": "SoftwareApplication", "name": "SteadyTune", "softwareVersion": _version(records)}
    inputs = inputs_of(suite)
    read = [*(added[path] for path in inputs if path in added), *(_entity(crate, *each) for each in _read(records))]
    crate.add_action(
        _entity(crate, "#steadytune", program),
        identifier="#run",
        object=read,
        result=[entity for path, entity in added.items() if path not in inputs],
        properties={"name": f"The suite {suite.name}", "description": _environment(records)}
        | ({"agent": authors} if authors else {}),
    )


def _describe_root(crate: "ROCrate", suite: Suite) -> Any:
    """Describe the crate as a whole: title, papers, and a project suite's licence and authors; return the authors."""
    citation = read_yaml(project_file(CITATION))
    crate.name = f"{suite.file.title}: results"
    crate.description = suite.file.description or f"The results of SteadyTune's suite {suite.name}."
    papers = [_entity(crate, f"#{_slug(work['title'])}", _work(work)) for work in citation.get("references", ())]
    if papers:
        crate.root_dataset["citation"] = _compact(papers)
    if not is_projects(suite):
        # RO-Crate requires a licence, but accepts free text.
        crate.license = "not stated: ask the authors of the study"
        return None
    licence = {"@type": "CreativeWork", "name": citation["license"]}
    crate.license = _entity(crate, f"https://spdx.org/licenses/{citation['license']}", licence)
    authors = _compact([_entity(crate, *_author(entry)) for entry in citation["authors"]])
    crate.root_dataset["author"] = authors
    return authors


def _entity(crate: "ROCrate", identifier: str, properties: dict[str, Any]) -> Any:
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, identifier, properties))


def _file(path: Path) -> dict[str, Any]:
    media = FORMATS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return {"name": path.name, "encodingFormat": media, "contentSize": str(path.stat().st_size)}


def _author(entry: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Identifier and properties of an author: a person, or an organisation, which has a single name."""
    if "name" in entry:
        return f"#{_slug(entry['name'])}", {"@type": "Organization", "name": entry["name"]}
    name = " ".join(filter(None, (entry.get("given-names"), entry.get("family-names"))))
    return entry.get("orcid") or f"#{_slug(name)}", {"@type": "Person", "name": name}


def _work(work: dict[str, Any]) -> dict[str, Any]:
    """A paper whose method the suites run."""
    notes = {"description": work["notes"]} if "notes" in work else {}
    return {"@type": "ScholarlyArticle", "name": work["title"], "datePublished": str(work["year"])} | notes


def _read(records: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Identifier and properties of every data set and encoder that a cell read; the crate does not contain them."""
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
    """The environments the cells ran in, as text: every value of each field."""
    values: dict[str, set[str]] = {}
    for key, value in (pair for record in records for pair in record["environment"].items()):
        values.setdefault(key, set()).add(str(value))
    return "; ".join(f"{key.replace('_', ' ')}: {', '.join(sorted(found))}" for key, found in values.items())


def _compact(values: list[Any]) -> Any:
    """RO-Crate's compact form: a single value is written without a list."""
    return values[0] if len(values) == 1 else values


def _slug(text: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())
