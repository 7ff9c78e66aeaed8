"""Evaluation examples that are in the training set too, counted by their texts.

Two examples have the same texts where these agree letter for letter and digit for digit: case, white space and
punctuation do not count, because copies of one set differ in them (AdvGLUE puts spaces before full stops), and neither
does the order of a pair, because a model that has seen a pair has seen it both ways round.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

_NEITHER_LETTER_NOR_DIGIT = re.compile(r"[\W_]+")


def text_keys(dataset: "Dataset") -> list[bytes]:
    """A key of 8 bytes for the texts of each example, as `load_split` gives them, in the data set's order."""
    columns = [dataset[name][:] for name in ("text_a", "text_b") if name in dataset.column_names]
    return [key_of(texts) for texts in zip(*columns, strict=True)]


def count_seen(evaluation: "Dataset", training: Set[bytes]) -> int:
    """How many examples have texts whose key is among those of the training examples."""
    return sum(key in training for key in text_keys(evaluation))


def fold(text: str) -> str:
    """A text's letters and digits alone, in one case; the text itself where it has none."""
    return _NEITHER_LETTER_NOR_DIGIT.sub("", unicodedata.normalize("NFKC", text).casefold()) or text


def key_of(texts: Iterable[str]) -> bytes:
    """The key of an example's texts, whatever their order."""
    return hashlib.blake2b("\x1f".join(sorted(map(fold, texts))).encode(), digest_size=8).digest()
