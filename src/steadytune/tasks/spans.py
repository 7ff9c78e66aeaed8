"""Extractive question answering: questions with their texts, as windows of tokens.

A text that does not fit together with its question is read in overlapping windows, as in BERT's `run_squad` (Devlin et
al. 2019). Each window has the whole question, and consecutive windows start `stride` tokens of the text apart. (In
`transformers`, the stride is the overlap of two windows.) If a window does not contain the whole answer, its gold
answer is the [CLS] token.
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

# Longer questions are truncated at the end, as in BERT's run_squad.
QUESTION_TOKENS = 64


@dataclass(frozen=True)
class Questions:
    """The n questions that the windows of a split belong to, in the data set's order."""

    rows: np.ndarray
    """(n,) int64: each question's row number in the split's files."""
    contexts: list[str]
    """The text of each question."""
    answers: list[tuple[str, ...]]
    """One or more gold answers to each question."""

    def __len__(self) -> int:
        return len(self.contexts)


@dataclass(frozen=True)
class Windows(Encoded):
    """A tokenized split of questions. Its examples are w windows; the windows of a question are consecutive.

    `labels` are (w, 2) int64: the first and last token of the answer in the window, or [CLS] for both if the window
    does not contain the whole answer. `rows` are the questions' rows, and `truncated` counts truncated questions.
    """

    questions: Questions
    question: np.ndarray
    """(w,) int64: each window's question, as an index into `questions`."""
    offsets: list[np.ndarray]
    """Start and end (exclusive) of each token in the text, in characters: w arrays (T_i, 2) int32; -1 and -1 for tokens
    that do not belong to the text."""

    @property
    def size(self) -> int:
        """Number of questions."""
        return len(self.questions)


def encode_windows(dataset: "Dataset", tokenizer: "PreTrainedTokenizerBase", max_length: int, stride: int) -> Windows:
    """Tokenize questions from `load_split` with their texts; of several gold answers, the first is the label.

    Raises:
        SteadyTuneError: the maximum length exceeds the encoder's, or leaves no room for the text next to a question.
    """
    check_length(tokenizer, max_length)
    asked = [question.lstrip() for question in dataset["text_a"][:]]  # Some questions in SQuAD begin with spaces.
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
    """(start, end) of the windows of a text of `length` tokens, each of at most `room` tokens.

    Windows advance by `stride`, or by `room` if that is less, because no token may be skipped. The first window that
    reaches the end of the text is the last.
    """
    step = min(stride, room)
    return [(start, min(start + room, length)) for start in range(0, max(length - room, 0) + step, step)]


@dataclass(frozen=True)
class _Tokens:
    """A question with its text or a window of the text, and the special tokens: T tokens."""

    ids: np.ndarray
    """(T,) int64."""
    segments: np.ndarray
    """(T,) int64."""
    part: np.ndarray
    """(T,) int64: 0 for the question, 1 for the text, -1 for special tokens."""
    offsets: np.ndarray
    """(T, 2) int32, as in `Windows`."""
    cls: int
    """Index of the [CLS] token."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def inside(self) -> np.ndarray:
        """Indices of the text's tokens."""
        return np.flatnonzero(self.part == 1)

    @property
    def outside(self) -> np.ndarray:
        """Indices of the question's and the special tokens, which every window contains."""
        return np.flatnonzero(self.part != 1)

    def take(self, kept: np.ndarray) -> "_Tokens":
        """Only the tokens at `kept`, which are sorted indices and include the index of [CLS]."""
        cls = int(np.searchsorted(kept, self.cls))
        return _Tokens(self.ids[kept], self.segments[kept], self.part[kept], self.offsets[kept], cls)

    def with_short_question(self) -> "_Tokens":
        """The same tokens with the question truncated to `QUESTION_TOKENS`."""
        lost = np.flatnonzero(self.part == 0)[QUESTION_TOKENS:]
        return self.take(np.delete(np.arange(len(self)), lost))

    def sharing(self, start: int, size: int) -> np.ndarray:
        """Indices of the tokens that overlap the `size` characters of the text from `start` on."""
        return np.flatnonzero((self.part == 1) & (self.offsets[:, 1] > start) & (self.offsets[:, 0] < start + size))


def _tokenized(asked: list[str], contexts: list[str], tokenizer: "PreTrainedTokenizerBase") -> Iterator[_Tokens]:
    """Tokenize every question with its whole text."""
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
    """First and last token of an answer as indices into the kept tokens; None if they do not include all of it."""
    if not len(answer) or not np.isin(answer, kept).all():
        return None
    first, last = np.searchsorted(kept, answer[[0, -1]])
    return int(first), int(last)
