"""Texts from suite files and data appear literally in every table format, never interpreted as markup or formulas."""

import csv
import io
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from steadytune.rendering.formats import FORMATS, to_csv, to_markdown, to_tex
from steadytune.rendering.latex import to_document
from steadytune.rendering.table import Block, Entry, Table
from steadytune.rendering.web import to_page

FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=x", "\r=x", "\n=x", "x\r=1+1")
MARKUP = (
    "<script>alert(1)</script>", "</td></table><b>x</b>", "<!-- x", "&lt;b&gt;", "\" onload='x' \"",
    "# x", "  # x", "> x", "- x", "* x", "+ x", "1. x", "2) x", "---", "===", "    code", "```", "~~~",
    "a | b", "a\\|b", "x\\", "`x`", "*x* __y__ ~~z~~", "[x](http://x)", "![x](http://x)", "<http://x>", "$x^2$",
    "$$x$$", "a\nb", "a\r\n\r\nb", "a\\\\b", "\\input{/etc/passwd}", "\\end{tabular}", "100 % & #1_{x}", "}{",
    "~^", "[x]", "*",
)  # fmt: skip
TEXTS = FORMULAS + MARKUP


def table_of(text: str) -> Table:
    """A table with the text in every place."""
    best = Entry(text, spread="1.0", count="2/3", best=True)
    block = Block(((text, text), (text, best)), title=text, reference=((text, text),))
    return Table("t", text, text, (text, (text, text)), (block,), notes=(text, text))


class Shown(HTMLParser):
    """The tags of a page and the texts of its elements; the text of code elements is in `code`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.code: list[str] = []
        self.inside = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "code"
        if not self.inside:
            self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")], attrs

    def handle_comment(self, data):
        raise AssertionError(f"a comment hides {data!r}")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        (self.code if self.inside else self.texts).append(on_one_line(data))


def on_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("text", TEXTS)
def test_csv_fields_are_never_formulas(text):
    for made in (table_of(text), Table("t", "T", "", ("a",), (), data=({"name": text, "value": -1.5},))):
        fields = [field for line in csv.reader(io.StringIO(to_csv(made), newline="")) for field in line]
        assert not [field for field in fields if field != "-1.5" and field.startswith(("=", "+", "-", "@", "\t", "\r"))]
        unix = text.replace("\r\n", "\n").replace("\r", "\n")
        assert unix in [field.removeprefix("'") for field in fields]


@pytest.mark.parametrize("text", TEXTS)
def test_markdown_shows_every_text_literally(text):
    source = to_markdown(table_of(text))
    shown = Shown(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(source))
    assert shown.tags == {"p", "strong", "em", "table", "thead", "tbody", "tr", "th", "td", "br", "ul", "li"}
    # Two headings and the second line of one, the block's title, three rows of two, two notes.
    assert shown.texts.count(on_one_line(text)) + shown.code.count(text.strip("`")) >= 2 + 1 + 1 + 6 + 2


@pytest.mark.parametrize("text", TEXTS)
def test_html_page_shows_every_text_literally(text):
    plain, shown = Shown(to_page(table_of("x"))), Shown(to_page(table_of(text)))
    assert shown.tags == plain.tags
    assert shown.texts.count(on_one_line(text)) + shown.code.count(text.strip("`")) == plain.texts.count("x")


CODE = (
    "x", "a  b", "<script>alert(1)</script>", "</code></li><b>", "a | b", "\\", "$x$", "*x* [x](http://x)", "&lt;",
    "--stale",
)  # fmt: skip


@pytest.mark.parametrize("code", CODE)
def test_code_in_a_note_is_shown_as_code_and_the_rest_literally(code):
    notes = (f"`{code}` shows <i>", f"see \\`{code}`, ``{code}`` and `")
    made = replace(table_of("x"), notes=notes)
    for page in (to_page(made), MarkdownIt("commonmark", {"html": True}).render(to_markdown(made))):
        shown = Shown(page)
        assert shown.code == [on_one_line(code)] * 2
        assert {"shows <i>", "see \\", f", ``{on_one_line(code)}`` and `"} <= set(shown.texts)
        assert shown.tags.isdisjoint({"script", "i"})


def test_code_in_a_note_is_typewriter_in_latex():
    (line,) = [line for line in to_tex(replace(table_of("x"), notes=("see `a_b --c`.",))).splitlines() if "see" in line]
    assert line == r"see \texttt{a\_b --c}.\par"


@pytest.mark.parametrize("suffix", [".tex", ".md"])
@pytest.mark.parametrize("text", TEXTS)
def test_text_adds_no_lines_to_tex_or_markdown(text, suffix):
    assert len(FORMATS[suffix](table_of(text)).split("\n")) == len(FORMATS[suffix](table_of("x")).split("\n"))


@pytest.mark.usefixtures("pdflatex")
def test_latex_compiles_every_text_and_reads_no_other_file(tmp_path):
    (tmp_path / "tables").mkdir()
    for number, text in enumerate(TEXTS):
        (tmp_path / f"tables/{number}.tex").write_text(to_tex(table_of(text)))
    (tmp_path / "tables.tex").write_text(to_document(map(str, range(len(TEXTS)))))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="latin-1", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert f"({len(TEXTS)} pages" in done.stdout
    assert "passwd" not in done.stdout
