r"""A suite's numbers for running text: one `\newcommand` for each, so no number has to be typed by hand.

TeX allows only letters in names: `\miniMiniHypeNMiniRteMean` is the mean of hype-n with the encoder mini on mini-rte in
the suite mini. If a suite has one encoder, the name leaves it out. If two numbers would get the same name, only the
first has a macro.
"""

import re
from collections import Counter
from collections.abc import Iterator

from steadytune.claims.judged import VERDICTS, count_verdicts, judged_of
from steadytune.rendering.claims import effect_text
from steadytune.rendering.entries import plain_mean
from steadytune.rendering.latex import tex
from steadytune.rendering.table import number
from steadytune.results.model import Results
from steadytune.results.scores import Score
from steadytune.results.selection import select

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
SIGNS = {"+": " plus ", "@": " at ", ".": " point ", "*": " star "}
"""Signs that macro names spell out, besides a minus sign before a digit; every other sign only separates words."""


def to_macros(results: Results) -> str:
    """The content of the file `macros.tex`."""
    lines = [f"% Numbers of the suite {results.name}, in points unless named otherwise; -- if there is none yet."]
    seen: dict[str, str] = {}
    for words, value in (*_counts(results), *_scores(results), *_averages(results), *_verdicts(results)):
        name, spelled = macro_name(results.name, *words), " ".join(words)
        if name in seen:
            lines.append(rf"% Left out: '{spelled}' would be \{name}, which is '{seen[name]}'; rename one of them.")
            continue
        seen[name] = spelled
        lines.append(rf"\newcommand{{\{name}}}{{{tex(value)}}}")
    return "\n".join(lines) + "\n"


def macro_name(suite: str, *words: str) -> str:
    """A number's macro name: the suite's name, then the words, each capitalised and with its digits spelled out."""
    name = "".join(_capitals(word) for word in (suite, *words))
    return name[:1].lower() + name[1:]


def _capitals(word: str) -> str:
    text = re.sub(r"(?<=[e=,])-(?=\d)", " minus ", word)
    for sign, spoken in SIGNS.items():
        text = text.replace(sign, spoken)
    parts = re.findall(r"[A-Za-z]+|\d", text)
    return "".join(DIGITS[int(part)] if part.isdigit() else part[0].upper() + part[1:] for part in parts)


def _counts(results: Results) -> Iterator[tuple[tuple[str, ...], str]]:
    """Number of planned cells, in total and by outcome."""
    ends = Counter(status for statuses in results.cells.values() for status in statuses.values())
    yield ("cells", "planned"), str(ends.total())
    for status, count in sorted({"ok": 0, **ends}.items()):
        yield ("cells", *status.split("_")), str(count)


def _scores(results: Results) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every method's score on every task, and on every other set that it is evaluated on."""
    chosen = select(results, every=True)
    for (encoder, method, task, evaluation_set), score in chosen.scores.items():
        on = () if evaluation_set == task else ("on", evaluation_set)
        yield from _score((*_of(results, encoder), method, task, *on), score)


def _score(words: tuple[str, ...], score: Score) -> Iterator[tuple[tuple[str, ...], str]]:
    yield (*words, "mean"), number(score.mean)
    yield (*words, "std"), number(score.std)
    yield (*words, "seeds"), str(len(score.points))


def _averages(results: Results) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every method's mean over the tasks planned for all methods of the encoder, as in the table `main`."""
    chosen = select(results)
    for encoder in chosen.encoders:
        tasks = chosen.shared_tasks(encoder)
        for method in chosen.methods_of(encoder) if tasks and len(results.tasks) > 1 else ():
            means = [score.mean for task in tasks if (score := chosen.score(encoder, method, task))]
            average = plain_mean(means) if len(means) == len(tasks) else float("nan")
            yield (*_of(results, encoder), method, "average"), number(average)


def _verdicts(results: Results) -> Iterator[tuple[tuple[str, ...], str]]:
    """Number of claims by verdict, and the verdict and effect of each claim."""
    judged = judged_of(results)
    if not judged:
        return
    counts = count_verdicts(judged)
    yield ("claims", "judged"), str(len(judged))
    for verdict in VERDICTS:
        yield ("claims", *verdict.split()), str(counts.get(verdict, 0))
    for claim in judged:
        yield ("claim", claim.id, "verdict"), claim.verdict
        yield ("claim", claim.id, "effect"), effect_text(claim.finding, claim.unit)


def _of(results: Results, encoder: str) -> tuple[str, ...]:
    """The encoder's name, or nothing if it is the suite's only encoder."""
    return (encoder,) if len(results.encoders) > 1 else ()
