"""Training rows: each batch is a function of the corpus, the seed and the step, so resuming needs no state.

Every row of a batch has the same length, [CLS] a [SEP] b [SEP] or [CLS] a [SEP], so there is no padding and attention
needs no mask. Two classes fill the rows: `text_examples.TextExamples` and `sentences.SentenceExamples`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from steadytune.pretraining.tokenizer import SPECIAL_TOKENS
from steadytune.streams import derive

NOT_ASKED = -100
"""Marks a row without a judgement: the index that cross_entropy ignores."""


@dataclass(frozen=True)
class Text:
    """A tokenized corpus; sentences and documents are given by their starts."""

    tokens: np.ndarray
    """(tokens,) uint16, without special tokens."""
    sentences: np.ndarray
    """(sentences + 1,) int64: the first token of each sentence, and the number of tokens."""
    documents: np.ndarray
    """(documents + 1,) int64: the first sentence of each document, and the number of sentences."""


@dataclass(frozen=True)
class Pieces:
    """What masking needs to know about a vocabulary."""

    cls: int
    sep: int
    mask: int
    first: int
    """Number of the first piece that is not a special token."""
    later: np.ndarray
    """(vocabulary,) bool: the piece continues a word."""

    @classmethod
    def of(cls, vocabulary: list[str]) -> "Pieces":
        """Build from a vocabulary whose special tokens come first."""
        cls_, sep, mask = (vocabulary.index(token) for token in ("[CLS]", "[SEP]", "[MASK]"))
        return cls(cls_, sep, mask, len(SPECIAL_TOKENS), np.array([piece.startswith("##") for piece in vocabulary]))


@dataclass(frozen=True)
class Batch:
    """One step's arrays, all int64."""

    input_ids: np.ndarray
    """(rows, length)"""
    token_type_ids: np.ndarray
    """(rows, length): 1 in the second segment and the [SEP] after it."""
    places: np.ndarray
    """(masked,): positions in the flattened rows, ascending: the masked tokens, or the tokens before the next words."""
    targets: np.ndarray
    """(masked,): the original tokens at these positions, or the next words."""
    judgements: np.ndarray
    """(rows,): the class of each row, or NOT_ASKED."""


@dataclass(frozen=True)
class Layout:
    """The source of every token in a batch's rows."""

    index: np.ndarray
    """(rows, length): indices into `Text.tokens`; under a special token they may be out of range."""
    cut: np.ndarray
    """(rows,): number of tokens in the first segment; length - 2 if there is no second one."""
    judgements: np.ndarray
    """(rows,): as in `Batch`."""


class Examples(ABC):
    """Draws the rows of any step from some documents of a corpus."""

    classes: ClassVar[int]
    """Number of classes of the judgement."""

    def __init__(self, text: Text, pieces: Pieces, seed: int) -> None:
        self.text, self.pieces, self.seed = text, pieces, seed

    def at(self, step: int, tokens: int, length: int, mask_rate: float | None) -> Batch:
        """Return the batch of step `step`: at most `tokens` tokens, in rows of at most `length`.

        If `mask_rate` is None, nothing is masked: rows without a judgement are for predicting each next word.
        """
        rng = np.random.Generator(np.random.Philox(derive(self.seed, "examples", step)))
        layout = self._layout(rng, tokens, length)
        rows, cut = np.arange(len(layout.cut)), layout.cut
        ids = self.text.tokens.take(layout.index, mode="clip").astype(np.int64)
        ids[:, 0], ids[:, -1], ids[rows, cut + 1] = self.pieces.cls, self.pieces.sep, self.pieces.sep
        types = (np.arange(ids.shape[1]) > cut[:, None] + 1).astype(np.int64)
        if mask_rate is None:
            open_ = np.repeat((layout.judgements == NOT_ASKED)[:, None], ids.shape[1], axis=1)
            open_[:, -1] = False
            places = np.flatnonzero(open_)
            return Batch(ids, types, places, ids.reshape(-1)[places + 1], layout.judgements)
        places = self._choose(rng, ids, types, layout.judgements, mask_rate)
        targets = ids.reshape(-1)[places]
        ids.reshape(-1)[places] = self._cover(rng, targets)
        return Batch(ids, types, places, targets, layout.judgements)

    @abstractmethod
    def _layout(self, rng: np.random.Generator, tokens: int, length: int) -> Layout:
        """Draw the rows."""

    @abstractmethod
    def _choose(
        self, rng: np.random.Generator, ids: np.ndarray, types: np.ndarray, judgements: np.ndarray, mask_rate: float
    ) -> np.ndarray:
        """Return the positions to predict in the flattened rows, ascending."""

    def _cover(self, rng: np.random.Generator, targets: np.ndarray) -> np.ndarray:
        """Return the input at the positions to predict: 80 % [MASK], 10 % a random piece, 10 % the piece itself."""
        how = rng.random(len(targets))
        random = rng.integers(self.pieces.first, len(self.pieces.later), len(targets))
        return np.where(how < 0.8, self.pieces.mask, np.where(how < 0.9, random, targets))


def stretches(cut: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Each column's offset into segment a and into segment b, of shape (1, length) and (rows, length)."""
    column = np.arange(length)[None]
    return np.clip(column - 1, 0, None), np.clip(column - cut[:, None] - 2, 0, None)
