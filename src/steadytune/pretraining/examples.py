"""Batches for pretraining on text: each a function of the text, the seed and the step, so that resuming needs no state.

Every row is full: [CLS] a [SEP] b [SEP], or [CLS] a [SEP], of exactly the asked length, so that no token is padding and
attention needs no mask. What b is to a is the pair objective:

- NEXT: b goes on where a ends (Devlin et al. 2019).
- OTHER: b is from somewhere else in the corpus (their second class).
- SWAPPED: b comes before a in the text (Lan et al. 2020).
- RESTATED: b repeats a with some tokens left out, then goes on. Masked tokens of one segment stand unmasked in the
  other, so that looking across segments pays from the first steps (ours).
"""

from dataclasses import dataclass

import numpy as np

from steadytune.errors import SteadyTuneError
from steadytune.pretraining.text import Text
from steadytune.pretraining.tokenizer import SPECIAL_TOKENS
from steadytune.streams import derive

NEXT, OTHER, SWAPPED, RESTATED = range(4)
SINGLE = -100
"""No second segment; cross_entropy's index of targets to ignore."""
KINDS = (NEXT, OTHER, SWAPPED, RESTATED, SINGLE)
SHARES = (0.4, 0.15, 0.15, 0.15, 0.15)
"""How often each of KINDS is drawn."""
_DROPPED = 0.3
"""Largest share of tokens that a restatement leaves out."""


@dataclass(frozen=True)
class Pieces:
    """What masking needs to know of a vocabulary: the numbers of special tokens, and which pieces go on with a word."""

    cls: int
    sep: int
    mask: int
    first: int
    """The first number that is no special token's."""
    later: np.ndarray
    """(vocabulary,) bool: the piece is not a word's first."""

    @classmethod
    def of(cls, vocabulary: list[str]) -> "Pieces":
        """Those of a vocabulary whose special tokens come first."""
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
    """(masked,): positions to predict, counted over the flattened rows, ascending."""
    targets: np.ndarray
    """(masked,): the tokens that stood there."""
    judgements: np.ndarray
    """(rows,): of KINDS."""


class Examples:
    """Draws the rows of any step from a text or a part of its documents."""

    def __init__(self, text: Text, pieces: Pieces, *, seed: int, documents: slice = slice(None)) -> None:
        """Rows come from `documents` alone."""
        self.text, self.pieces, self.seed = text, pieces, seed
        numbers = range(*documents.indices(len(text.documents) - 1))
        first, last = text.documents[numbers.start], text.documents[numbers.stop]
        self.starts = text.sentences[first:last]
        ends = text.sentences[text.documents[numbers.start + 1 : numbers.stop + 1]]
        self.room = np.repeat(ends, np.diff(text.documents[numbers.start : numbers.stop + 1])) - self.starts
        self._fitting: dict[int, np.ndarray] = {}

    def at(self, step: int, rows: int, length: int, mask_rate: float) -> Batch:
        """The batch of step `step`: `rows` of `length` tokens, of which a share of `mask_rate` is to be predicted."""
        rng = np.random.Generator(np.random.Philox(derive(self.seed, "examples", step)))
        kinds = rng.choice(KINDS, rows, p=SHARES)
        index, cut = self._layout(rng, kinds, length)
        columns = np.arange(length)
        ids = self.text.tokens[index].astype(np.int64)
        ids[:, 0], ids[:, -1] = self.pieces.cls, self.pieces.sep
        ids[np.arange(rows), cut + 1] = self.pieces.sep
        types = (columns > cut[:, None] + 1).astype(np.int64)
        places = self._choose(rng, ids, round(mask_rate * ids.size))
        targets = ids.reshape(-1)[places]
        ids.reshape(-1)[places] = self._cover(rng, targets)
        return Batch(ids, types, places, targets, kinds)

    def starts_with_room(self, tokens: int) -> np.ndarray:
        """Sentence starts after which the document has `tokens` more tokens.

        Raises:
            SteadyTuneError: there is none.
        """
        if tokens not in self._fitting:
            self._fitting[tokens] = self.starts[self.room >= tokens]
            if not len(self._fitting[tokens]):
                raise SteadyTuneError(f"the corpus: no document, or none that is held out, has {tokens} tokens")
        return self._fitting[tokens]

    def _layout(self, rng: np.random.Generator, kinds: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Where in the text the token of each (row, column) stands, and (rows,) how many tokens segment a has."""
        rows, content = len(kinds), length - 3
        starts = self.starts_with_room(length - 2)
        window, elsewhere = (starts[rng.integers(len(starts), size=rows)] for _ in range(2))
        wish = rng.uniform(0.25, 0.75, rows) * content
        sentences = self.text.sentences
        cut = sentences[np.searchsorted(sentences, window + wish.astype(np.int64), "right") - 1] - window
        # A sentence that is too long to end within the first segment is cut where the wish is.
        cut = np.where(cut < 0.15 * content, wish, cut).astype(np.int64)
        a, b = window.copy(), window + cut
        swapped = kinds == SWAPPED
        a[swapped], b[swapped] = b[swapped], a[swapped]
        cut[swapped] = content - cut[swapped]
        b[kinds == OTHER] = elsewhere[kinds == OTHER]
        cut[kinds == SINGLE] = length - 2
        column = np.arange(length)[None]
        inside = np.clip(column - cut[:, None] - 2, 0, None)
        for row in np.flatnonzero(kinds == RESTATED):
            dropped = rng.random(length) < rng.uniform(0, _DROPPED)
            dropped[cut[row] :] = False
            b[row], inside[row] = window[row], np.argsort(dropped, kind="stable")[inside[row]]
        first = np.clip(column - 1, 0, None)
        return np.where(column <= cut[:, None], a[:, None] + first, b[:, None] + inside), cut

    def _choose(self, rng: np.random.Generator, ids: np.ndarray, count: int) -> np.ndarray:
        """`count` positions of whole words, but for the last word, which may be cut; (count,) ascending."""
        lots = rng.random(ids.shape)
        lots[ids < self.pieces.first] = np.inf
        # Every piece of a word draws the lot of its first.
        first = np.maximum.accumulate(np.where(self.pieces.later[ids], 0, np.arange(ids.shape[1])), axis=1)
        lots = np.take_along_axis(lots, first, axis=1).reshape(-1)
        return np.sort(np.argpartition(lots, count)[:count])

    def _cover(self, rng: np.random.Generator, targets: np.ndarray) -> np.ndarray:
        """What stands at the positions to predict: 80 % [MASK], 10 % a random piece, 10 % the piece itself."""
        how = rng.random(len(targets))
        random = rng.integers(self.pieces.first, len(self.pieces.later), len(targets))
        return np.where(how < 0.8, self.pieces.mask, np.where(how < 0.9, random, targets))
