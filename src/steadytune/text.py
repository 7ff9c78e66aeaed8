"""Text helpers shared by commands, tables and figures."""

from collections.abc import Collection, Iterable, Sequence


def ranges(numbers: Iterable[int]) -> str:
    """Sorted whole numbers, with runs of three or more as ranges: `0, 1, 4–7`."""
    runs: list[list[int]] = []
    for i in sorted(numbers):
        if runs and i == runs[-1][-1] + 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def extent(numbers: Collection[int]) -> str:
    """The smallest and the largest of some numbers: `3 to 25`, or `3` if they are equal."""
    least, most = min(numbers), max(numbers)
    return f"{least}" if least == most else f"{least} to {most}"


def counted(count: float, noun: str, spec: str = "") -> str:
    """`1 cell`, `2 cells`, `0.5 points`; spec: how the number is formatted."""
    return f"{count:{spec}} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
