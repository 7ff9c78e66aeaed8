"""Check before a suite runs whether the processor supports the precision of its cells."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.text import counted
from steadytune.training.usage import processor_name

if TYPE_CHECKING:
    from steadytune.suite.cell import Cell
    from steadytune.suite.suite import Suite

INSTRUCTIONS = {
    "bf16": {"amx_bf16", "avx512_bf16", "bf16"},
    "fp16": {"amx_fp16", "avx512_fp16", "asimdhp"},
}
"""Linux's names for half-precision multiplication instructions, on x86 and on ARM."""
PROCESSOR = Path("/proc/cpuinfo")


def multiplies_in(precision: str) -> bool:
    """Whether the processor has instructions for multiplication in a precision; True if Linux does not say.

    torch knows this too (`torch.cpu.get_capabilities`), but importing torch takes longer than planning.
    """
    if precision not in INSTRUCTIONS or not PROCESSOR.is_file():
        return True
    lines = PROCESSOR.read_text(encoding="utf-8").splitlines()
    found = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
    return not found or bool(found & INSTRUCTIONS[precision])


def slow_precisions(suite: "Suite", cells: "Iterable[Cell]") -> list[str]:
    """A line for each precision of `cells` for which this machine's processor has no instructions."""
    found = Counter(suite.spec(cell).protocol.precision for cell in cells)
    return [
        f"{counted(count, 'cell')} with precision: {name}, for which {processor_name()} has no instructions: training "
        f"may take ten times as long as in fp32; set `protocol: {{precision: fp32}}` in {suite.path}"
        for name, count in found.items()
        if not multiplies_in(name)
    ]
