"""Pretraining of an encoder from a config file: masked language modelling and judging the next sentence.

Two objectives share each batch. Some examples are neighbouring sentences of one document with masked tokens
(Devlin et al. 2019). The others are unmasked: [CLS] says whether the second sentence is true, false or garbled,
given the first, which is what trains the pooler and the segment embeddings, as next-sentence prediction does in BERT.
The result is one folder in the hub's layout, bitwise the same for the same config, corpus, versions and machine.
"""

import json
import logging
import math
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from steadytune.cells.determinism import set_determinism
from steadytune.errors import SteadyTuneError
from steadytune.files import safetensors_errors, sha256, write_text
from steadytune.methods.base import Composition
from steadytune.pretraining.pretraining_data import GARBLED, Batch, Batches, Corpus, read_texts, tokenize
from steadytune.pretraining.tokenizer import build_tokenizer, build_vocabulary
from steadytune.schema import Checked, check, read_yaml
from steadytune.store.receipt import Receipt, measure_all, write_receipt
from steadytune.streams import derive
from steadytune.training.checkpoints import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from transformers import BertForPreTraining, PreTrainedTokenizerFast

log = logging.getLogger(__name__)

NO_METHOD = Composition(())
CURVE = ("step", "learning_rate", "masked_loss", "judgement_loss", "judgement_accuracy")


class Settings(Checked):
    """`config/encoders/<name>.yaml`."""

    model_config = ConfigDict(allow_inf_nan=False)

    corpus: str
    """Data set in the store, `<owner>/<name>/<config>`."""
    layers: PositiveInt
    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    dropout: float = Field(ge=0, lt=1)
    """What the encoder's config.json asks of fine-tuning; pretraining sees each example about once and has none."""
    initializer_range: PositiveFloat
    """Standard deviation of the initial weights; BERT's 0.02 suits a width of 768 and starts a narrow model slowly."""
    max_tokens: PositiveInt
    """Tokens of the longest input, special ones included."""
    vocabulary: int = Field(ge=77)
    """Largest number of word pieces, of which 77 are special tokens, letters and digits."""
    steps: PositiveInt
    masked: PositiveInt
    """Examples a step for masked language modelling."""
    judged: PositiveInt
    """Examples a step for judging the last sentence."""
    learning_rate: PositiveFloat
    warmup: float = Field(ge=0, lt=1)
    """Share of the steps with rising learning rate; then it falls along a cosine to nought."""
    weight_decay: float = Field(ge=0)
    clip: PositiveFloat
    """Largest norm of the gradient."""
    mask_rate: float = Field(gt=0, lt=1)
    """Share of the words of one sentence that are masked."""
    seed: int
    threads: PositiveInt
    """Threads of PyTorch: sums are ordered by it, so that another number gives other bits."""
    checkpoint_every: PositiveInt
    """Steps."""
    log_every: PositiveInt
    """Steps."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads}: expected a divisor of width, {self.width}")
        return self


def pretrain(config_path: Path, store: Path, output: Path) -> None:
    """Train the encoder of a config file on its corpus in `store` and leave its folder at `output`.

    A run that was killed continues from its last checkpoint, beside `output`, to the same bits. `output` appears whole.

    Raises:
        SteadyTuneError: a wrong config file, or no corpus in the store.
    """
    settings = check(Settings, read_yaml(config_path), config_path)
    started = time.monotonic()
    set_determinism("bitwise", settings.threads, "cpu")
    source = store / "datasets" / settings.corpus / "train-00000-of-00001.parquet"
    told, foils = read_texts(source)
    vocabulary = build_vocabulary((s for documents in (told, foils) for d in documents for s in d), settings.vocabulary)
    tokenizer = build_tokenizer(vocabulary, settings.max_tokens)
    corpus = tokenize(tokenizer, told, foils)
    if (longest := _longest_input(corpus)) > settings.max_tokens:
        raise SteadyTuneError(
            f"{config_path}: max_tokens: {settings.max_tokens}: expected at least {longest}, which {source} has"
        )
    batches = Batches(
        corpus,
        tokenizer,
        seed=settings.seed,
        masked=settings.masked,
        judged=settings.judged,
        mask_rate=settings.mask_rate,
    )
    model = build_model(settings, len(tokenizer))
    fingerprint = f"{json.dumps(settings.model_dump(), sort_keys=True)} {sha256(source)}"
    work = output.with_name(f".{output.name}.partial")
    progress = _fit(model, batches, settings, work / "checkpoint.safetensors", fingerprint)
    _write(work, output, model, tokenizer, settings, progress)
    # Not in the folder, whose files' hashes are part of the fingerprint of every cell that reads it.
    log.info("%s: pretrained in %.0f s", output, time.monotonic() - started)


def _longest_input(corpus: Corpus) -> int:
    """Tokens of the longest pair of neighbouring sentences, the second one true or false, with [CLS] and two [SEP]."""
    return 3 + max(
        len(told[i - 1]) + max(len(told[i]), len(foils[i]))
        for told, foils in zip(corpus.told, corpus.foils, strict=True)
        for i in range(1, len(told))
    )


def build_model(settings: Settings, vocabulary: int) -> "BertForPreTraining":
    """A BERT with pooler, masked-token head and a judgement head of three classes, drawn from the seed."""
    from transformers import BertConfig, BertForPreTraining

    torch.manual_seed(derive(settings.seed, "init"))
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.feed_forward,
        max_position_embeddings=settings.max_tokens,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=settings.initializer_range,
        pad_token_id=0,
    )
    model = BertForPreTraining(config)
    model.cls.seq_relationship = nn.Linear(settings.width, GARBLED + 1)
    return model


def _fit(model: nn.Module, batches: Batches, settings: Settings, checkpoint: Path, fingerprint: str) -> dict[str, Any]:
    """Train to the end, from the checkpoint if it is of the same settings and corpus; the training record."""
    optimizer = _optimizer(model, settings)
    progress = load_checkpoint(checkpoint, model, optimizer, NO_METHOD, fingerprint)
    progress = progress or {"fingerprint": fingerprint, "step": 0, "tokens": 0, "curve": [], "window": []}
    for step in range(progress["step"], settings.steps):
        rate = _learning_rate(step, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = batches.at(step)
        progress["window"].append(_step(model, optimizer, batch, settings))
        progress["step"] = step + 1
        progress["tokens"] += int(batch.attention_mask.sum())
        if (step + 1) % settings.log_every == 0 or step + 1 == settings.steps:
            means = [sum(values) / len(values) for values in zip(*progress["window"], strict=True)]
            progress["window"] = []
            progress["curve"].append([step + 1, rate, *means])
            log.info("step %d: masked loss %.3f, judgement loss %.3f, accuracy %.3f", step + 1, *means)
        if (step + 1) % settings.checkpoint_every == 0 and step + 1 < settings.steps:
            save_checkpoint(checkpoint, model, optimizer, NO_METHOD, progress)
    return progress


def _optimizer(model: nn.Module, settings: Settings) -> torch.optim.AdamW:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    rates = {"lr": settings.learning_rate, "betas": (0.9, 0.98), "weight_decay": settings.weight_decay}
    return torch.optim.AdamW(groups, **rates, fused=True)


def _learning_rate(step: int, settings: Settings) -> float:
    warmup = max(1, round(settings.warmup * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, settings.steps - warmup)))


def _step(model: Any, optimizer: torch.optim.Optimizer, batch: Batch, settings: Settings) -> tuple[float, float, float]:
    """One update; (masked loss, judgement loss, judgement accuracy) before it."""
    output = model.bert(
        input_ids=torch.from_numpy(batch.input_ids),
        token_type_ids=torch.from_numpy(batch.token_type_ids),
        attention_mask=torch.from_numpy(batch.attention_mask),
    )
    targets = torch.from_numpy(batch.targets)
    places = targets >= 0
    # Only the masked positions go through the output layer, which is as wide as the vocabulary.
    masked = functional.cross_entropy(model.cls.predictions(output.last_hidden_state[places]), targets[places])
    judged = model.cls.seq_relationship(output.pooler_output[batch.masked :])
    gold = torch.from_numpy(batch.judgements)
    judgement = functional.cross_entropy(judged, gold)
    optimizer.zero_grad()
    (masked + judgement).backward()
    nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    optimizer.step()
    return masked.item(), judgement.item(), (judged.argmax(-1) == gold).float().mean().item()


def _write(
    work: Path,
    output: Path,
    model: "BertForPreTraining",
    tokenizer: "PreTrainedTokenizerFast",
    settings: Settings,
    progress: dict[str, Any],
) -> None:
    """Fill a folder beside `output`, its receipt last, and move it there in one rename."""
    from safetensors.torch import save_file

    folder = work / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # The judgement head is no part of the encoder: fine-tuning draws its own.
    weights = {n: p.detach() for n, p in model.named_parameters() if not n.startswith("cls.seq_relationship")}
    with safetensors_errors(folder / "model.safetensors"):
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = settings.dropout
    model.config.architectures = ["BertForMaskedLM"]
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    curve = [
        ",".join(CURVE),
        *(f"{step},{','.join(f'{v:.6g}' for v in values)}" for step, *values in progress["curve"]),
    ]
    write_text(folder / "curve.csv", "\n".join(curve) + "\n")
    record = {
        "settings": settings.model_dump(),
        "parameters": sum(p.numel() for p in weights.values()),
        "tokens": progress["tokens"],
        "final": dict(zip(CURVE, progress["curve"][-1], strict=True)),
        "torch": torch.__version__,
    }
    write_text(folder / "pretraining.json", json.dumps(record, indent=2) + "\n")
    files = measure_all(folder, sorted(path.name for path in folder.iterdir()))
    write_receipt(folder, Receipt("pretrained", settings.corpus, None, "generated", files))
    shutil.rmtree(output, ignore_errors=True)
    folder.rename(output)
    shutil.rmtree(work)
