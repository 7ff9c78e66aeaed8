"""Pretraining on text: whole-word masked language modelling and a pair objective, one cycle of the learning rate.

Everything random is a function of the seed and the step, so a run that was cut goes on from its checkpoint to the same
bits, on the same machine and versions. `minutes` trades that for an end on time: the schedule then follows the clock
where that is ahead of the tokens, and the log keeps the course that it took.
"""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from steadytune.cells.determinism import pick_device, set_determinism
from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.methods.base import Composition
from steadytune.pretraining.candidates import draw_candidates
from steadytune.pretraining.examples import RESTATED, Examples, Pieces
from steadytune.pretraining.export import export
from steadytune.pretraining.model import Shape, build_model, hidden_states, losses, masked_logits, pair_logits
from steadytune.pretraining.optimisers import Optimisers
from steadytune.pretraining.settings import Settings
from steadytune.pretraining.text import find_corpus, prepare
from steadytune.schema import check, read_yaml
from steadytune.streams import derive
from steadytune.suite.cell import canonical_digest
from steadytune.training.checkpoints import load_checkpoint, save_checkpoint
from steadytune.training.interruption import Interrupted, termination
from steadytune.training.precision import TYPES

log = logging.getLogger(__name__)

NO_METHOD = Composition(())
COLUMNS = (
    "step",
    "tokens",
    "progress",
    "seconds",
    "learning_rate",
    "masked_loss",
    "pair_loss",
    "held_out_loss",
    "held_out_accuracy",
    "held_out_pair_accuracy",
)
_CHECKED = 8
"""Batches of held-out text at every line of the log."""


def pretrain_text(config: Path, output: Path, minutes: float | None = None) -> None:
    """Train the encoder of a config file on its corpus and leave its folder at `output`, whole or not at all.

    What is needed to go on after a cut, and the tokenized corpus, lie in `.<output>.partial` beside it until then.

    Args:
        config: a file of `Settings`.
        output: a folder, replaced.
        minutes: end within so much time of training, over all runs together, even if tokens are left.

    Raises:
        SteadyTuneError: a wrong config file, or no such corpus.
    """
    settings = check(Settings, read_yaml(config), config)
    corpus = find_corpus(settings.corpus.file)
    if sha256(corpus) != settings.corpus.sha256:
        raise SteadyTuneError(f"{corpus}: not the file of SHA-256 {settings.corpus.sha256} that {config} names")
    device = pick_device()
    set_determinism("bitwise", settings.threads, device)
    work = output.with_name(f".{output.name}.partial")
    word_pieces = config.with_name(settings.word_pieces) if settings.word_pieces else None
    text, tokenizer = prepare(corpus, settings.vocabulary, settings.max_tokens, work / "corpus", word_pieces)
    numbers = tokenizer.get_vocab()
    vocabulary = sorted(numbers, key=numbers.__getitem__)
    pieces = Pieces.of(vocabulary)
    shape = Shape(settings.layers, settings.width, settings.heads, settings.feed_forward)
    model = build_model(shape, len(numbers), settings.max_tokens, settings.initializer_range, settings.seed)
    documents = len(text.documents) - 1 - settings.corpus.held_out
    if documents < 1:
        raise SteadyTuneError(f"{config}: corpus.held_out: {settings.corpus.held_out}: {corpus} has no more documents")
    train = Examples(text, pieces, seed=settings.seed, documents=slice(0, documents))
    held_out = Examples(text, pieces, seed=derive(settings.seed, "held-out"), documents=slice(documents, None))
    training = Training(model, train, held_out, settings, minutes, device)
    state = training.fit(work / "checkpoint.safetensors", canonical_digest(vocabulary))
    export(work, output, model, tokenizer, settings, COLUMNS, state)


class Training:
    """One encoder's training."""

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
        self.dtype = TYPES.get(settings.precision, torch.float32)
        self.losses = torch.compile(losses, dynamic=False) if settings.compile else losses

    def fit(self, checkpoint: Path, vocabulary: str) -> dict[str, Any]:
        """Train to the end, from the checkpoint if it is of the same settings and pieces; the record of the training.

        Args:
            checkpoint: its file.
            vocabulary: digest of the word pieces, of which the settings have the file's name at most.

        Raises:
            Interrupted: SIGTERM came; the checkpoint is written.
        """
        settings, fingerprint = self.settings, f"{self.settings.model_dump_json(exclude_none=True)} {vocabulary}"
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
        """How much of the schedule is over: by the tokens, or by the clock where that is ahead."""
        clock = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(step / self.settings.steps, clock))

    def _step(self, step: int, progress: float) -> tuple[float, float]:
        """One update; the losses before it."""
        settings, length = self.settings, self.settings.length(progress)
        batch = self.train.at(step, settings.tokens_per_step // length, length, settings.mask_rate)
        rng = np.random.Generator(np.random.Philox(derive(settings.seed, "candidates", step)))
        # A small corpus may have fewer pieces than were asked for.
        vocabulary = self.model.config.vocab_size
        among = draw_candidates(rng, batch.targets, vocabulary, min(settings.candidates, vocabulary))
        arrays = (batch.input_ids, batch.token_type_ids, batch.places, batch.judgements)
        arrays = self._tensors(*arrays, among.numbers, among.log_weights, among.targets)
        masked, pair = self.losses(self.model, *arrays, dtype=self.dtype)
        (masked + pair).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        # Half a step on, so that neither the first update nor the last has a rate of nought.
        self.optimisers.set_rate(settings.rate(min(1.0, progress + 0.5 / settings.steps)))
        self.optimisers.step()
        self.optimisers.zero_grad()
        return masked.item(), pair.item()

    def _log(self, state: dict[str, Any]) -> None:
        """Add a line to the curve and say it."""
        means = [sum(values) / len(values) for values in zip(*state["window"], strict=True)]
        state["window"] = []
        tokens, rate = state["step"] * self.settings.tokens_per_step, self.optimisers.rate
        line = [state["step"], tokens, state["progress"], state["seconds"], rate, *means, *self.check()]
        state["curve"].append(line)
        left = state["seconds"] * (1 - state["progress"]) / state["progress"]
        if self.minutes:
            left = min(left, self.minutes * 60 - state["seconds"])
        log.info(
            "%.1fM tokens: masked loss %.3f, pairs %.3f; held out: %.3f, %.1f %% of masked tokens and %.1f %% of pairs"
            " right; %.0f tokens/s; %.0f min left",
            tokens / 1e6, *means, line[-3], 100 * line[-2], 100 * line[-1], tokens / state["seconds"], left / 60,
        )  # fmt: skip

    @torch.no_grad()
    def check(self) -> tuple[float, float, float]:
        """Masked loss, share of masked tokens and share of pairs that are right, on the same held-out rows each time.

        Rows are of the first stretch's length, whose positions are trained from the start, with 15 % of the tokens
        masked as in BERT, whatever training masks; the first two leave restatements out.
        """
        length = self.settings.length(0)
        loss, right, asked, right_pairs, pairs = 0.0, 0, 0, 0, 0
        for number in range(_CHECKED):
            batch = self.held_out.at(number, 64, length, 0.15)
            ids, types, places, targets, judgements = self._tensors(
                batch.input_ids, batch.token_type_ids, batch.places, batch.targets, batch.judgements
            )
            hidden = hidden_states(self.model, ids, types, self.dtype)
            # Copying from the other segment is no measure of language.
            fair = judgements[places // length] != RESTATED
            logits, targets = masked_logits(self.model, hidden, places[fair]), targets[fair]
            loss += nn.functional.cross_entropy(logits, targets, reduction="sum").item()
            right += int((logits.argmax(-1) == targets).sum())
            asked += len(targets)
            right_pairs += int((pair_logits(self.model, hidden).argmax(-1) == judgements).sum())
            pairs += int((judgements >= 0).sum())
        return loss / asked, right / asked, right_pairs / pairs

    def _tensors(self, *arrays: np.ndarray) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(array).to(self.device) for array in arrays)
