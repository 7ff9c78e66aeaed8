"""Extractive question answering: questions and the texts that answer them, as windows of tokens.

A text that does not fit beside its question is read in overlapping windows, as in BERT's `run_squad` (Devlin et al.
2019): each holds the whole question, and from the start of one window to that of the next `stride` tokens of the text
go by. (`transformers` calls the tokens that two windows share the stride.) A window without the whole answer has its
answer at the sentence token, [CLS].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from steadytune.errors import SteadyTuneError
from steadytune.tasks.data import ENCODE_BATCH, Encoded, check_length

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# A longer question loses its end, as in BERT's run_squad.
QUESTION_TOKENS = 64


@dataclass(frozen=True)
class Questions:
    """The questions behind the windows of a split, in the data set's order; n questions."""

    rows: np.ndarray
    """(n,) int64: each question's row number in the split's files."""
    contexts: list[str]
    """The text that each is asked about."""
    answers: list[tuple[str, ...]]
    """The gold answers of each, one or more."""

    def __len__(self) -> int:
        return len(self.contexts)


@dataclass(frozen=True)
class Windows(Encoded):
    """A tokenized split of questions. An example is a window: w of them, those of a question in a row.

    `labels` are (w, 2) int64: the first and the last token of the answer in the window, both the sentence token where
    the window does not hold the whole answer. `rows` are the questions', and `truncated` counts questions cut short.
    """

    questions: Questions
    question: np.ndarray
    """(w,) int64: the index into `questions` of each window's."""
    offsets: list[np.ndarray]
    """The first character of each token in the text and the one past its last, w arrays (T_i, 2) int32; -1 and -1 for
    tokens that are not of the text."""

    @property
    def size(self) -> int:
        """Questions."""
        return len(self.questions)


def encode_windows(dataset: "Dataset", tokenizer: "PreTrainedTokenizerBase", max_length: int, stride: int) -> Windows:
    """Tokenize the questions that `load_split` gives, with their texts; of several gold answers the first is learned.

    Raises:
        SteadyTuneError: a maximum length beyond the encoder's, or one that leaves no room beside a question.
    """
    check_length(tokenizer, max_length)
    asked = [question.lstrip() for question in dataset["text_a"][:]]  # SQuAD has questions that begin with spaces.
    contexts: list[str] = dataset["text_b"][:]
    answers: list[dict[str, list[Any]]] = dataset["answers"][:]
    rows = np.array(dataset["row"][:], dtype=np.int64)
    pieces: list[_Tokens] = []
    labels: list[tuple[int, int]] = []
    question: list[int] = []
    truncated = 0
    for number, whole in enumerate(_tokenized(asked, contexts, tokenizer)):
        tokens = whole.with_short_question()
        truncated += len(tokens) < len(whole)
        room = max_length - len(tokens.outside)
        if room < 1:
            raise SteadyTuneError(
                f"max_length {max_length}: the question of row {rows[number]} and the special tokens take "
                f"{len(tokens.outside)} and leave no room for its text"
            )
        answer = tokens.sharing(answers[number]["answer_start"][0], len(answers[number]["text"][0]))
        for low, high in window_bounds(len(tokens.inside), room, stride):
            kept = np.union1d(tokens.outside, tokens.inside[low:high])
            window = tokens.take(kept)
            pieces.append(window)
            labels.append(_places(answer, kept) or (window.cls, window.cls))
            question.append(number)
    owners = np.array(question, dtype=np.int64)
    segmented = "token_type_ids" in tokenizer.model_input_names
    return Windows(
        input_ids=[window.ids for window in pieces],
        token_type_ids=[window.segments for window in pieces] if segmented else None,
        labels=np.array(labels, dtype=np.int64).reshape(-1, 2),
        rows=rows[owners],
        truncated=truncated,
        questions=Questions(rows, contexts, [tuple(gold["text"]) for gold in answers]),
        question=owners,
        offsets=[window.offsets for window in pieces],
    )


def window_bounds(length: int, room: int, stride: int) -> list[tuple[int, int]]:
    """Where the windows of a text of `length` tokens begin and end, each of `room` tokens at most.

    They advance by `stride`, or by `room` where that is less, so that no token is left out; the first that reaches the
    end is the last.
    """
    step = min(stride, room)
    return [(start, min(start + room, length)) for start in range(0, max(length - room, 0) + step, step)]


@dataclass(frozen=True)
class _Tokens:
    """A question and its text, or a window of it, with the special tokens; T tokens."""

    ids: np.ndarray
    """(T,) int64."""
    segments: np.ndarray
    """(T,) int64."""
    part: np.ndarray
    """(T,) int64: 0 the question's, 1 the text's, -1 special."""
    offsets: np.ndarray
    """(T, 2) int32, as in `Windows`."""
    cls: int
    """Where the sentence token is."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def inside(self) -> np.ndarray:
        """Where the text's tokens are."""
        return np.flatnonzero(self.part == 1)

    @property
    def outside(self) -> np.ndarray:
        """Where the question's and the special tokens are, which every window has."""
        return np.flatnonzero(self.part != 1)

    def take(self, kept: np.ndarray) -> "_Tokens":
        """Only the tokens at `kept`, sorted indices with that of the sentence token among them."""
        cls = int(np.searchsorted(kept, self.cls))
        return _Tokens(self.ids[kept], self.segments[kept], self.part[kept], self.offsets[kept], cls)

    def with_short_question(self) -> "_Tokens":
        """Without what the question has beyond its longest length."""
        lost = np.flatnonzero(self.part == 0)[QUESTION_TOKENS:]
        return self.take(np.delete(np.arange(len(self)), lost))

    def sharing(self, start: int, size: int) -> np.ndarray:
        """Where the tokens are that have one of the text's `size` characters from `start` on."""
        return np.flatnonzero((self.part == 1) & (self.offsets[:, 1] > start) & (self.offsets[:, 0] < start + size))


def _tokenized(asked: list[str], contexts: list[str], tokenizer: "PreTrainedTokenizerBase") -> Iterator[_Tokens]:
    """Every question with its whole text."""
    for begin in range(0, len(asked), ENCODE_BATCH):
        chunk = slice(begin, begin + ENCODE_BATCH)
        output: Any = tokenizer(
            asked[chunk], contexts[chunk], truncation=False, return_offsets_mapping=True, verbose=False
        )
        for i, numbers in enumerate(output["input_ids"]):
            ids = np.array(numbers, dtype=np.int64)
            part = np.array([-1 if part is None else part for part in output.sequence_ids(i)])
            segments = output["token_type_ids"][i] if "token_type_ids" in output else np.zeros(len(ids))
            offsets = np.where(part[:, None] == 1, output["offset_mapping"][i], -1).astype(np.int32)
            cls = int(np.flatnonzero((ids == tokenizer.cls_token_id) & (part == -1))[0])
            yield _Tokens(ids, np.array(segments, dtype=np.int64), part, offsets, cls)


def _places(answer: np.ndarray, kept: np.ndarray) -> tuple[int, int] | None:
    """Where the first and the last token of an answer come to be among the tokens kept; None unless all of it is."""
    if not len(answer) or not np.isin(answer, kept).all():
        return None
    first, last = np.searchsorted(kept, answer[[0, -1]])
    return int(first), int(last)
