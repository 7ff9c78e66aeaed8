"""Tables and lists as HTML, and the self-contained page around them."""

import html
from collections.abc import Iterable
from pathlib import Path

from steadytune.rendering.table import Entry, Table, Value, heading


def to_html(table: Table) -> str:
    """The table as one `<figure>`, for a page that brings its own style sheet."""
    classes = {"l": "", "w": ' class="text"', "r": ' class="num"', "c": ' class="mid"'}
    align = [classes[letter] for letter in table.alignment]
    head = "".join(
        f'<th scope="col"{kind}>{html.escape(name)}{f"<small>{html.escape(sub)}</small>" if sub else ""}</th>'
        for kind, (name, sub) in zip(align, map(heading, table.columns), strict=True)
    )
    body = []
    for block in table.blocks:
        body.append("<tbody>")
        if block.title:
            title = html.escape(block.title)
            body.append(
                f'<tr class="block"><th scope="rowgroup" colspan="{len(table.columns)}"><span>{title}</span></th></tr>'
            )
        for line in (*block.rows, *block.reference):
            cells = "".join(
                f"<td{kind}>{_html_entry(value)}</td>" for kind, value in zip(align[1:], line[1:], strict=True)
            )
            reference = ' class="reference"' if line in block.reference else ""
            body.append(f'<tr{reference}><th scope="row">{_html_entry(line[0])}</th>{cells}</tr>')
        body.append("</tbody>")
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    parts = [f"<figcaption><b>{html.escape(table.lead)}</b> {html.escape(table.caption)}</figcaption>"]
    if table.blocks:
        lines = "\n".join(["<table>", f"<thead><tr>{head}</tr></thead>", *body, "</table>"])
        parts.append(scrollable(table.title, lines))
    if notes:
        parts.append(f'<ul class="notes">{notes}</ul>')
    return "\n".join([f'<figure class="table" id="table-{table.name}">', *parts, "</figure>"])


def listing(name: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]], align: str) -> str:
    """A table of HTML fragments, of which the first in each row names it.

    Args:
        name: what it lists, for those who do not see it.
        head: the columns' names.
        rows: as long as `head` each.
        align: a letter for each column: left, right, or wide, which may wrap.
    """
    kinds = [{"l": "", "r": ' class="num"', "w": ' class="wide"'}[letter] for letter in align]
    columns = "".join(f'<th scope="col"{kind}>{title}</th>' for kind, title in zip(kinds, head, strict=True))
    body = []
    for first, *values in rows:
        cells = (f"<td{kind}>{value}</td>" for kind, value in zip(kinds[1:], values, strict=True))
        body.append(f'<tr><th scope="row"{kinds[0]}>{first}</th>{"".join(cells)}</tr>')
    table = f"<table><thead><tr>{columns}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return scrollable(name, table)


def scrollable(name: str, content: str) -> str:
    """What may be wider than the page: it scrolls by itself, with the keyboard too."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(name)}">{content}</div>'


def code(text: str) -> str:
    """A name or a command, as typed."""
    return f"<code>{html.escape(text)}</code>"


def to_page(table: Table) -> str:
    """The table as a page of its own."""
    return page(table.title, to_html(table))


def page(title: str, body: str) -> str:
    """A self-contained HTML page around `body`."""
    style = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _html_entry(value: Value) -> str:
    if not isinstance(value, Entry):
        return html.escape(str(value))
    main = f"<b>{html.escape(value.main)}</b>" if value.best else html.escape(value.main)
    spread = f'<span class="spread"> ± {html.escape(value.spread)}</span>' if value.spread else ""
    return main + spread + (f'<span class="count"> {html.escape(value.count)}</span>' if value.count else "")
