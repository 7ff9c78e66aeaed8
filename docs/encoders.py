"""Write the table of architectures and methods into docs/encoders.md, from trials on tiny encoders.

    python docs/encoders.py [--check]

Each cell of the table is tried: the method is prepared and takes one step, and the span head is built and run. Refusals
are in the method's own words. With `--check` nothing is written, and the exit status is 1 if the page differs.
"""

import math
import re
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForQuestionAnswering
from transformers.utils import logging

from steadytune.encoders.encoder import Encoder
from steadytune.errors import SteadyTuneError
from steadytune.trials.tiny import DECODERS, EVERY
from steadytune.trials.trial import Trial

PAGE = Path(__file__).with_suffix(".md")
FAMILIES = {
    "noise": ("hype-n", "neftune", "noisytune"),
    "smoothness": ("lnsr", "r3f", "r-drop", "smart", "freelb"),
    "towards the start": ("l2-sp", "prior-decay", "recadam", "mixout"),
    "steps": ("sam", "child-tuning-f", "child-tuning-d"),
    "layers": ("layer-tune", "top-k"),
    "adapters": ("lora", "houlsby", "bitfit"),
}
MARKS = re.compile(r"(<!-- table of architectures -->\n).*?(<!-- end of table -->)", re.DOTALL)


def tried(layout: str, method: str) -> str:
    """Why a method is refused on a layout; empty if it takes a step."""
    try:
        loss = Trial(method, layout=layout).stepper()(0)
    except SteadyTuneError as error:
        return str(error).replace(f"{EVERY[layout][0]} ", "it ", 1)
    assert math.isfinite(loss), f"{method} on {layout}"
    return ""


def spans(layout: str) -> str:
    """Why a layout has no span head; empty if it has one that runs."""
    kind, values = EVERY[layout]
    if kind in DECODERS:
        return "a decoder's tokens do not see what comes after them"
    try:
        config = AutoConfig.for_model(kind, **values)
        encoder = Encoder(AutoModelForQuestionAnswering.from_config(config).eval())
        ids = torch.tensor([[7, 8, 9]])
        assert encoder({"input_ids": ids, "attention_mask": torch.ones_like(ids)}).logits.shape == (1, 2, 3)
    except ValueError:
        return "transformers has no span head for it"
    return ""


def table() -> str:
    """The table and its notes, in Markdown."""
    notes: dict[str, int] = {}

    def marked(reasons: dict[str, str]) -> str:
        found = [f"{name} [{notes.setdefault(why, len(notes) + 1)}]" for name, why in reasons.items() if why]
        return f"not {', '.join(found)}" if found else "yes"

    lines = ["| Architecture | Head reads | Hidden dropout | " + " | ".join(FAMILIES) + " | Span head |"]
    lines.append("|" + " :-- |" * (len(FAMILIES) + 4))
    for layout in EVERY:
        encoder = Trial("vanilla", layout=layout).encoder
        reads = "last token" if encoder.sentence_token else "first token"
        keys = ", ".join(f"`{key}`" for key in encoder.architecture.hidden_dropout) or "none"
        cells = [marked({name: tried(layout, name) for name in names}) for names in FAMILIES.values()]
        lines.append(
            f"| {' | '.join([layout, reads, keys, *cells, marked({'': spans(layout)}).replace('not  ', 'no ')])} |"
        )
    listed = "; ".join(f"*{family}*: {', '.join(names)}" for family, names in FAMILIES.items())
    numbered = [f"{number}. {why}" for why, number in notes.items()]
    return "\n".join([*lines, "", f"Families: {listed}.", "", *numbered, ""])


def main() -> None:
    """Write the page, or check it."""
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    page = PAGE.read_text(encoding="utf-8")
    filled = MARKS.sub(lambda found: f"{found[1]}{table()}{found[2]}", page)
    if sys.argv[1:] == ["--check"]:
        sys.exit(filled != page)
    PAGE.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
