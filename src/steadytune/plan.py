"""What a suite will run, and what methods there are: text for the terminal."""

import textwrap
from collections import Counter
from dataclasses import fields

from steadytune.layout import record_path
from steadytune.methods.base import bounds_of
from steadytune.methods.registry import composes, field_docs, methods, parse, passes
from steadytune.suite import Suite


def describe(suite: Suite) -> str:
    """The cells of a suite, a line for each encoder x method x task, and how many have a record."""
    seeds: dict[tuple[str, str, str], list[int]] = {}
    for cell in suite.cells:
        seeds.setdefault((cell.encoder, cell.method, cell.task), []).append(cell.seed)
    done = Counter((c.encoder, c.method, c.task) for c in suite.cells if record_path(suite, c).exists())
    widths = [max(len(names[i]) for names in seeds) for i in range(3)]
    lines = [f"{suite.name}: {suite.file.title}", ""]
    for names, numbers in seeds.items():
        columns = "  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True))
        lines.append(f"  {columns}  seeds {_ranges(numbers)}  ({done[names]}/{len(numbers)} recorded)")
    total = len(suite.cells)
    lines += ["", f"{total} cells, {total - done.total()} to run"]
    lines.append(f"data sets: {', '.join(suite.datasets())}")
    lines.append(f"encoders: {', '.join(suite.models())}")
    return "\n".join([*lines, *_shown({names: len(numbers) for names, numbers in seeds.items()})])


def describe_methods() -> str:
    """Every method: name, source, passes a step, what it does not compose with, and its settings."""
    lines = []
    for name, (cls, named) in methods().items():
        forward, backward = passes(parse(name)[0])
        lines.append(f"{name}: {cls.source}")
        lines.append(f"    {forward:g} forward and {backward:g} backward passes a step")
        refused = [other for other in methods() if other != name and not composes(name, other)]
        if refused:
            lines.append(f"    not with {', '.join(refused)}")
        for field in fields(cls.Settings):
            bounds = bounds_of(field)
            value = named.get(field.name, field.default)
            lines.append(f"    {field.name} = {'null' if value is None else value}{f' ({bounds})' if bounds else ''}")
            lines += textwrap.wrap(
                field_docs(cls.Settings).get(field.name, ""), 112, initial_indent=" " * 8, subsequent_indent=" " * 8
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def _shown(counts: dict[tuple[str, str, str], int]) -> list[str]:
    """What each number of seeds can show of two methods, on one task and on as many as a method has with it.

    counts: seeds by (encoder, method, task).
    """
    from steadytune.analysis.claims import ALPHA
    from steadytune.analysis.power import detectable_effect, detectable_ratio, smallest_p

    lines = ["", "what the seeds can show of two methods (p < 0.05, chance 80 %; sd: of a pair's difference):"]
    for seeds in sorted(set(counts.values())):
        tasks = max(Counter(names[:2] for names, count in counts.items() if count == seeds).values())
        for together in sorted({1, tasks}):
            effect = detectable_effect(1, seeds, together, ALPHA)
            least = f"differences from {effect:.2g} sd" if smallest_p(seeds, together) <= ALPHA else "no difference"
            ratio = detectable_ratio(seeds, together, ALPHA) if seeds > 2 else 0
            spread = f"ratios of deviations up to {ratio:.2g}" if ratio else "no difference in spread"
            place = f"{seeds} seed{'s' if seeds > 1 else ''}, {together} task{'s together' if together > 1 else ''}"
            lines.append(f"  {place}: p {smallest_p(seeds, together):.2g} at the least; {least}; {spread}")
    return lines


def _ranges(numbers: list[int]) -> str:
    """`0-4, 7` for 0, 1, 2, 3, 4, 7."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in spans)
