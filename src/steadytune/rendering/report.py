"""The report: a notebook, executed, as one self-contained page; and every table and figure of a suite, written."""

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError
from steadytune.files import write_text
from steadytune.rendering.figures import draw
from steadytune.rendering.formats import write_table
from steadytune.rendering.style import write_figure
from steadytune.rendering.tables import make_table
from steadytune.rendering.web import page
from steadytune.results.description import Description
from steadytune.results.model import Results

NOTEBOOK = Path(__file__).resolve().parents[3] / "notebooks" / "report.ipynb"

PARAMETERS = """from pathlib import *
from steadytune.results.description import *

folder = {folder!r}
suite = {suite!r}"""

TIMEOUT_S = 600
"""For one cell of the notebook; the figures of a grid of thousands of cells take a minute."""

log = logging.getLogger(__name__)


def write_tables(results: Results, names: Iterable[str], folder: Path) -> list[Path]:
    """Write `folder`/<name>.csv, .tex, .md and .html for every table named.

    Raises:
        SteadyTuneError: no table has that name.
    """
    return [path for name in names for path in write_table(make_table(name, results), folder / name)]


def write_figures(results: Results, names: Iterable[str], folder: Path) -> list[Path]:
    """Write `folder`/<name>.pdf, .svg and .png for every figure named.

    Raises:
        SteadyTuneError: no figure has that name.
    """
    return [path for name in names for path in write_figure(draw(name, results), folder / name)]


def build_report(results_folder: Path, suite: Description, output: Path, notebook: Path = NOTEBOOK) -> None:
    """Execute `notebook` on a suite's results and write it to `output` as one self-contained HTML page.

    Args:
        results_folder: `results/<suite>`; commands in the report are given with this path.
        suite: the suite's description, see `load_results`.
        output: the page.
        notebook: its cell tagged `parameters` is replaced by one that sets `folder` and `suite`.

    Raises:
        SteadyTuneError: the notebook is absent, has no such cell, or one of its cells failed.
    """
    import nbformat
    from nbconvert import HTMLExporter

    if not notebook.is_file():
        raise SteadyTuneError(f"{notebook}: no such notebook")
    node = nbformat.read(notebook, as_version=4)
    tagged = [cell for cell in node.cells if "parameters" in cell.metadata.get("tags", ())]
    if len(tagged) != 1:
        raise SteadyTuneError(f"{notebook}: {len(tagged)} cells tagged 'parameters', expected one")
    tagged[0].source = PARAMETERS.format(folder=str(results_folder), suite=suite)
    _execute(node, notebook)
    node.cells = _without_empty_sections(node.cells)
    exporter = HTMLExporter(
        template_name="basic", exclude_input=True, exclude_output_prompt=True, exclude_anchor_links=True
    )
    body, _ = exporter.from_notebook_node(node)
    title = suite.title or suite.name
    write_text(output, page(title, _with_contents(body)))
    log.info("wrote %s", output)


def _execute(node: Any, notebook: Path) -> None:
    """Run every cell in a kernel of this very interpreter, with this very package, and nothing of the user's set-up."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    package = str(Path(__file__).resolve().parents[2])
    with tempfile.TemporaryDirectory() as private:
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        # A kernel specification installed elsewhere under the same name would start another interpreter.
        specifications = KernelSpecManager(kernel_dirs=[], ensure_native_kernel=True)
        # Sockets in a private folder, not TCP ports, which other users of the machine could connect to.
        manager = AsyncKernelManager(
            kernel_spec_manager=specifications, transport="ipc", connection_file=f"{private}/kernel.json"
        )
        client = NotebookClient(
            node,
            km=manager,
            timeout=TIMEOUT_S,
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(Path.cwd())}},
        )
        try:
            client.execute(
                cleanup_kc=True, env=os.environ | {"PYTHONPATH": path, "IPYTHONDIR": private, "MPLCONFIGDIR": private}
            )
        except CellExecutionError as error:
            reason = f"{error.ename}: {error.evalue}"
            raise SteadyTuneError(f"{notebook}: a cell failed with {reason} (interpreter {sys.executable})") from error


def _without_empty_sections(cells: list[Any]) -> list[Any]:
    """The cells but for those from a heading to the next one where the code between shows nothing.

    So the notebook holds every section's text, and a suite without transfer sets, say, has no section on them.
    """
    sections: list[list[Any]] = [[]]
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            sections.append([])
        sections[-1].append(cell)
    return [cell for section in sections if _shows_something(section) for cell in section]


def _shows_something(cells: list[Any]) -> bool:
    outputs = [cell.outputs for cell in cells if cell.cell_type == "code"]
    return not outputs or any(output.get("data", {}).get("text/html") != "" for shown in outputs for output in shown)


def _with_contents(body: str) -> str:
    """The body with a list of its sections before the first of them."""
    sections: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        anchor = re.sub(r"[^a-z0-9]+", "-", found[1].lower()).strip("-")
        sections[anchor] = found[1]
        return f'<h2 id="{anchor}">{found[1]}</h2>'

    body = re.sub(r"<h2>(.*?)</h2>", name, body)
    items = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title in sections.items())
    before, mark, after = body.partition("<h2 ")
    return f'{before}<nav class="contents" aria-label="Contents"><ul>{items}</ul></nav>{mark}{after}'
