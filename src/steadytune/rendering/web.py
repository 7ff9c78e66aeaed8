"""A table as HTML, and the self-contained page around it."""

import html
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
        scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(table.title)}">'
        parts += [f"{scroll}<table>", f"<thead><tr>{head}</tr></thead>", *body, "</table></div>"]
    if notes:
        parts.append(f'<ul class="notes">{notes}</ul>')
    return "\n".join([f'<figure class="table" id="table-{table.name}">', *parts, "</figure>"])


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
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _html_entry(value: Value) -> str:
    if not isinstance(value, Entry):
        return html.escape(str(value))
    main = f"<b>{html.escape(value.main)}</b>" if value.best else html.escape(value.main)
    spread = f'<span class="spread"> ± {html.escape(value.spread)}</span>' if value.spread else ""
    return main + spread + (f'<span class="count"> {html.escape(value.count)}</span>' if value.count else "")
