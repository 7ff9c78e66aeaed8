"""The report: all its sections, every cell with its record, and nothing loaded from elsewhere."""

import base64
import csv
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from synthetic import Grid, write_claims

from steadytune.errors import SteadyTuneError
from steadytune.rendering import summary
from steadytune.rendering.provenance import cells, commands, gaps
from steadytune.rendering.report import NOTEBOOK, build_notebook, build_report
from steadytune.results.description import Description
from steadytune.results.loading import load_results

SECTIONS = [
    "In short",
    "Does it hold?",
    "Results",
    "Does pretraining help?",
    "Beyond the training task",
    "Learning curves",
    "Hidden-state variability",
    "Coverage",
    "Cost",
    "How to read the tables",
    "Environment",
    "Inputs",
    "Run it again",
]


def demo() -> Grid:
    """Two encoders, two methods (one of them a variant), a missing cell and a diverged one."""
    variant = "hype-n~lr=2e-05"
    statuses = {("mini", variant, "mini-rte", 0): "diverged", ("mini", variant, "mini-rte", 1): "missing"}
    return Grid(
        encoders=("mini", "mini-random"),
        methods=("vanilla", variant),
        methods_of={"mini-random": ("vanilla",)},
        transfer={"mini-rte": ("mini-hans",)},
        statuses=statuses,
        seeds=2,
    )


class Page(HTMLParser):
    """Collects a page's headings, table heads, identifiers and references."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.headings: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.heads: list[dict[str, str | None]] = []
        self.regions: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for kind, found in (("img", self.images), ("th", self.heads)):
            if tag == kind:
                found.append(dict(attrs))
        if ("class", "scroll") in attrs:
            self.regions.append(dict(attrs))
        for name, value in attrs:
            if name in ("src", "srcset", "href", "poster", "data", "action"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "h2" and data.strip():
            self.headings.append(data)


AWKWARD = '<script>alert(1)</script> & "two"\nlines'


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    """The report of the demo suite."""
    root, grid = tmp_path_factory.mktemp("report"), demo()
    suite = replace(grid.suite, tables=("main", "cells"), figures=("seed-spread",))
    suite = replace(suite, title=AWKWARD, description=AWKWARD, notes=("Handle with care.", AWKWARD))
    folder = grid.write(root)
    write_claims(folder)
    build_report(load_results(folder, suite), root / "report.html")
    return (root / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html) -> Page:
    """The report, parsed."""
    return Page(html)


def test_sections_are_listed_and_linked(page):
    assert page.headings == SECTIONS
    anchors = {reference[1:] for reference in page.references if reference.startswith("#")}
    assert len(anchors) == len(SECTIONS)
    assert anchors <= set(page.ids)


def test_empty_sections_are_left_out(tmp_path):
    grid = Grid(methods=("vanilla",), seeds=1)
    folder = grid.write(tmp_path)
    shutil.rmtree(folder / "variability")
    build_report(load_results(folder, replace(grid.suite, claims=False)), tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    absent = {"Does it hold?", "Does pretraining help?", "Beyond the training task", "Hidden-state variability"}
    assert page.headings == [name for name in SECTIONS if name not in absent]


def test_each_encoder_has_its_own_learning_curves(tmp_path):
    grid = Grid(encoders=("mini", "twin"), seeds=1)
    results = load_results(grid.write(tmp_path), replace(grid.suite, compared=grid.encoders))
    build_report(results, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for encoder in grid.encoders:
        assert len(re.findall(rf"<figcaption><b>Learning curves\.</b>[^<]* Encoder: {encoder}\.", text)) == 1


def test_report_before_the_verdicts_says_how_to_write_them(tmp_path):
    grid = Grid(seeds=1)
    build_report(load_results(grid.write(tmp_path), grid.suite), tmp_path / "report.html")
    section = (tmp_path / "report.html").read_text(encoding="utf-8").partition('<h2 id="claims">')[2]
    assert "<code>steadytune claims demo --write</code>" in section.partition("<h2")[0]


@pytest.mark.parametrize(("id", "shown"), [("figure_1", True), ("nothing-to-draw", False)])
def test_written_figures_are_embedded_unless_they_are_empty(tmp_path, id, shown):
    grid = Grid(methods=("vanilla",), seeds=1)
    results = load_results(grid.write(tmp_path), replace(grid.suite, figures=("learning-curves",)))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="504pt"><g id="{id}"/></svg>'.encode()
    (tmp_path / "learning-curves.svg").write_bytes(svg)
    build_report(results, tmp_path / "report.html", tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (base64.b64encode(svg).decode() in html) == shown


def test_claim_shows_verdict_effect_and_command(html, page):
    assert "2 claims" in html
    assert html.index("verdict-reproduced") < html.index("verdict-not-evaluated")
    assert {"claim-mini-gain", "claim-mini-later"} <= set(page.ids)
    text = re.sub(r"<[^>]+>", " ", html)
    judged = ("+2.4 [1.0, 3.8] points", "p 0.01; 0.03", "2 points (ours)", "+1.85 points")
    for said in (*judged, "after HyPe &lt;1&gt;", "inconclusive (median)", "3 unplanned", "steadytune run me"):
        assert said in text


def test_page_is_accessible(page):
    levels = [int(tag[1]) for tag in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(image["alt"] for image in page.images)
    assert {head.get("scope") for head in page.heads} == {"col", "row", "rowgroup"}
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in page.regions)
    assert page.tags.count("table") + len(page.images) == len(page.regions)


def test_page_loads_nothing_external(html, page):
    assert {"script", "link", "iframe", "object"}.isdisjoint(page.tags)
    assert all(reference.startswith(("#", "data:image/svg+xml;base64,")) for reference in page.references)
    assert "url(" not in html
    assert "@import" not in html


def test_every_figure_is_a_nonempty_svg(page):
    images = [reference for reference in page.references if reference.startswith("data:")]
    assert len(images) == page.tags.count("img") == 4
    drawn = [ElementTree.fromstring(base64.b64decode(image.partition("base64,")[2])) for image in images]
    assert {element.tag for element in drawn} == {"{http://www.w3.org/2000/svg}svg"}
    assert all(len(list(element.iter())) > 100 for element in drawn)


def test_suite_text_is_escaped(html):
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;two&#34;") >= 4


def test_notes_shared_by_tables_appear_once(html, page):
    for name in ("main", "pretraining", "transfer", "variability", "coverage"):
        assert f"table-{name}" in page.ids
    assert html.count("sample standard deviation (divisor n − 1)") == 1
    # Next to the suite's description, and under the heading that tables link to.
    assert html.count("Handle with care.") == 2
    assert html.count('href="#reading"') >= 4


def test_every_cell_shows_its_status_and_record(html):
    assert "steadytune run demo -- --force RECORD" in html
    assert len(set(re.findall(r"/cells/(\S+?)/record\.json", html))) == 6
    # Some shells expand an unquoted tilde to a home directory.
    assert re.search(r"&#39;[^<&]*/cells/mini/hype-n~lr=2e-05/mini-rte/seed-0/record\.json&#39;", html)
    assert "loss is NaN at step 7" in html
    assert "4 of 6 planned cells ended ok; 1 diverged, 1 missing." in html
    not_ok = html.partition("<h3>Cells that did not end ok")[2].partition("</table>")[0]
    assert re.findall(r"seed-\d(?=</th>)", not_ok) == ["seed-0", "seed-1"]


def test_summary_compares_methods_on_every_pretrained_encoder(tmp_path):
    gains = {"mini": 0.02, "other": -0.03, "mini-random": 0.2}
    values = {(encoder, method, "mini-rte", seed): 0.6 + gain * (method == "hype-n")
              for encoder, gain in gains.items() for method in ("vanilla", "hype-n") for seed in range(2)}  # fmt: skip
    grid = Grid(encoders=tuple(gains), methods=("vanilla", "hype-n"), tasks=("mini-rte",), seeds=2, values=values)
    found = summary.sentences(load_results(grid.write(tmp_path), grid.suite))
    compared = [sentence for sentence in found if "hype-n against vanilla" in sentence]
    assert [sentence.partition(", hype-n")[0] for sentence in compared] == ["With mini", "With other"]
    assert [re.search(r"(\S+) points on average", sentence)[1] for sentence in compared] == ["+2.0", "−3.0"]


def test_provenance_gaps_name_the_analysis_plans_of_the_cells():
    class Told:
        plans = ("aa", "bb", "aa", None)
        suite = Description(name="demo", analysis_plan="aa")

        def planned(self):
            return [(("mini", "vanilla", "mini-rte"), dict.fromkeys(range(4), "ok"))]

        def record(self, *cell):
            return {"status": "ok", "analysis_plan": self.plans[cell[-1]]}

    told = " ".join(gaps(Told()))
    assert "aa (2 cells); bb (1 cell); 1 cell ran without one." in told
    Told.suite = Description(name="demo", analysis_plan="cc")
    assert "1 cell ran without one; the document has changed since." in " ".join(gaps(Told()))
    Told.suite = Description(name="demo")
    assert "the suite no longer names a plan." in " ".join(gaps(Told()))
    Told.plans = (None,) * 4
    assert "analysis plan" not in " ".join(gaps(Told()))


def test_commands_name_the_suite(html):
    for line in ("steadytune run demo", "steadytune status demo",
                 "steadytune verify demo --sample 2", "steadytune claims demo"):  # fmt: skip
        assert f"<code>{line}</code>" in html


def test_report_of_a_recorded_suite_first_prepares_its_reader(tmp_path):
    grid = Grid(name="demo", seeds=1)
    results = load_results(grid.write(tmp_path), replace(grid.suite, recorded=True, argument="own/demo.yaml"))
    first = [line for _, line in commands(results)[:3]]
    pretrain = "steadytune run own/demo.yaml -- store/models/steadytune/mini/receipt.json"
    assert first == ["steadytune stage own/demo.yaml", pretrain, "steadytune record own/demo.yaml --restore"]
    assert "results/demo/cells/mini/vanilla/mini-rte/seed-0/record.json" in [
        row.record for group in cells(results) for row in group.rows
    ]


def test_environment_and_inputs_of_the_records_are_shown(html):
    for text in ("2.9.0+cpu", "0123456789abcdef0123456789abcdef01234567", "steadytune/mini/mini-rte", "ab" * 32):
        assert text in html


def test_summary_numbers_match_a_hand_computed_case(tmp_path):
    values = {("mini", "vanilla", "mini-rte", seed): value for seed, value in enumerate((0.60, 0.64))}
    values |= {("mini", "hype-n", "mini-rte", seed): value for seed, value in enumerate((0.625, 0.635))}
    grid = Grid(values=values, seeds=2)
    found = summary.sentences(load_results(grid.write(tmp_path), grid.suite))
    numbers = [re.findall(r"[+−]?\d+(?:\.\d+)?", sentence) for sentence in found]
    # Cells; points above the majority; tasks, points, pairs and deviations; seeds, and 1 / sqrt(2 (2 - 1)) in %.
    assert numbers == [["4"], ["10.0"], ["1", "1", "+1.0", "1", "2", "1", "1"], ["2", "2", "71"]]


def test_summary_omits_the_deviation_of_identical_runs(tmp_path):
    values = {("mini", "hype-n", "mini-rte", seed): 0.53 for seed in range(3)}
    (found,) = [
        sentence
        for sentence in summary.sentences(load_results(Grid(values=values).write(tmp_path), Grid().suite))
        if sentence.startswith("hype-n against vanilla")
    ]
    assert "deviation" not in found


def test_summary_of_an_unfinished_suite_compares_each_task_on_its_shared_seeds(tmp_path):
    tasks, scores = ("mini-rte", "mini-cola"), {}
    for seed in range(4):
        # hype-n is 1 point above on seeds 0 to 2, which both methods have, and 21 above on seed 3 of mini-rte: 6 and 1
        # on average.
        for task in tasks:
            scores["mini", "vanilla", task, seed] = 0.60 + 0.01 * seed
            scores["mini", "hype-n", task, seed] = 0.61 + 0.01 * seed + (0.20 if seed == 3 else 0)
    missing = {("mini", "vanilla", "mini-cola", 3): "missing", ("mini", "lnsr", "mini-cola", 0): "missing"}
    missing |= {("mini", "lnsr", task, seed): "missing" for task in tasks for seed in (1, 2, 3)}
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), tasks=tasks, seeds=4, values=scores, statuses=missing)
    found = summary.sentences(load_results(grid.write(tmp_path), grid.suite))
    (compared,) = [sentence for sentence in found if sentence.startswith("hype-n against vanilla")]
    assert re.findall(r"\d+ of \d+|[+−][\d.]+", compared) == ["2 of 2", "+3.5", "7 of 7", "0 of 2"]
    assert "(3 to 4 seeds a task)" in compared
    # Of four planned seeds, lnsr has one, which has no deviation, and vanilla three on one task: 1 / sqrt(2 * 2).
    assert re.findall(r"\d+", found[-1]) == ["1", "4", "3", "50"]


def test_summary_warns_if_half_of_an_evaluation_set_was_seen_in_training(tmp_path):
    counts = {"mini-rte": {"seen_in_training": 200}, "mini-cola": {"seen_in_training": 199}}
    grid = Grid(tasks=("mini-rte", "mini-cola"), counts=counts)
    found = [line for line in summary.sentences(load_results(grid.write(tmp_path), grid.suite)) if "has seen" in line]
    assert [re.findall(r"\d+ of \d+ examples of \S+", line) for line in found] == [["200 of 400 examples of mini-rte"]]


def test_summary_names_tasks_on_which_no_method_beats_the_majority(tmp_path):
    grid = Grid(seeds=1, values={("mini", m, "mini-rte", 0): 0.53 for m in ("vanilla", "hype-n")})
    found = summary.sentences(load_results(grid.write(tmp_path), grid.suite))
    assert "With mini, no method's mean is above the majority class on mini-rte." in found
    assert found[-1].startswith("One seed")


def test_committed_notebook_has_no_outputs():
    node = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(node)
    code = [cell for cell in node.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def write_notebook(path: Path, source: str, tags: list[str]) -> Path:
    """A notebook of one code cell tagged `tags` and one cell of `source`."""
    first = nbformat.v4.new_code_cell("", metadata={"tags": tags})
    nbformat.write(nbformat.v4.new_notebook(cells=[first, nbformat.v4.new_code_cell(source)]), path)
    return path


def test_notebook_that_fails_leaves_no_output(tmp_path):
    output, suite = tmp_path / "report.ipynb", Path("config/mini.yaml")
    with pytest.raises(SteadyTuneError, match=r"bad\.ipynb: .*ValueError: config/mini\.yaml"):
        build_notebook(suite, output, write_notebook(tmp_path / "bad.ipynb", "raise ValueError(suite)", ["parameters"]))
    with pytest.raises(SteadyTuneError, match="'parameters'"):
        build_notebook(suite, output, write_notebook(tmp_path / "bad.ipynb", "1", []))
    with pytest.raises(SteadyTuneError, match=r"absent\.ipynb"):
        build_notebook(suite, output, tmp_path / "absent.ipynb")
    assert not output.exists()


@pytest.mark.slow
def test_notebook_runs_and_shows_figures_and_tables(tmp_path, root, monkeypatch):
    """Run it on the mini suite's own file with synthetic results."""
    for name in ("config", "notebooks", "published"):
        (tmp_path / name).symlink_to(root / name)
    monkeypatch.chdir(tmp_path)
    Grid(name="mini", encoders=("mini", "mini-random")).write(tmp_path / "results")
    build_notebook(Path("config/mini.yaml"), tmp_path / "report.ipynb")
    shown = [kind for cell in nbformat.read(tmp_path / "report.ipynb", as_version=4).cells
             if cell.cell_type == "code" for output in cell.outputs for kind in output.get("data", {})]  # fmt: skip
    assert shown.count("image/svg+xml") == 1
    assert shown.count("text/html") == 3


def test_cells_of_a_large_suite_are_listed_in_a_csv_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("steadytune.rendering.page.MOST_CELLS", 5)
    grid = Grid(seeds=4)
    results = load_results(grid.write(tmp_path), grid.suite)
    build_report(results, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert 'href="cells.csv"' in page and "seed-3/record.json" not in page
    rows = list(csv.DictReader((tmp_path / "cells.csv").read_text().splitlines()))
    assert [(row["name"], row["status"]) for row in rows[:1]] == [("mini/vanilla/mini-rte/seed-0", "ok")]
    assert len(rows) == 8


def test_shortened_list_of_unfinished_cells_shows_their_number(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("steadytune.rendering.page.MOST_CELLS", 3)
    statuses = {("mini", "hype-n", "mini-rte", seed): "diverged" for seed in range(5)}
    grid = Grid(seeds=5, statuses=statuses)
    build_report(load_results(grid.write(tmp_path), grid.suite), tmp_path / "report.html")
    section = (tmp_path / "report.html").read_text().partition("Cells that did not end ok")[2]
    assert "<summary>5 of 10</summary>" in section
    assert "Only the first 3 are listed here" in section
    assert section.partition("</details>")[0].count('"status-diverged"') == 3
