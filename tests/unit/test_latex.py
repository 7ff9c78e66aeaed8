"""Every table as LaTeX: the tables and the macros for running text compile into one document that fits its pages."""

import re
import subprocess
from dataclasses import replace

import pytest
from synthetic import Grid

from steadytune.rendering.formats import to_tex
from steadytune.rendering.latex import PACKAGES, to_document
from steadytune.rendering.macros import to_macros
from steadytune.rendering.report import write_tables
from steadytune.rendering.table import Block, Entry, Table
from steadytune.rendering.tables import TABLES
from steadytune.results.loading import load_results

AWKWARD = r"50 % & more_of #1 → 2 √ ν, a {set} of \ and ~ and ^ and $, [x] * a|b <1> \"±\" × – − ·"
SMALL = ("stsb", "cola", "mrpc", "rte")


def table(rows: int, columns: int, notes: int = 0) -> Table:
    headings = tuple(f"column {at}" for at in range(columns))
    block = Block(tuple(tuple("90.07 ± 0.67" for _ in headings) for _ in range(rows)))
    return Table("made", "Made", "By hand.", headings, (block,), notes=("A note of some length. " * 20,) * notes)


def test_table_floats_only_if_it_fits_a_page():
    assert r"\begin{longtable}" not in to_tex(table(rows=40, columns=3))
    assert r"\begin{longtable}" in to_tex(table(rows=60, columns=3))
    # Wrapped text and notes take up space too.
    long = Block((("a claim " * 30, "reproduced"),) * 15)
    assert r"\begin{longtable}" in to_tex(Table("claims", "Claims", "", ("Claim", "Verdict"), (long,), align="wl"))
    assert r"\begin{longtable}" in to_tex(table(rows=40, columns=3, notes=10))


def test_document_has_every_table_and_package():
    text = to_document(["main", "hype-table-1"])
    assert re.findall(r"\\input\{tables/(.+?)\.tex\}", text) == ["main", "hype-table-1"]
    assert all(rf"\usepackage{{{name}}}" in text for name in PACKAGES)


def test_characters_that_pdflatex_cannot_set_show_their_code_point():
    text = to_tex(Table("t", "T", "", ("Claim",), (Block((("数 \N{GREEK SMALL LETTER SIGMA} Ω é e\u0301 \0",),)),)))
    assert r"{[}U+6570] $\sigma$ $\Omega$ é é {[}U+0000]" in text


@pytest.mark.usefixtures("pdflatex")
def test_marks_and_large_ranges_of_unicode_compile(tmp_path):
    every = [chr(code) for code in (*range(0x20, 0x530), *range(0x1E00, 0x2C00)) if chr(code).isprintable()]
    rows = [("".join(every[start : start + 20]),) for start in range(0, len(every), 20)]
    entries = [(Entry("61.2", spread="3.0", count="2/3†", best=True),), (Entry("61.2", count="†"),)]
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/t.tex").write_text(to_tex(Table("t", "T", "", ("a",), (Block((*entries, *rows)),))))
    (tmp_path / "tables.tex").write_text(to_document(["t"]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "invalid in math mode" not in done.stdout


@pytest.mark.usefixtures("pdflatex")
@pytest.mark.parametrize("own", [0, 15], ids=["article", "class-with-space"])
def test_space_separates_a_caption_from_the_table_below_it(own, tmp_path):
    """From the caption's baseline to the top rule; a class that has space there gets no more."""
    text = to_tex(table(rows=2, columns=3)).replace("By hand.", r"By hand.\protect\pdfsavepos\protect\place{caption}")
    text = text.replace(r"\toprule", r"\noalign{\pdfsavepos\place{rule}}\toprule")
    place = r"\newcommand\place[1]{\write-1{#1 at \the\pdflastypos}}"
    source = (
        rf"\documentclass{{article}}\usepackage{{{','.join(PACKAGES)}}}{place}\setlength\belowcaptionskip{{{own}pt}}"
    )
    (tmp_path / "t.tex").write_text(rf"{source}\begin{{document}}{text}\end{{document}}")
    subprocess.run(["pdflatex", "-interaction=batchmode", "t.tex"], cwd=tmp_path, capture_output=True, check=True)
    places = dict(re.findall(r"^(caption|rule) at (\d+)", (tmp_path / "t.log").read_text(), re.MULTILINE))
    gap = (int(places["caption"]) - int(places["rule"])) / 65536
    # The descent of the caption's line is 2 to 4 points.
    assert max(own, 6) + 1 < gap < max(own, 6) + 6


@pytest.fixture
def folder(tmp_path):
    """Every registered table of a suite with the papers' names, long variants, failures and nine seeds."""
    methods = ("vanilla", "hype-n~lr=1e-05~sigma=1e-04", "hype-u", "r-drop", "hype-n+child-tuning-d", "lnsr")
    statuses = {("bert-large", method, "rte", 1): "diverged" for method in methods}
    statuses |= {("roberta-large", method, "cola", 3): "degenerate" for method in methods}
    grid = Grid(
        encoders=("bert-large", "roberta-large"),
        methods=methods,
        tasks=(*SMALL, "mnli@5k"),
        transfer={"mnli@5k": ("snli", "sick", "scitail", "qqp", "mnli-mm"), "rte": ("adv-rte",)},
        statuses=statuses,
        metrics={"stsb": "pearson_spearman", "cola": "matthews", "mrpc": "f1"},
        seeds=9,
    )
    folder = grid.write(tmp_path)
    named = {"vanilla": ["vanilla"], "hype-n": [methods[1]], **{name: [name] for name in methods[2:]}}
    results = load_results(folder, replace(grid.suite, named=named, notes=(AWKWARD,)))
    write_tables(results, TABLES, folder / "tables")
    (folder / "macros.tex").write_text(to_macros(results))
    return folder


@pytest.mark.usefixtures("pdflatex")
def test_all_tables_compile_into_one_document_that_fits_its_pages(folder):
    text = to_document(TABLES).replace(
        r"\begin{document}", "\\input{macros}\n\\begin{document}\nHyPe-U: \\demoBertLargeHypeURteMean.\\clearpage\n"
    )
    (folder / "tables.tex").write_text(text)
    # The widths of a longtable's columns are known in the second run.
    for _ in range(2):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / "tables.log").read_text(errors="replace")
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]
    assert max(wide, default=0) < 3, wide
    assert "Float too large" not in log
    assert "undefined" not in log
    pages = re.search(r"Output written on tables.pdf \((\d+) pages", log)
    assert pages and int(pages[1]) > len(TABLES)
