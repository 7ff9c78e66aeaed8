"""Count evaluation examples whose texts are also in the training set.

Texts are compared by their letters and digits only. Case, white space and punctuation are ignored because copies of a
data set differ in them (AdvGLUE puts spaces before full stops). The order of a pair is ignored because a model that has
seen the pair in one order has seen its content.
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
    """An 8-byte key for the texts of each example of a data set from `load_split`, in its order."""
    columns = [dataset[name][:] for name in ("text_a", "text_b") if name in dataset.column_names]
    return [key_of(texts) for texts in zip(*columns, strict=True)]


def count_seen(evaluation: "Dataset", training: Set[bytes]) -> int:
    """Number of evaluation examples whose key is among the training examples' keys."""
    return sum(key in training for key in text_keys(evaluation))


def fold(text: str) -> str:
    """The letters and digits of a text, case-folded; the text itself if it has none."""
    return _NEITHER_LETTER_NOR_DIGIT.sub("", unicodedata.normalize("NFKC", text).casefold()) or text


def key_of(texts: Iterable[str]) -> bytes:
    """The key of an example's texts, independent of their order."""
    return hashlib.blake2b("\x1f".join(sorted(map(fold, texts))).encode(), digest_size=8).digest()
