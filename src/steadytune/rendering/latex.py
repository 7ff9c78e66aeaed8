"""A table as LaTeX: booktabs, and longtable for what fits no page."""

from steadytune.rendering.table import Entry, Line, Table, Value, heading

LONG_TABLE = 45
"""Rows above which the tex form becomes a longtable, because a float no longer fits a page."""

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    # A row that begins with one of these would be read as an argument of the \\ before it.
    "[": "{[}",
    "*": "{*}",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "ν": r"$\nu$",
    "–": "--",
    "·": r"$\cdot$",
} | {character: f"\\{character}" for character in "_%&#$"}
_TEX |= {"{": r"\{", "}": r"\}"}


def to_tex(table: Table) -> str:
    """A `table` (or, when long, a `longtable`) that needs booktabs (and longtable) and nothing else."""
    long = len(table.lines) > LONG_TABLE
    packages = r"\usepackage{booktabs,longtable}" if long else r"\usepackage{booktabs}"
    caption = rf"\caption{{\textbf{{{tex(table.lead)}}} {tex(table.caption)}}}\label{{tab:{table.name}}}"
    notes = [rf"{tex(note)}\par" for note in table.notes]
    head = [r"\toprule", *_tex_head(table), r"\midrule"]
    body = _tex_body(table)
    spacing = r"\setlength{\tabcolsep}{4pt}" if len(table.columns) > 6 else ""
    # The columns of text share half a line.
    text = rf"p{{{0.5 / max(table.alignment.count('w'), 1):.3g}\linewidth}}"
    columns = rf"{{@{{}}{table.alignment.replace('w', text)}@{{}}}}"
    if long:
        lines = [r"\begingroup\small" + spacing, rf"\begin{{longtable}}{columns}", caption + r" \\"]
        lines += [*head, r"\endfirsthead", *head, r"\endhead", r"\bottomrule", r"\endfoot", *body, r"\end{longtable}"]
        lines += [r"\footnotesize", *notes, r"\endgroup"]
    else:
        lines = [r"\begin{table}[tbp]", r"\centering\small" + spacing, caption, rf"\begin{{tabular}}{columns}"]
        lines += [*head, *body, r"\bottomrule", r"\end{tabular}"]
        if notes:
            lines += [
                r"\par\smallskip",
                r"\begin{minipage}{\linewidth}\footnotesize\raggedright",
                *notes,
                r"\end{minipage}",
            ]
        lines += [r"\end{table}"]
    return "\n".join([f"% {packages}", *lines]) + "\n"


def tex(text: str) -> str:
    """Text with everything that LaTeX would read as markup escaped."""
    return "".join(_TEX.get(character, character) for character in text)


def _tex_head(table: Table) -> list[str]:
    """One or two heading rows."""
    headings = [heading(column) for column in table.columns]
    rows = [" & ".join(tex(name) for name, _ in headings) + r" \\"]
    if any(sub for _, sub in headings):
        rows.append(" & ".join(rf"{{\scriptsize {tex(sub)}}}" if sub else "" for _, sub in headings) + r" \\")
    return rows


def _tex_body(table: Table) -> list[str]:
    """The rows of every block, rules between the blocks."""
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
