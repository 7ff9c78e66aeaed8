"""The report's pieces, as HTML: what the notebook shows, cell by cell."""

import base64
import html
import math
import shlex
from collections import Counter
from collections.abc import Iterable
from typing import Any

from steadytune.rendering import style, summary
from steadytune.rendering.figures import FIGURES, draw
from steadytune.rendering.results import Results
from steadytune.rendering.scores import Score, in_order
from steadytune.rendering.table import NOTHING, number
from steadytune.rendering.tables import make_table
from steadytune.rendering.web import to_html

TABLES_SHOWN = ("coverage", "main", "pretraining", "transfer", "variability")
FIGURES_SHOWN = ("seed-spread", "transfer", "variability", "learning-curves")
"""What has a section of its own in the report; other names of a suite come in one section at the end."""

CELL_COLUMNS = ("Status", "Score", "Seconds", "Run it again")

FEW_CELLS = 40
"""Up to so many cells their list stands open."""


def header(results: Results) -> str:
    """Title, and what ran."""
    suite, seeds = results.suite, len(results.seeds)
    sizes = ((len(results.encoders), "encoder"), (len(results.methods), "method"), (len(results.tasks), "task"))
    grid = ", ".join(f"{count} {word}{'s' if count > 1 else ''}" for count, word in (*sizes, (seeds, "seed")))
    cells = sum(map(len, results.cells.values()))
    parts = [f"<h1>{html.escape(suite.get('title') or results.name)}</h1>"]
    parts.append(f'<p class="lead">Suite <code>{html.escape(results.name)}</code>: {grid}; {cells} cells.</p>')
    parts += [f"<p>{html.escape(text)}</p>" for text in (suite.get("description"), *suite.get("notes", ())) if text]
    names = (("Encoders", results.encoders), ("Methods", results.methods), ("Tasks", results.tasks))
    items = "".join(
        f"<li>{title}: {', '.join(f'<code>{html.escape(n)}</code>' for n in named)}</li>" for title, named in names
    )
    return "".join([*parts, f"<ul>{items}</ul>"])


def findings(results: Results) -> str:
    """The sentences of `summary`, as a list."""
    return f"<ul>{''.join(f'<li>{html.escape(sentence)}</li>' for sentence in summary.sentences(results))}</ul>"


def table(name: str, results: Results) -> str:
    """A table by name."""
    return to_html(make_table(name, results))


def figure(name: str, results: Results) -> str:
    """A figure by name, drawn twice: for a light page and for a dark one."""
    drawn = [draw(name, results, page) for page in (style.LIGHT, style.DARK)]
    light, dark = (_uri(style.to_svg(plot)) for plot in drawn)
    size = "wide" if drawn[0].get_figwidth() > style.COLUMN else "narrow"
    caption = html.escape(FIGURES[name].caption)
    title = html.escape(name.replace("-", " ").capitalize())
    # The browser picks by the page's colours and prints the light one.
    picture = f'<picture><source media="screen and (prefers-color-scheme: dark)" srcset="{dark}">'
    picture += f'<img class="{size}" src="{light}" alt="{title}. {caption}"></picture>'
    caption = f"<figcaption><b>{title}.</b> {caption}</figcaption>"
    return f'<figure class="plot" id="figure-{name}">{caption}<div class="scroll" tabindex="0">{picture}</div></figure>'


def others(results: Results) -> str:
    """The tables and figures that the suite names and that have no section of their own."""
    tables = [name for name in results.suite.get("tables", ()) if name not in (*TABLES_SHOWN, "cells")]
    figures = [name for name in results.suite.get("figures", ()) if name not in FIGURES_SHOWN]
    shown = [table(name, results) for name in tables] + [figure(name, results) for name in figures]
    return "".join(["<h2>Further tables and figures</h2>", *shown]) if shown else ""


def cells(results: Results) -> str:
    """Every planned cell with its command: first those that did not end ok, then all by encoder and method."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    ends: dict[str, Counter[str]] = {}
    failures = []
    for (encoder, method, task), statuses in results.planned():
        group = f"{encoder} / {method}"
        score = results.score(encoder, method, task)
        for seed, status in statuses.items():
            row = _cell_row(results, (encoder, method, task, seed), status, score)
            groups.setdefault(group, []).append((html.escape(task), str(seed), *row))
            ends.setdefault(group, Counter())[status] += 1
            if status != "ok":
                failures.append((html.escape(group), html.escape(task), str(seed), *row))
    parts = []
    if failures:
        head = ("Encoder / method", "Task", "Seed", *CELL_COLUMNS)
        parts.append(f"<h3>Not ok</h3>{_listing(head, failures, 'llrlrrl')}<h3>All</h3>")
    unfold = " open" if sum(map(len, groups.values())) <= FEW_CELLS else ""
    for group, rows in groups.items():
        counts = ", ".join(f"{ends[group][s]} {s.replace('_', ' ')}" for s in in_order(ends[group]))
        body = _listing(("Task", "Seed", *CELL_COLUMNS), rows, "lrlrrl")
        title = f"<code>{html.escape(group)}</code>: {counts}"
        parts.append(f"<details{unfold}><summary>{title}</summary>{body}</details>")
    return "".join(parts)


def _cell_row(
    results: Results, cell: tuple[str, str, str, int], status: str, score: Score | None
) -> tuple[str, str, str, str]:
    """Status, score, seconds and command."""
    record = results.record(*cell)
    end = f'<span class="status-{status}">{status.replace("_", " ")}</span>'
    if (record.get("training") or {}).get("resumed"):
        end += " (resumed)"
    if record.get("reason"):
        end += f'<small class="reason">{html.escape(str(record["reason"]))}</small>'
    points = score.points.get(cell[3], math.nan) if score else math.nan
    again = f"<code>{html.escape(command(results, cell))}</code>"
    return end, number(points), number(results.seconds.get(cell, math.nan)), again


def command(results: Results, cell: tuple[str, str, str, int]) -> str:
    """The command that runs one cell again."""
    target = shlex.quote(f"{results.cell_path(*cell).as_posix()}/record.json")
    config = results.suite.get("configfile")
    option = f" --configfile {shlex.quote(str(config))}" if config else ""
    return f"snakemake --cores 1 --force{option} -- {target}"


def environment(results: Results) -> str:
    """Where the cells ran: one value where they agree, every value with its cells' number where they do not."""
    records = [record for record in _records(results) if record]
    keys = dict.fromkeys(key for record in records for key in record.get("environment", {}))
    rows = []
    for key in keys:
        values = Counter(_plain(record.get("environment", {}).get(key)) for record in records)
        text = "; ".join(
            f"{value} ({count} cells)" if len(values) > 1 else value for value, count in sorted(values.items())
        )
        rows.append((key.replace("_", " "), text))
    seconds = [value for value in results.seconds.values() if math.isfinite(value)]
    peaks: dict[str, int] = {}
    for record in records:
        for where, peak in record.get("memory", {}).items():
            peaks[where] = max(peak, peaks.get(where, 0))
    rows.append(("cells' time, summed", f"{number(sum(seconds) / 60)} minutes" if seconds else NOTHING))
    rows += [(f"peak memory, {where}", f"{number(peak / 2**20, 0)} MiB") for where, peak in sorted(peaks.items())]
    return _listing(("", "Value"), [tuple(map(html.escape, row)) for row in rows], "lw")


def inputs(results: Results) -> str:
    """Every data set and encoder that a cell read: where it came from and what pins it."""
    fields = ("kind", "key", "source", "revision", "pinned_by", "digest")
    found = {
        tuple(_plain(item.get(field)) for field in fields) for r in _records(results) for item in r.get("inputs", ())
    }
    rows = [tuple(map(html.escape, row)) for row in sorted(found)]
    return _listing(("Kind", "Key", "Source", "Revision", "Pinned by", "SHA-256"), rows, "llllll")


def _records(results: Results) -> list[dict[str, Any]]:
    """The records of every planned cell, an empty one where there is none."""
    return [results.record(*key, seed) for key, statuses in results.planned() for seed in statuses]


def _listing(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], align: str) -> str:
    """A table of HTML fragments; a letter for each column: left, right, or wide, which may wrap."""
    kinds = [{"l": "", "r": ' class="num"', "w": ' class="wide"'}[letter] for letter in align]

    def line(values: tuple[str, ...], tag: str) -> str:
        cells = (f"<{tag}{kind}>{value}</{tag}>" for kind, value in zip(kinds, values, strict=True))
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    table = f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _plain(value: Any) -> str:
    return NOTHING if value is None else str(value)


def _uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
