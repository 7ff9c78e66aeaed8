"""Rows from a generated corpus of short documents with foils: sentences that are false in a document's world.

Half of the rows have masked tokens and hold one sentence or two neighbouring ones. The others have no masked tokens:
[CLS] predicts whether the last sentence, given the one before it, is TRUE, FALSE or GARBLED. That trains the pooler and
the segment embeddings, as next-sentence prediction does in BERT.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steadytune.errors import SteadyTuneError
from steadytune.pretraining.examples import NOT_ASKED, Examples, Layout, Pieces, Text, stretches
from steadytune.pretraining.tokenizer import build_tokenizer, build_vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TRUE, FALSE, GARBLED = range(3)
# Each kind of row: its judgement, its share, and whether it has a single sentence. The last three kinds are garbled:
# two words swapped, one replaced by a random word of the corpus, one left out.
_JUDGEMENTS = np.array([NOT_ASKED, NOT_ASKED, TRUE, FALSE, TRUE, GARBLED, GARBLED, GARBLED])
_SHARES = np.array([0.4375, 0.0625, 0.22, 0.22, 0.03, 0.01, 0.01, 0.01])
_ALONE = np.array([False, True, False, False, True, True, True, True])
_FOIL, _EXCHANGED, _REPLACED, _SHORTENED = 3, 5, 6, 7


def read_sentences(path: Path, vocabulary: int, max_tokens: int) -> tuple[Text, "PreTrainedTokenizerFast"]:
    """Return the tokens and the tokenizer of a corpus file: parquet with columns text and foils, one sentence per line.

    In the result each sentence is followed by its foil, so the documents' own sentences have even numbers.

    Raises:
        SteadyTuneError: no such file, a document with fewer than two sentences or without a foil for each, or a pair
            that is too long.
    """
    import pyarrow.parquet as parquet

    if not path.is_file():
        raise SteadyTuneError(f"{path}: no such corpus; stage the suite first")
    table = parquet.read_table(path, columns=["text", "foils"]).to_pydict()
    told, foils = ([text.split("\n") for text in table[name]] for name in ("text", "foils"))
    if not told or any(len(a) != len(b) or len(a) < 2 for a, b in zip(told, foils, strict=True)):
        raise SteadyTuneError(f"{path}: every document needs two or more sentences and one foil for each")
    sentences = [s for document in zip(told, foils, strict=True) for pair in zip(*document, strict=True) for s in pair]
    tokenizer = build_tokenizer(build_vocabulary(sentences, vocabulary), max_tokens)
    ids = tokenizer(sentences, add_special_tokens=False)["input_ids"]
    text = Text(
        np.concatenate([np.asarray(part, np.uint16) for part in ids]),
        np.cumsum([0, *map(len, ids)]),
        np.cumsum([0, *(2 * len(document) for document in told)]),
    )
    if (longest := row_lengths(text, second_sentences(text, slice(None))).max()) > max_tokens:
        raise SteadyTuneError(f"length: {max_tokens}: expected at least {longest}, the longest pair in {path}")
    return text, tokenizer


def second_sentences(text: Text, documents: slice) -> np.ndarray:
    """Numbers of the sentences, not counting foils, that follow another sentence of their document."""
    starts = text.documents
    return np.concatenate(
        [np.arange(starts[i] + 2, starts[i + 1], 2) for i in range(*documents.indices(len(starts) - 1))]
    )


def row_lengths(text: Text, second: np.ndarray) -> np.ndarray:
    """Number of tokens in the row of each kind that ends with each sentence of `second`, (kinds, sentences)."""
    size = np.diff(text.sentences)
    pair, foil, alone = size[second - 2] + size[second] + 3, size[second - 2] + size[second + 1] + 3, size[second] + 2
    # A one-word sentence cannot lose a word: length 0 excludes it.
    shortened = np.where(alone > 3, alone - 1, 0)
    return np.stack([pair, alone, pair, foil, alone, alone, alone, shortened])


class SentenceExamples(Examples):
    """Rows of a single length per step, drawn so that over many steps all examples of a kind are equally likely."""

    classes = GARBLED + 1

    def __init__(self, text: Text, pieces: Pieces, *, seed: int, documents: slice = slice(None)) -> None:
        super().__init__(text, pieces, seed)
        self.second = second_sentences(text, documents)
        lengths = row_lengths(text, self.second)
        self.order = np.argsort(lengths, axis=1, kind="stable")
        counts = np.stack([np.bincount(row, minlength=lengths.max() + 1) for row in lengths])
        self.first = np.cumsum(counts, axis=1) - counts
        counts[:, :3] = 0
        self.counts, self.density = counts, counts * _SHARES[:, None]
        frequency = np.bincount(text.tokens, minlength=len(pieces.later))
        typical = frequency.sum() / np.count_nonzero(frequency)
        # Rare words carry meaning, so they are predicted more often.
        self.weights = np.clip(np.sqrt(typical / np.maximum(frequency, 1)), 0.4, 1.5)

    def _layout(self, rng: np.random.Generator, tokens: int, length: int) -> Layout:
        share = self.density.sum(axis=0) * np.arange(self.density.shape[1])
        share[length + 1 :] = 0
        length = int(rng.choice(len(share), p=share / share.sum()))
        rows, kind_share = max(1, tokens // length), self.density[:, length]
        kinds = rng.choice(len(kind_share), rows, p=kind_share / kind_share.sum())
        drawn = (rng.random(rows) * self.counts[kinds, length]).astype(np.int64)
        last = self.second[self.order[kinds, self.first[kinds, length] + drawn]]
        starts, alone = self.text.sentences, _ALONE[kinds]
        a, b = starts[np.where(alone, last, last - 2)], starts[last + (kinds == _FOIL)]
        cut = np.where(alone, length - 2, starts[last - 1] - starts[last - 2])
        first, inside = stretches(cut, length)
        index = np.where(np.arange(length) <= cut[:, None], a[:, None] + first, b[:, None] + inside)
        self._garble(rng, index, kinds)
        return Layout(index, cut, _JUDGEMENTS[kinds])

    def _garble(self, rng: np.random.Generator, index: np.ndarray, kinds: np.ndarray) -> None:
        words = index.shape[1] - 2
        for row in np.flatnonzero(kinds >= _EXCHANGED):
            i, j = 1 + rng.integers(words, size=2)
            if kinds[row] == _EXCHANGED:
                index[row, [i, j]] = index[row, [j, i]]
            elif kinds[row] == _REPLACED:
                index[row, i] = rng.integers(len(self.text.tokens))
            else:
                index[row, i:] += 1

    def _choose(
        self, rng: np.random.Generator, ids: np.ndarray, types: np.ndarray, judgements: np.ndarray, mask_rate: float
    ) -> np.ndarray:
        """Choose positions in only one sentence of a row, so that the other one stays complete as evidence."""
        second = types.any(axis=1) & (rng.random(len(ids)) < 0.5)
        open_ = (ids >= self.pieces.first) & (types == second[:, None]) & (judgements == NOT_ASKED)[:, None]
        return np.flatnonzero(open_ & (rng.random(ids.shape) < mask_rate * self.weights[ids]))
