"""Pretraining of an encoder: predict words and judge pairs of segments, with a one-cycle learning rate.

Everything random is a function of the seed and the step, so an interrupted run resumes from its checkpoint to the same
bits, on the same machine and versions. `minutes` gives that up for an end on time: the schedule then follows the clock
if it is ahead of the tokens, and the curve records the schedule's actual course.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from steadytune.cells.determinism import pick_device, set_determinism
from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.layout import dataset_folder, partial_folder
from steadytune.methods.base import Composition
from steadytune.pretraining.candidates import draw_candidates
from steadytune.pretraining.examples import Examples, Pieces, Text
from steadytune.pretraining.export import export
from steadytune.pretraining.model import build_model, hidden_states, losses, masked_logits, pair_logits
from steadytune.pretraining.optimisers import Optimisers
from steadytune.pretraining.sentences import SentenceExamples, read_sentences
from steadytune.pretraining.settings import Settings
from steadytune.pretraining.text import find_corpus, prepare
from steadytune.pretraining.text_examples import RESTATED, TextExamples
from steadytune.safe_yaml import read_yaml
from steadytune.schema import check
from steadytune.store.inventory import pretraining_inputs
from steadytune.store.receipt import verify
from steadytune.streams import derive
from steadytune.suite.cell import canonical_digest
from steadytune.training.checkpoints import load_checkpoint, save_checkpoint
from steadytune.training.interruption import Interrupted, termination
from steadytune.training.precision import TYPES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)

NO_METHOD = Composition(())
COLUMNS = (
    "step",
    "tokens",
    "progress",
    "learning_rate",
    "masked_loss",
    "pair_loss",
    "held_out_loss",
    "held_out_accuracy",
    "held_out_pair_accuracy",
)
_CHECKED, _CHECKED_ROWS = 8, 64
"""Batches of held-out text for every line of the log, and rows per batch."""


def pretrain(config: Path, store: Path, output: Path, minutes: float | None = None) -> None:
    """Train the encoder of a config file on its corpus, and write its folder to `output` atomically.

    Until then `.<output>.partial` next to it holds the checkpoint and the tokenized text.

    Args:
        config: a file of `Settings`.
        store: holds the corpus if it is a generated one.
        output: the encoder's folder, replaced if it exists.
        minutes: limit on the training time, summed over all runs, even if tokens are left.

    Raises:
        SteadyTuneError: a wrong config file, or no such corpus.
    """
    settings = check(Settings, read_yaml(config), config)
    work, made_from = partial_folder(output), pretraining_inputs(config, store)
    corpus = _open_corpus(settings, config, store, work / "corpus")
    numbers = corpus.tokenizer.get_vocab()
    vocabulary = sorted(numbers, key=numbers.__getitem__)
    documents = len(corpus.text.documents) - 1 - settings.held_out
    if documents < 1:
        raise SteadyTuneError(f"{config}: held_out: {settings.held_out}: {corpus.file} has no more documents")
    device = pick_device()
    set_determinism("bitwise", settings.threads, device)
    pieces = Pieces.of(vocabulary)
    model = build_model(settings, len(vocabulary), corpus.kind.classes)
    train = corpus.kind(corpus.text, pieces, seed=settings.seed, documents=slice(0, documents))
    kept = derive(settings.seed, "held-out")
    held_out = corpus.kind(corpus.text, pieces, seed=kept, documents=slice(documents, None))
    training = Training(model, train, held_out, settings, minutes, device)
    state = training.fit(work / "checkpoint.safetensors", canonical_digest([vocabulary, sha256(corpus.file)]))
    export(work, output, model, corpus.tokenizer, settings, COLUMNS, state, made_from)
    # Log the time only: the hashes of the folder's files are part of the fingerprint of every cell that reads them.
    log.info("%s: pretrained in %.0f s", output, state["seconds"])


@dataclass(frozen=True)
class _Corpus:
    file: Path
    text: Text
    tokenizer: "PreTrainedTokenizerFast"
    kind: type[TextExamples | SentenceExamples]
    """The class that draws rows from it."""


def _open_corpus(settings: Settings, config: Path, store: Path, work: Path) -> _Corpus:
    """The tokenized corpus that `settings` names: generated and in the store, or a file, whose tokens `work` caches."""
    if isinstance(settings.corpus, str):
        folder = dataset_folder(store, settings.corpus)
        verify(folder)
        file = folder / "train-00000-of-00001.parquet"
        return _Corpus(file, *read_sentences(file, settings.vocabulary, settings.max_tokens), SentenceExamples)
    file = find_corpus(settings.corpus.file)
    if sha256(file) != settings.corpus.sha256:
        raise SteadyTuneError(f"{file}: not the file of SHA-256 {settings.corpus.sha256} that {config} names")
    word_pieces = config.parent / settings.word_pieces if settings.word_pieces else None
    text, tokenizer = prepare(file, settings.vocabulary, settings.max_tokens, work, word_pieces)
    return _Corpus(file, text, tokenizer, TextExamples)


class Training:
    """The training of one encoder."""

    def __init__(
        self,
        model: Any,
        train: Examples,
        held_out: Examples,
        settings: Settings,
        minutes: float | None = None,
        device: str = "cpu",
    ) -> None:
        self.model, self.device = model.to(device), device
        self.train, self.held_out, self.settings, self.minutes = train, held_out, settings, minutes
        self.optimisers: Any = Optimisers(model, settings)
        self.dtype = TYPES[settings.precision]
        self.losses = torch.compile(losses, dynamic=False) if settings.compile else losses

    def fit(self, checkpoint: Path, inputs: str) -> dict[str, Any]:
        """Train to the end, resuming from a checkpoint with the same settings and inputs; return the final state.

        Args:
            checkpoint: the checkpoint's file.
            inputs: digest of the corpus and the word pieces.

        Raises:
            Interrupted: SIGTERM arrived; the checkpoint has been written.
        """
        settings, fingerprint = self.settings, f"{self.settings.model_dump_json(exclude_none=True)} {inputs}"
        state = load_checkpoint(checkpoint, self.model, self.optimisers, NO_METHOD, fingerprint) or {
            "fingerprint": fingerprint, "step": 0, "seconds": 0.0, "progress": 0.0, "window": [], "curve": [],
        }  # fmt: skip
        started = time.monotonic() - state["seconds"]
        with termination() as asked:
            while state["progress"] < 1:
                state["window"].append(self._step(state["step"], state["progress"]))
                state["step"] += 1
                state["seconds"] = time.monotonic() - started
                state["progress"] = self._progress(state["step"], state["seconds"])
                done = state["progress"] == 1
                if state["step"] % settings.log_every == 0 or done:
                    self._log(state)
                if not done and (asked() or state["step"] % settings.checkpoint_every == 0):
                    save_checkpoint(checkpoint, self.model, self.optimisers, NO_METHOD, state)
                if not done and asked():
                    raise Interrupted
        return state | {"minutes": self.minutes}

    def _progress(self, step: int, seconds: float) -> float:
        """The share of the schedule that is done: by tokens, or by the clock if that is ahead."""
        clock = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(step / self.settings.steps, clock))

    def _step(self, step: int, progress: float) -> tuple[float, float]:
        """Make one update, and return the losses before it."""
        settings = self.settings
        batch = self.train.at(step, settings.tokens_per_step, settings.length(progress), self._rate(settings.mask_rate))
        rng = np.random.Generator(np.random.Philox(derive(settings.seed, "candidates", step)))
        # A small corpus may have fewer pieces than the settings allow.
        vocabulary = self.model.config.vocab_size
        among = draw_candidates(rng, batch.targets, vocabulary, min(settings.candidates, vocabulary))
        arrays = (batch.input_ids, batch.token_type_ids, batch.places, batch.judgements)
        arrays = self._tensors(*arrays, among.numbers, among.log_weights, among.targets)
        masked, pair = self.losses(self.model, *arrays, dtype=self.dtype)
        (masked + pair).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        # Take the rate in the middle of the step, so that neither the first nor the last update has a rate of zero.
        self.optimisers.set_rate(settings.rate(min(1.0, progress + 0.5 / settings.steps)))
        self.optimisers.step()
        self.optimisers.zero_grad()
        return masked.item(), pair.item()

    def _log(self, state: dict[str, Any]) -> None:
        """Add a line to the curve and log it."""
        means = [sum(values) / len(values) for values in zip(*state["window"], strict=True)]
        state["window"] = []
        tokens, rate = state["step"] * self.settings.tokens_per_step, self.optimisers.rate
        line = [state["step"], tokens, state["progress"], rate, *means, *self.check()]
        state["curve"].append(line)
        left = state["seconds"] * (1 - state["progress"]) / state["progress"]
        if self.minutes:
            left = min(left, self.minutes * 60 - state["seconds"])
        log.info(
            "%.1fM tokens: masked loss %.3f, pairs %.3f; held out: %.3f, %.1f %% of masked tokens and %.1f %% of pairs"
            " right; %.0f tokens/s; %.1f min left",
            tokens / 1e6, *means, line[-3], 100 * line[-2], 100 * line[-1], tokens / state["seconds"], left / 60,
        )  # fmt: skip

    @torch.no_grad()
    def check(self) -> tuple[float, float, float]:
        """Masked loss, accuracy on masked tokens and accuracy on pairs, on the same held-out rows each time.

        Rows have the first stretch's length, because its positions are trained from the start. As in BERT, 15 % of the
        tokens are masked, independently of the training's mask rate. Restatements do not count in the first two.
        """
        length = self.settings.length(0)
        loss, right, asked, right_pairs, pairs = 0.0, 0, 0, 0, 0
        for number in range(_CHECKED):
            batch = self.held_out.at(number, _CHECKED_ROWS * length, length, self._rate(0.15))
            ids, types, places, targets, judgements = self._tensors(
                batch.input_ids, batch.token_type_ids, batch.places, batch.targets, batch.judgements
            )
            hidden = hidden_states(self.model, ids, types, self.dtype)
            if isinstance(self.held_out, TextExamples):
                # Copying from the other segment does not measure language.
                fair = judgements[places // ids.shape[1]] != RESTATED
                places, targets = places[fair], targets[fair]
            logits = masked_logits(self.model, hidden, places)
            loss += nn.functional.cross_entropy(logits, targets, reduction="sum").item()
            right += int((logits.argmax(-1) == targets).sum())
            asked += len(targets)
            right_pairs += int((pair_logits(self.model, hidden).argmax(-1) == judgements).sum())
            pairs += int((judgements >= 0).sum())
        return loss / asked, right / asked, right_pairs / pairs

    def _rate(self, masked: float) -> float | None:
        """The share of masked tokens; None if the model predicts the next word."""
        return None if self.settings.architecture == "llama" else masked

    def _tensors(self, *arrays: np.ndarray) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(array).to(self.device) for array in arrays)
