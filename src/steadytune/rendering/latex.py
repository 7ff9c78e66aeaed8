"""Tables as LaTeX: booktabs, scaled down if wider than the line, or longtable if longer than a page."""

import unicodedata
from collections.abc import Iterable
from math import ceil

from steadytune.rendering.table import Entry, Line, Table, Value, prose_and_code

PACKAGES = ("booktabs", "longtable", "graphicx")
PAGE = 52
"""Most rows of a float that fits on a page; a line of a note counts as a little less than a row."""
LETTERS = 105
"""Approximate number of letters in a line of the page."""
FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
"""Shrinks a box that is wider than the line."""
SKIP = r"\addvspace{\medskipamount}"
"""Separates a caption from the table below it: classes such as `article` put space only above captions."""

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    # At the start of a row, these would be parsed as an argument of the preceding \\.
    "[": "{[}",
    "*": "{*}",
    "−": "$-$",
    "∞": r"$\infty$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "×": r"$\times$",
    "–": "--",
    "·": r"$\cdot$",
    "→": r"$\to$",
    "√": r"$\surd$",
    # Unlike the command that pdflatex substitutes for the character, this also works in a formula.
    "†": r"\dag{}",
} | {character: f"\\{character}" for character in "_%&#$"}
_TEX |= {"{": r"\{", "}": r"\}"}
_GREEK = {
    0x391: r"A B \Gamma \Delta E Z H \Theta I K \Lambda M N \Xi O \Pi P",
    0x3A3: r"\Sigma T \Upsilon \Phi X \Psi \Omega",
    0x3B1: r"\alpha \beta \gamma \delta \varepsilon \zeta \eta \theta \iota \kappa \lambda \mu \nu \xi o \pi \rho "
    r"\varsigma \sigma \tau \upsilon \varphi \chi \psi \omega",
}
"""Runs of letters in Unicode order, keyed by the code point of the first."""
_TEX |= {chr(first + at): f"${name}$" for first, names in _GREEK.items() for at, name in enumerate(names.split())}
_PLAIN = frozenset(
    character
    for character in (*map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x17F))), *"\t\u2018\u2019“”—…‡•‰€™")
    if character not in "«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲų"
)
"""Characters that pdflatex typesets unescaped with only `PACKAGES` loaded."""


def to_document(names: Iterable[str]) -> str:
    """A document of the named tables, read from `tables/` next to it; longtable needs two runs of pdflatex."""
    inputs = [rf"\input{{tables/{name}.tex}}\clearpage" for name in names]
    packages = [rf"\usepackage{{{name}}}" for name in PACKAGES]
    start = [r"\documentclass[a4paper]{article}", r"\usepackage[margin=2cm]{geometry}", *packages]
    return "\n".join([*start, r"\begin{document}", *(inputs or ["No tables."]), r"\end{document}"]) + "\n"


def to_tex(table: Table) -> str:
    """A `table` no wider than the line, or a `longtable` if it does not fit a page; both need only `PACKAGES`."""
    lines = _long(table) if _height(table) > PAGE else _float(table)
    return "\n".join([rf"% needs the packages {', '.join(PACKAGES)}", *lines]) + "\n"


def _height(table: Table) -> float:
    """Approximate height of a table and its notes, in rows."""
    text = (table.caption, *table.notes)
    notes = sum(ceil(len(note) / (1.2 * LETTERS)) for note in text)
    return sum(_row_height(table, line) for line in table.lines) + len(table.blocks) + 0.85 * notes


def _row_height(table: Table, line: Line) -> int:
    """Height of a row in lines: that of its longest text. The text columns share half the line width."""
    letters = 0.5 * LETTERS / max(table.alignment.count("w"), 1)
    texts = [str(value) for value, letter in zip(line, table.alignment, strict=True) if letter == "w"]
    return max((ceil(len(text) / letters) for text in texts), default=1)


def _float(table: Table) -> list[str]:
    """A floating table, scaled down if it is wider than the line."""
    lines = [r"\begin{table}[tbp]", rf"\centering\small{_spacing(table, 4)}", _caption(table, SKIP), FIT + "{%"]
    lines += [rf"\begin{{tabular}}{_columns(table)}", *_head(table), *_body(table), r"\bottomrule", r"\end{tabular}}"]
    if table.notes:
        lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize\raggedright"]
        lines += [*_notes(table), r"\end{minipage}"]
    return [*lines, r"\end{table}"]


def _long(table: Table) -> list[str]:
    """A table over several pages, with its heading on each."""
    head = _head(table)
    size = r"\footnotesize" if len(table.columns) > 6 else r"\small"
    lines = [
        rf"\begingroup{size}{_spacing(table, 3)}",
        rf"\begin{{longtable}}{_columns(table)}",
        _caption(table) + r" \\",
    ]
    lines += [*head, r"\endfirsthead", *head, r"\endhead", r"\bottomrule", r"\endfoot", *_body(table)]
    return [*lines, r"\end{longtable}", r"\footnotesize\raggedright", *_notes(table), r"\endgroup"]


def _caption(table: Table, skip: str = "") -> str:
    """The caption; `skip` must come before the label, which would hide the space that a class puts below captions."""
    return rf"\caption{{\textbf{{{tex(table.lead)}}} {tex(table.caption)}}}{skip}\label{{tab:{table.name}}}"


def _notes(table: Table) -> list[str]:
    return [rf"{_note(note)}\par" for note in table.notes]


def _note(text: str) -> str:
    """A note with its code in typewriter type."""
    pieces = enumerate(prose_and_code(text))
    return "".join(rf"\texttt{{{_escaped(piece)}}}" if at % 2 else _escaped(piece) for at, piece in pieces)


def _spacing(table: Table, points: int) -> str:
    """Reduce the space between columns if there are many."""
    return rf"\setlength{{\tabcolsep}}{{{points}pt}}" if len(table.columns) > 6 else ""


def _columns(table: Table) -> str:
    """The column specification; text columns share half the line width."""
    text = rf"p{{{0.5 / max(table.alignment.count('w'), 1):.3g}\linewidth}}"
    return rf"{{@{{}}{table.alignment.replace('w', text)}@{{}}}}"


def tex(text: str) -> str:
    """Text on one line, with everything escaped that LaTeX would interpret as markup."""
    return _escaped(" ".join(text.splitlines()))


def _escaped(line: str) -> str:
    return "".join(map(_character, unicodedata.normalize("NFC", line)))


def _character(character: str) -> str:
    """A character for pdflatex; if it cannot typeset the character, its code point, as in `[U+4E2D]`."""
    unknown = f"{{[}}U+{ord(character):04X}]"
    return _TEX.get(character) or (character if character in _PLAIN else unknown)


def _head(table: Table) -> list[str]:
    """One or two heading rows between their rules."""
    headings = table.headings
    rows = [" & ".join(tex(name) for name, _ in headings) + r" \\"]
    if any(sub for _, sub in headings):
        rows.append(" & ".join(rf"{{\scriptsize {tex(sub)}}}" if sub else "" for _, sub in headings) + r" \\")
    return [r"\toprule", *rows, r"\midrule"]


def _body(table: Table) -> list[str]:
    """The rows of every block, with a rule or space between blocks."""
    lines = []
    for position, block in enumerate(table.blocks):
        if position:
            lines.append(r"\addlinespace" if block.title else r"\midrule")
        if block.title:
            lines.append(rf"\multicolumn{{{len(table.columns)}}}{{@{{}}l}}{{\textit{{{tex(block.title)}}}}} \\")
        lines += [_tex_row(line, table.alignment) for line in block.rows]
        lines += [" & ".join(rf"\textit{{{tex(str(value))}}}" for value in line) + r" \\" for line in block.reference]
    return lines


def _tex_row(line: Line, alignment: str) -> str:
    cells = [_tex_entry(value) for value in line]
    ragged = [rf"{{\raggedright {cell}\par}}" if a == "w" else cell for a, cell in zip(alignment, cells, strict=True)]
    return " & ".join(ragged) + r" \\"


def _tex_entry(value: Value) -> str:
    if not isinstance(value, Entry):
        return tex(str(value))
    main = rf"\textbf{{{tex(value.main)}}}" if value.best else tex(value.main)
    spread = rf" {{\scriptsize $\pm$ {tex(value.spread)}}}" if value.spread else ""
    return main + spread + (f"$^{{{tex(value.count)}}}$" if value.count else "")
