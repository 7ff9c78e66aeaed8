"""Writes a suite's tables, figures, report and executed notebook, for the render stage."""

import logging
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.errors import SteadyTuneError
from steadytune.files import write_text
from steadytune.layout import project_file
from steadytune.rendering.figures import draw
from steadytune.rendering.formats import write_table
from steadytune.rendering.page import contents
from steadytune.rendering.provenance import cells_csv
from steadytune.rendering.style import write_figure
from steadytune.rendering.tables import make_table
from steadytune.rendering.web import fill
from steadytune.results.model import Results
from steadytune.source import SOURCE, first_on_path

if TYPE_CHECKING:
    from nbformat import NotebookNode

NOTEBOOK = Path("notebooks/report.ipynb")

TIMEOUT_S = 600
"""Limit for one notebook cell; the figures of a grid of thousands of cells take a minute."""

log = logging.getLogger(__name__)


def write_tables(results: Results, names: Iterable[str], folder: Path) -> list[Path]:
    """Write `folder`/<name>.csv, .tex, .md and .html for each table in `names`; return the paths.

    Raises:
        SteadyTuneError: no table has that name.
    """
    return [path for name in names for path in write_table(make_table(name, results), folder / name)]


def write_figures(results: Results, names: Iterable[str], folder: Path, processes: int = 1) -> list[Path]:
    """Write `folder`/<name>.pdf, .svg and .png for each figure in `names`; return the paths.

    Raises:
        SteadyTuneError: no figure has that name.
    """
    write = partial(_write_figure, results, folder)
    if processes == 1:
        return [path for name in names for path in write(name)]
    # Fork, so that the processes need not import the libraries again.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
        return [path for paths in pool.map(write, names) for path in paths]


def _write_figure(results: Results, folder: Path, name: str) -> list[Path]:
    return write_figure(draw(name, results), folder / name)


def build_report(results: Results, output: Path, drawn: Path | None = None) -> None:
    """Write the report on a suite's results to `output`: one self-contained HTML page.

    If there are too many cells for a page, their list is written next to it as csv.

    drawn: the folder of figures that are already written; the others are drawn.
    """
    content = contents(results, drawn)
    if content["cells_elsewhere"]:
        write_text(output.with_name(content["cells_elsewhere"]), cells_csv(content["cells"]))
    write_text(output, fill("report.html.j2", **content))
    log.info("wrote %s", output)


def build_notebook(suite: Path, output: Path, notebook: Path | None = None) -> None:
    """Execute `notebook` on a suite's results and write it, with its outputs, to `output`.

    Args:
        suite: the suite's file.
        output: the executed notebook.
        notebook: by default the project's; its cell tagged `parameters` is replaced by one that sets the suite's file.

    Raises:
        SteadyTuneError: the notebook does not exist, does not have exactly one such cell, or a cell fails.
    """
    import nbformat

    notebook = notebook or project_file(NOTEBOOK)
    if not notebook.is_file():
        raise SteadyTuneError(f"{notebook}: no such notebook")
    node = nbformat.read(notebook, as_version=4)
    tagged = [cell for cell in node.cells if "parameters" in cell.metadata.get("tags", ())]
    if len(tagged) != 1:
        raise SteadyTuneError(f"{notebook}: {len(tagged)} cells tagged 'parameters', expected one")
    tagged[0].source = f"suite = {str(suite)!r}"
    _execute(node, notebook)
    write_text(output, nbformat.writes(node))
    log.info("wrote %s", output)


def _execute(node: "NotebookNode", notebook: Path) -> None:
    """Run every cell with this interpreter and this copy of the package, ignoring the user's IPython configuration."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    with tempfile.TemporaryDirectory() as private:
        path = first_on_path(SOURCE, "PYTHONPATH")
        # An installed kernel specification of the same name would start another interpreter.
        specifications = KernelSpecManager(kernel_dirs=[], ensure_native_kernel=True)
        # Use sockets in a private folder: other users of the machine could connect to TCP ports.
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
