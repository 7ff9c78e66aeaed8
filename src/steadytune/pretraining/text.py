"""Plain text prepared for pretraining: a WordPiece tokenizer, and every token in one memory-mapped file."""

import json
import logging
import lzma
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steadytune.errors import SteadyTuneError
from steadytune.files import atomic_folder, sha256, write_text
from steadytune.pretraining.examples import Text
from steadytune.pretraining.tokenizer import SPECIAL_TOKENS, build_backend, build_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)

CORPUS_VARIABLE = "STEADYTUNE_CORPUS"
ARRAYS = ("tokens", "sentences", "documents")
_LIMIT = np.iinfo(np.uint16).max + 1
_ALPHABET = 120
"""Number of characters that get a piece. A word with a rarer character, mostly from a foreign script, is unknown."""
_SENTENCES = 4096
"""Minimum number of sentences tokenized at once; a batch ends at the end of a document."""
# Punctuation ends a sentence if a capital or a digit follows, perhaps after an opening quotation mark or bracket, and
# no single initial comes before.
_SENTENCE_END = re.compile(r"(?:(?<=[.!?][\"')\]])|(?<=[\w)][\w)][.!?]))\s+(?=[\"'(\[]?[A-Z0-9])")


def find_corpus(name: str) -> Path:
    """Return the path of the corpus file `name` in the folder that the environment variable STEADYTUNE_CORPUS names.

    Raises:
        SteadyTuneError: the variable is not set, or there is no such file.
    """
    folder = os.environ.get(CORPUS_VARIABLE)
    if not folder:
        raise SteadyTuneError(f"{name}: set the environment variable {CORPUS_VARIABLE} to the folder that holds it")
    path = Path(folder) / name
    if not path.is_file():
        raise SteadyTuneError(f"{path}: no such corpus; {CORPUS_VARIABLE} names the folder to look in")
    return path


def prepare(
    corpus: Path, vocabulary: int, max_tokens: int, cache: Path, word_pieces: Path | None = None
) -> tuple[Text, "PreTrainedTokenizerFast"]:
    """Return the tokens and the tokenizer of a corpus, cached in the folder `cache`.

    Args:
        corpus: UTF-8 text, one paragraph per line and an empty line between documents; may be compressed as `.xz`.
        vocabulary: number of word pieces, special tokens included.
        max_tokens: the tokenizer's maximum input length.
        cache: folder with one subfolder per corpus and vocabulary.
        word_pieces: a file of `vocabulary` pieces, one per line in the order of their numbers. Without it they are
            learned, and differ from call to call, because the trainer breaks ties by the order of a hash table.

    Raises:
        SteadyTuneError: no such corpus, fewer than two documents, a vocabulary that is too small or does not fit in 16
            bits, or a wrong file of word pieces.
    """
    if not len(SPECIAL_TOKENS) + _ALPHABET < vocabulary <= _LIMIT:
        raise SteadyTuneError(f"vocabulary: {vocabulary}: expected a number from {_ALPHABET + 6} to {_LIMIT}")
    if not corpus.is_file():
        raise SteadyTuneError(f"{corpus}: no such corpus")
    pieces = read_word_pieces(word_pieces, vocabulary) if word_pieces else None
    given = f"-{sha256(word_pieces)[:16]}" if word_pieces else ""
    folder = cache / f"{sha256(corpus)[:16]}-{vocabulary}{given}"
    if not folder.is_dir():
        with atomic_folder(folder) as partial:
            partial.mkdir()
            _fill(partial, corpus, vocabulary, pieces)
    pieces = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    tokens, sentences, documents = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS)
    return Text(tokens, np.asarray(sentences), np.asarray(documents)), build_tokenizer(pieces, max_tokens)


def read_word_pieces(path: Path, vocabulary: int) -> list[str]:
    """The pieces in a vocabulary file.

    Raises:
        SteadyTuneError: no such file, or it does not have `vocabulary` different pieces, special tokens first.
    """
    if not path.is_file():
        raise SteadyTuneError(f"{path}: no such file of word pieces")
    pieces = path.read_text(encoding="utf-8").splitlines()
    if len(pieces) != vocabulary or len(set(pieces)) != vocabulary or (*pieces[:5],) != SPECIAL_TOKENS:
        raise SteadyTuneError(f"{path}: expected {vocabulary} different pieces, {' '.join(SPECIAL_TOKENS)} first")
    return pieces


def learn_vocabulary(paragraphs: Iterator[str], size: int) -> list[str]:
    """Word pieces learned by tokenizers' trainer, in the order of their numbers."""
    from tokenizers import trainers

    tokenizer = build_backend(list(SPECIAL_TOKENS))
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=list(SPECIAL_TOKENS), limit_alphabet=_ALPHABET, show_progress=False
    )
    tokenizer.train_from_iterator(paragraphs, trainer)
    numbers = tokenizer.get_vocab()
    return sorted(numbers, key=numbers.__getitem__)


def read_documents(corpus: Path) -> Iterator[list[str]]:
    """Yield the paragraphs of each document."""
    with (lzma.open if corpus.suffix == ".xz" else open)(corpus, "rt", encoding="utf-8") as lines:
        document: list[str] = []
        for line in lines:
            if text := line.strip():
                document.append(text)
            elif document:
                yield document
                document = []
        if document:
            yield document


def split_sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph, found by punctuation alone."""
    return _SENTENCE_END.split(paragraph)


def _fill(folder: Path, corpus: Path, vocabulary: int, pieces: list[str] | None) -> None:
    if pieces is None:
        log.info("%s: learning %d word pieces", corpus.name, vocabulary)
        pieces = learn_vocabulary((text for document in read_documents(corpus) for text in document), vocabulary)
    log.info("%s: tokenizing", corpus.name)
    backend = build_backend(pieces)
    with (folder / "tokens.raw").open("wb") as raw:
        lengths: list[np.ndarray] = []
        counts: list[int] = []
        for sentences in _batches(read_documents(corpus), counts):
            ids = [encoding.ids for encoding in backend.encode_batch_fast(sentences, add_special_tokens=False)]
            lengths.append(np.fromiter(map(len, ids), np.int64, len(ids)))
            raw.write(np.concatenate([np.asarray(part, np.uint16) for part in ids]).tobytes())
    if len(counts) < 2:
        raise SteadyTuneError(f"{corpus}: expected documents with an empty line between them, found {len(counts)}")
    np.save(folder / "tokens.npy", np.fromfile(folder / "tokens.raw", np.uint16))
    (folder / "tokens.raw").unlink()
    np.save(folder / "sentences.npy", np.concatenate([[0], np.cumsum(np.concatenate(lengths))]))
    np.save(folder / "documents.npy", np.concatenate([[0], np.cumsum(counts)]))
    write_text(folder / "vocabulary.json", json.dumps(pieces, ensure_ascii=False))


def _batches(documents: Iterator[list[str]], counts: list[int]) -> Iterator[list[str]]:
    """Yield lists of sentences to tokenize at once, and append each document's number of sentences to `counts`."""
    batch: list[str] = []
    for document in documents:
        sentences = [sentence for paragraph in document for sentence in split_sentences(paragraph)]
        counts.append(len(sentences))
        batch += sentences
        if len(batch) >= _SENTENCES:
            yield batch
            batch = []
    if batch:
        yield batch
