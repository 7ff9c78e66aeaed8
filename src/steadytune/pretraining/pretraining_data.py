"""Batches for pretraining: each a function of the corpus, the seed and the step, so that resuming needs no state."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steadytune.errors import SteadyTuneError
from steadytune.streams import derive

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TRUE, FALSE, GARBLED = range(3)
"""Classes of the judgement objective: what the last sentence is, given the one before it."""
_POOL = 4
"""Batches drawn for each one kept: the kept examples are neighbours in length, so that little of a batch is padding."""
Sentences = list[np.ndarray]


@dataclass(frozen=True)
class Corpus:
    """Token ids of every document: what it tells, and as many sentences that are false of its world."""

    told: list[Sentences]
    foils: list[Sentences]


@dataclass(frozen=True)
class Batch:
    """Token arrays, each (examples, tokens), of which the first `masked` examples are for masked language modelling."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    attention_mask: np.ndarray
    targets: np.ndarray
    """The token at a position to predict, -100 elsewhere."""
    judgements: np.ndarray
    """(examples - masked,): TRUE, FALSE or GARBLED."""
    masked: int


def read_texts(path: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Told sentences and foils of each document of a corpus file (parquet with columns text and foils)."""
    import pyarrow.parquet as parquet

    if not path.is_file():
        raise SteadyTuneError(f"{path}: no such corpus; stage the suite first")
    table = parquet.read_table(path, columns=["text", "foils"]).to_pydict()
    told, foils = ([text.split("\n") for text in table[name]] for name in ("text", "foils"))
    if not told or any(len(a) != len(b) or len(a) < 2 for a, b in zip(told, foils, strict=True)):
        raise SteadyTuneError(f"{path}: every document needs two or more sentences and one foil for each")
    return told, foils


def tokenize(tokenizer: "PreTrainedTokenizerFast", told: list[list[str]], foils: list[list[str]]) -> Corpus:
    """Token ids without special tokens."""

    def encode(documents: list[list[str]]) -> list[Sentences]:
        flat = tokenizer([s for document in documents for s in document], add_special_tokens=False)["input_ids"]
        ids = iter(flat)
        return [[np.array(next(ids), dtype=np.int64) for _ in document] for document in documents]

    return Corpus(encode(told), encode(foils))


def _length(row: Sentences) -> int:
    return sum(map(len, row)) + len(row)


def _rates(corpus: Corpus, vocabulary: int, mean: float) -> np.ndarray:
    """The masking rate of each token, `mean` at the mean frequency: rare words, which carry meaning, are asked more."""
    counts = np.bincount(np.concatenate([s for document in corpus.told for s in document]), minlength=vocabulary)
    typical = counts.sum() / np.count_nonzero(counts)
    return mean * np.clip(np.sqrt(typical / np.maximum(counts, 1)), 0.4, 1.5)


class Batches:
    """Draws the examples of any step."""

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: "PreTrainedTokenizerFast",
        *,
        seed: int,
        masked: int,
        judged: int,
        mask_rate: float,
    ) -> None:
        """Each batch has `masked` and `judged` examples."""
        self.corpus, self.seed, self.masked, self.judged = corpus, seed, masked, judged
        special = (tokenizer.convert_tokens_to_ids(token) for token in ("[PAD]", "[CLS]", "[SEP]", "[MASK]"))
        self.pad, self.cls, self.sep, self.mask = (int(str(number)) for number in special)
        self.rates = _rates(corpus, len(tokenizer), mask_rate)

    def at(self, step: int) -> Batch:
        """The batch of step `step`."""
        rng = np.random.Generator(np.random.Philox(derive(self.seed, "batch", step)))
        stratum = int(rng.integers(_POOL))
        told = sorted((self._told(rng) for _ in range(_POOL * self.masked)), key=_length)
        rows = told[stratum * self.masked : (stratum + 1) * self.masked]
        judged = sorted((self._judged(rng) for _ in range(_POOL * self.judged)), key=lambda item: _length(item[0]))
        judged = judged[stratum * self.judged : (stratum + 1) * self.judged]
        rows += [row for row, _ in judged]
        shape = len(rows), 1 + max(map(_length, rows))
        ids, types, attention = np.full(shape, self.pad), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for i, row in enumerate(rows):
            tokens = np.concatenate([[self.cls], *(part for s in row for part in (s, [self.sep]))])
            ids[i, : len(tokens)], attention[i, : len(tokens)] = tokens, 1
            if len(row) == 2:
                types[i, len(row[0]) + 2 : len(tokens)] = 1
        targets = self._mask(rng, ids, types)
        return Batch(ids, types, attention, targets, np.array([label for _, label in judged]), self.masked)

    def _pick(self, rng: np.random.Generator) -> tuple[int, int]:
        document = int(rng.integers(len(self.corpus.told)))
        return document, int(rng.integers(1, len(self.corpus.told[document])))

    def _told(self, rng: np.random.Generator) -> Sentences:
        """Two neighbouring sentences, or, one time in eight, a single one."""
        document, i = self._pick(rng)
        return self.corpus.told[document][i if rng.random() < 0.125 else i - 1 : i + 1]

    def _judged(self, rng: np.random.Generator) -> tuple[Sentences, int]:
        """A sentence after a true one: true, false or garbled; or alone: true or garbled."""
        document, i = self._pick(rng)
        told, foils = self.corpus.told[document], self.corpus.foils[document]
        roll = rng.random()
        if roll < 0.44:
            return [told[i - 1], told[i]], TRUE
        if roll < 0.88:
            return [told[i - 1], foils[i]], FALSE
        if roll < 0.94:
            return [told[i]], TRUE
        return [self._garble(rng, told[i])], GARBLED

    def _garble(self, rng: np.random.Generator, sentence: np.ndarray) -> np.ndarray:
        """Two words exchanged, one left out, or one replaced by a random word of the corpus."""
        garbled, i = sentence.copy(), int(rng.integers(len(sentence)))
        kind = rng.integers(3)
        if kind == 0:
            j = int(rng.integers(len(sentence)))
            garbled[i], garbled[j] = garbled[j], garbled[i]
            return garbled
        if kind == 1 and len(sentence) > 2:
            return np.delete(garbled, i)
        other = self.corpus.told[int(rng.integers(len(self.corpus.told)))][0]
        garbled[i] = other[int(rng.integers(len(other)))]
        return garbled

    def _mask(self, rng: np.random.Generator, ids: np.ndarray, types: np.ndarray) -> np.ndarray:
        """Mask tokens of the first rows in place (80 % [MASK], 10 % random, 10 % kept) and return the targets.

        Only one sentence of a pair has masks, so that the other one tells in full what they stand for.
        """
        targets = np.full(ids.shape, -100)
        part = ids[: self.masked]
        words = ~np.isin(part, (self.pad, self.cls, self.sep))
        second = types[: self.masked].any(axis=1) & (rng.random(self.masked) < 0.5)
        words &= types[: self.masked] == second[:, None]
        chosen = words & (rng.random(part.shape) < self.rates[part])
        targets[: self.masked][chosen] = part[chosen]
        how = rng.random(part.shape)
        part[chosen & (how < 0.8)] = self.mask
        random = rng.integers(self.mask + 1, len(self.rates), part.shape)
        replaced = chosen & (how >= 0.9)
        part[replaced] = random[replaced]
        return targets
