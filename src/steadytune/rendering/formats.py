"""Tables as csv, tex, md and html. Equal tables produce identical bytes."""

import csv
import io
import math
import re
from collections.abc import Iterable
from pathlib import Path

from steadytune.files import write_text
from steadytune.rendering.latex import to_tex
from steadytune.rendering.table import Entry, Table, Value, prose_and_code
from steadytune.rendering.web import to_page


def to_csv(table: Table) -> str:
    """The numbers behind the table to six significant digits; a field is empty if the number is not finite."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    if table.data:
        # Rows can have different fields, such as the phases that their cells reached.
        names = list(dict.fromkeys(name for row in table.data for name in row))
        writer.writerow(names)
        writer.writerows([csv_field(row.get(name, "")) for name in names] for row in table.data)
    else:
        writer.writerow([csv_field(" ".join(heading).strip()) for heading in table.headings])
        writer.writerows([csv_field(str(value)) for value in line] for line in table.lines)
    return output.getvalue()


def to_markdown(table: Table) -> str:
    """A GitHub-flavoured Markdown table with its caption above and its notes below."""
    width = len(table.columns)
    rule = {"l": ":--", "w": ":--", "r": "--:", "c": ":-:"}
    lines = [f"**{markdown(table.lead)}** {markdown(table.caption)}", ""]
    lines.append(_md_row(markdown(name) + (f"<br>{markdown(sub)}" if sub else "") for name, sub in table.headings))
    lines.append(_md_row(rule[letter] for letter in table.alignment))
    for block in table.blocks:
        if block.title:
            lines.append(_md_row([f"**{markdown(block.title)}**"] + [""] * (width - 1)))
        lines += [_md_row(_md_entry(value) for value in line) for line in block.rows]
        lines += [
            _md_row(f"*{markdown(str(value))}*" if str(value) else "" for value in line) for line in block.reference
        ]
    lines += ["", *(f"- {_md_note(note)}" for note in table.notes)]
    return "\n".join(lines).rstrip() + "\n"


FORMULA = ("=", "+", "-", "@", "\t", "\n")
NUMBER = re.compile(r"[+-]\d+(\.\d+)?")

FORMATS = {".csv": to_csv, ".tex": to_tex, ".md": to_markdown, ".html": to_page}
"""The function that formats a table, by file extension."""


def write_table(table: Table, stem: Path) -> list[Path]:
    """Write a table in every format; return the paths, `stem`.csv and so on."""
    paths = [stem.with_name(stem.name + suffix) for suffix in FORMATS]
    for path, text in zip(paths, FORMATS.values(), strict=True):
        write_text(path, text(table))
    return paths


def _md_entry(value: Value) -> str:
    if not isinstance(value, Entry) or not value.best:
        return markdown(str(value))
    rest = markdown(str(value).removeprefix(value.main))
    return f"**{markdown(value.main)}**{f' {rest}' if rest else ''}"


def markdown(text: str) -> str:
    """Text on one line, with everything escaped that GitHub would interpret as markup, HTML or a formula."""
    # Two tildes, as in a variant's name, would strike out the text between them.
    # Four leading spaces would make a note a code block; fewer would hide the start of a heading.
    return _md_escaped(" ".join(text.split()))


def _md_escaped(line: str) -> str:
    return re.sub(r"([\\`*_~|<$\[\]])", r"\\\1", line.replace("&", "&amp;"))


def _md_note(note: str) -> str:
    """The text of a list item, with its code as code; it cannot start a heading, quotation or list."""
    pieces = (f"`{piece}`" if at % 2 else _md_escaped(piece) for at, piece in enumerate(prose_and_code(note)))
    return re.sub(r"^(\d+(?=[.)] )|(?=[#>+=-]))", lambda found: f"{found[0]}\\", "".join(pieces))


def _md_row(values: Iterable[str]) -> str:
    return "| " + " | ".join(values) + " |"


def csv_field(value: object) -> object:
    """A csv field: floats with six significant digits, and text that no spreadsheet runs as a formula."""
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    if not isinstance(value, str):
        return value
    # csv.writer does not quote a field with a lone \r, which a reader would take for the end of the line.
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(FORMULA) and not NUMBER.fullmatch(text) else text
