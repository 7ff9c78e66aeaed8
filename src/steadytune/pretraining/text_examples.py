"""Rows from plain text, each filled with one or two spans of documents.

The judgement is the relation of segment b to segment a:

- NEXT: b continues where a ends (Devlin et al. 2019).
- OTHER: b comes from somewhere else in the corpus (their second class).
- SWAPPED: b comes before a in the text (Lan et al. 2020).
- RESTATED: b repeats a with some tokens left out, then continues (ours). A token that is masked in one segment is often
  visible in the other, so attending across segments pays off from the first steps.
"""

import numpy as np

from steadytune.errors import SteadyTuneError
from steadytune.pretraining.examples import NOT_ASKED, Examples, Layout, Pieces, Text, stretches

NEXT, OTHER, SWAPPED, RESTATED = range(4)
KINDS = (NEXT, OTHER, SWAPPED, RESTATED, NOT_ASKED)
SHARES = (0.4, 0.15, 0.15, 0.15, 0.15)
"""How often each of KINDS is drawn; NOT_ASKED rows have no second segment."""
_DROPPED = 0.3
"""Maximum expected share of tokens that a restatement leaves out."""


class TextExamples(Examples):
    """Rows of exactly the requested length."""

    classes = RESTATED + 1

    def __init__(self, text: Text, pieces: Pieces, *, seed: int, documents: slice = slice(None)) -> None:
        super().__init__(text, pieces, seed)
        numbers = range(*documents.indices(len(text.documents) - 1))
        first, last = text.documents[numbers.start], text.documents[numbers.stop]
        self.starts = text.sentences[first:last]
        ends = text.sentences[text.documents[numbers.start + 1 : numbers.stop + 1]]
        self.room = np.repeat(ends, np.diff(text.documents[numbers.start : numbers.stop + 1])) - self.starts
        self._fitting: dict[int, np.ndarray] = {}

    def starts_with_room(self, tokens: int) -> np.ndarray:
        """Starts of sentences after which the document has at least `tokens` tokens.

        Raises:
            SteadyTuneError: there are none.
        """
        if tokens not in self._fitting:
            self._fitting[tokens] = self.starts[self.room >= tokens]
            if not len(self._fitting[tokens]):
                raise SteadyTuneError(f"the corpus: no document, or none that is held out, has {tokens} tokens")
        return self._fitting[tokens]

    def _layout(self, rng: np.random.Generator, tokens: int, length: int) -> Layout:
        rows, content = tokens // length, length - 3
        kinds = rng.choice(KINDS, rows, p=SHARES)
        starts = self.starts_with_room(length - 2)
        window, elsewhere = (starts[rng.integers(len(starts), size=rows)] for _ in range(2))
        wish = rng.uniform(0.25, 0.75, rows) * content
        sentences = self.text.sentences
        cut = sentences[np.searchsorted(sentences, window + wish.astype(np.int64), "right") - 1] - window
        # If the last sentence boundary before the drawn place is too early, cut at the drawn place.
        cut = np.where(cut < 0.15 * content, wish, cut).astype(np.int64)
        a, b = window.copy(), window + cut
        swapped = kinds == SWAPPED
        a[swapped], b[swapped] = b[swapped], a[swapped]
        cut[swapped] = content - cut[swapped]
        b[kinds == OTHER] = elsewhere[kinds == OTHER]
        cut[kinds == NOT_ASKED] = length - 2
        first, inside = stretches(cut, length)
        for row in np.flatnonzero(kinds == RESTATED):
            dropped = rng.random(length) < rng.uniform(0, _DROPPED)
            dropped[cut[row] :] = False
            b[row], inside[row] = window[row], np.argsort(dropped, kind="stable")[inside[row]]
        index = np.where(np.arange(length) <= cut[:, None], a[:, None] + first, b[:, None] + inside)
        return Layout(index, cut, kinds)

    def _choose(
        self, rng: np.random.Generator, ids: np.ndarray, types: np.ndarray, judgements: np.ndarray, mask_rate: float
    ) -> np.ndarray:
        """Choose a fixed number of positions: whole words, except that the last one may be cut."""
        count, lots = round(mask_rate * ids.size), rng.random(ids.shape)
        lots[ids < self.pieces.first] = np.inf
        # All pieces of a word share the random number of its first piece.
        first = np.maximum.accumulate(np.where(self.pieces.later[ids], 0, np.arange(ids.shape[1])), axis=1)
        lots = np.take_along_axis(lots, first, axis=1).reshape(-1)
        return np.sort(np.argpartition(lots, count)[:count])
