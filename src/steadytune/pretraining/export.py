"""A pretrained encoder as a folder in the hub's layout: float16 weights, tokenizer, model card, loss curve, receipt."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from steadytune.files import safetensors_errors, write_text
from steadytune.pretraining.settings import Settings
from steadytune.store.receipt import Receipt, measure_all, write_receipt

if TYPE_CHECKING:
    from transformers import BertForPreTraining, PreTrainedTokenizerFast

CURVE, RECORD, WEIGHTS = "curve.csv", "pretraining.json", "model.safetensors"


def export(
    work: Path,
    output: Path,
    model: "BertForPreTraining",
    tokenizer: "PreTrainedTokenizerFast",
    settings: Settings,
    columns: Sequence[str],
    state: dict[str, Any],
) -> None:
    """Fill a folder under `work`, its receipt last, move it to `output` in one rename, and clear `work` away.

    Args:
        work: a folder beside `output`.
        output: replaced.
        model: its pair head is left out, for fine-tuning draws its own.
        tokenizer: of the same vocabulary.
        settings: how it was trained.
        columns: names of the curve's columns.
        state: what the training ended with: `curve`, `step`, `seconds`, and the `minutes` that it was given, if any.
    """
    from safetensors.torch import save_file

    folder = work / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    weights = {
        name: parameter.detach().cpu().to(torch.float16)
        for name, parameter in model.named_parameters()
        if not name.startswith("cls.seq_relationship")
    }
    with safetensors_errors(folder / WEIGHTS):
        save_file(weights, folder / WEIGHTS, {"format": "pt"})
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = settings.dropout
    model.config.architectures = ["BertForMaskedLM"]
    model.config.dtype = "float16"
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    lines = [",".join(columns), *(",".join(f"{value:.8g}" for value in line) for line in state["curve"])]
    write_text(folder / CURVE, "\n".join(lines) + "\n")
    record = {
        "settings": settings.model_dump(mode="json"),
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "steps": state["step"],
        "tokens": state["step"] * settings.tokens_per_step,
        "seconds": round(state["seconds"], 1),
        "minutes": state["minutes"],
        "final": dict(zip(columns, state["curve"][-1], strict=True)),
        "torch": torch.__version__,
    }
    write_text(folder / RECORD, json.dumps(record, indent=2) + "\n")
    write_text(folder / "README.md", card(output.name, record))
    names = sorted(path.name for path in folder.iterdir() if path.suffix != ".md")
    files = measure_all(folder, names)
    write_receipt(folder, Receipt("pretrained", settings.corpus.file, None, "generated", files))
    shutil.rmtree(output, ignore_errors=True)
    folder.rename(output)
    shutil.rmtree(work)


def card(name: str, record: dict[str, Any]) -> str:
    """The model card, with the hub's header; every number is from the record."""
    settings, final = record["settings"], record["final"]
    corpus, longest = settings["corpus"], max(stretch["length"] for stretch in settings["stretches"])
    masked, pairs = (f"{100 * final[name]:.1f} %" for name in ("held_out_accuracy", "held_out_pair_accuracy"))
    read = f"{record['tokens'] / 1e6:,.0f} million tokens in {record['seconds'] / 60:,.0f} minutes"
    return f"""---
language: en
license: {corpus["licence"].lower().replace(" ", "-")}
library_name: transformers
pipeline_tag: fill-mask
---

# {name}

A lower-cased English BERT of {settings["layers"]} layers of width {settings["width"]}, {record["parameters"]:,}
parameters and {settings["vocabulary"]:,} word pieces, in float16. Made to study fine-tuning in seconds a run, not to be
good at anything.

- **Text**: {corpus["title"]} ({corpus["licence"]}), file `{corpus["file"]}`, SHA-256 `{corpus["sha256"]}`.
- **Objectives**: whole-word masked language modelling, and what a second segment is to the first: its continuation,
  another text, what came before it, or a restatement of it.
- **Training**: {record["steps"]:,} steps, {read}, rows of up to {longest} tokens. All settings
  stand in `{RECORD}`, the loss curve in `{CURVE}`.
- **At the end**, on {corpus["held_out"]} documents kept from training: masked loss {final["held_out_loss"]:.3f};
  {masked} of masked tokens and {pairs} of pairs right.
- **Limits**: one encyclopedia of one year; no case, few accents and little but English; inputs of at most
  {longest} tokens; whatever slant that text has.
"""
