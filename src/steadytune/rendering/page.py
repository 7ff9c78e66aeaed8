"""The report's pieces, as HTML: what the notebook shows, cell by cell; empty where a suite has nothing to show."""

import base64
import html

from steadytune.rendering import style, summary
from steadytune.rendering.figures import FIGURES, draw
from steadytune.rendering.sections import ALWAYS, SECTIONS, placed
from steadytune.rendering.tables import make_table
from steadytune.rendering.web import scrollable, to_html
from steadytune.results.model import Results


def header(results: Results) -> str:
    """Title, and what ran."""
    suite, seeds = results.suite, len(results.seeds)
    sizes = ((len(results.encoders), "encoder"), (len(results.methods), "method"), (len(results.tasks), "task"))
    grid = ", ".join(f"{count} {word}{'s' if count > 1 else ''}" for count, word in (*sizes, (seeds, "seed")))
    cells = sum(map(len, results.cells.values()))
    parts = [f"<h1>{html.escape(suite.title or results.name)}</h1>"]
    parts.append(f'<p class="lead">Suite <code>{html.escape(results.name)}</code>: {grid}; {cells} cells.</p>')
    parts += [f"<p>{html.escape(text)}</p>" for text in (suite.description, *suite.notes) if text]
    names = (("Encoders", results.encoders), ("Methods", results.methods), ("Tasks", results.tasks))
    items = "".join(
        f"<li>{title}: {', '.join(f'<code>{html.escape(n)}</code>' for n in named)}</li>" for title, named in names
    )
    return "".join([*parts, f"<ul>{items}</ul>"])


def findings(results: Results) -> str:
    """The sentences of `summary`, as a list."""
    return f"<ul>{''.join(f'<li>{html.escape(sentence)}</li>' for sentence in summary.sentences(results))}</ul>"


def section(name: str, results: Results) -> str:
    """The tables and figures of a section: those that every report has, and those that the suite names."""
    return _show([item for item in SECTIONS[name] if item in ALWAYS or item in _named(results)], results)


def others(results: Results) -> str:
    """The tables and figures that the suite names and that have their place in no section."""
    return _show([item for item in _named(results) if not placed(item)], results)


def table(name: str, results: Results) -> str:
    """A table by name; empty where it has no row."""
    made = make_table(name, results)
    return to_html(made) if made.lines else ""


def figure(name: str, results: Results) -> str:
    """A figure by name, drawn twice: for a light page and for a dark one; empty where it would only say why it is."""
    drawn = [draw(name, results, page) for page in (style.LIGHT, style.DARK)]
    if not any(axes.axison for axes in drawn[0].axes):
        return ""
    light, dark = (_uri(style.to_svg(plot)) for plot in drawn)
    size = "wide" if drawn[0].get_figwidth() > style.COLUMN else "narrow"
    caption = html.escape(FIGURES[name].caption)
    title = html.escape(name.replace("-", " ").capitalize())
    # The browser picks by the page's colours and prints the light one.
    picture = f'<picture><source media="screen and (prefers-color-scheme: dark)" srcset="{dark}">'
    picture += f'<img class="{size}" src="{light}" alt="{title}. {caption}"></picture>'
    caption = f"<figcaption><b>{title}.</b> {caption}</figcaption>"
    return f'<figure class="plot" id="figure-{name}">{caption}{scrollable(title, picture)}</figure>'


def _named(results: Results) -> list[str]:
    """What the suite names, as `table main` or `figure seed-spread`."""
    return [*(f"table {name}" for name in results.suite.tables), *(f"figure {name}" for name in results.suite.figures)]


def _show(items: list[str], results: Results) -> str:
    makers = {"table": table, "figure": figure}
    return "".join(makers[kind](name, results) for kind, name in map(str.split, items))


def _uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
