"""Question answering: windows of tokens, the answer's position in them, the best span, and the scores of answers."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from steadytune.errors import SteadyTuneError
from steadytune.evaluation import spans as evaluation
from steadytune.evaluation.answers import each, equals, normalise, overlap
from steadytune.evaluation.spans import Span, best_span
from steadytune.methods.support.objective import Spans
from steadytune.tasks import spans
from steadytune.tasks.data import load_split, split_off
from steadytune.tasks.spans import Questions, Windows, encode_windows, window_bounds
from steadytune.tasks.table import TASKS

SQUAD, PARTS = TASKS["squad"], TASKS["xquad-en-parts"]
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
WORDS = [f"w{i}" for i in range(12)]
# The token of a word: w0 is 4.
CONTEXT = " ".join(WORDS)


def make_tokenizer(pair="<s> $A </s> $B:1 </s>:1", names=("input_ids", "token_type_ids", "attention_mask")):
    """A tokenizer of words separated by white space."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *WORDS, "who", "what"])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair=pair, special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", cls_token="<s>",
                                   sep_token="</s>", model_max_length=64, model_input_names=list(names))  # fmt: skip


def write(store, task, split, rows):
    """Rows are (title, context, question, [(text, start)])."""
    folder = store / "datasets" / task.dataset_key
    folder.mkdir(parents=True, exist_ok=True)
    titles, contexts, questions, answers = zip(*rows, strict=True)
    columns = {
        "id": [str(i) for i in range(len(rows))],
        "title": list(titles),
        "context": list(contexts),
        "question": list(questions),
        "answers": [{"text": [text for text, _ in own], "answer_start": [at for _, at in own]} for own in answers],
    }
    kind = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int64()))])
    table = pa.table({**columns, "answers": pa.array(columns["answers"], kind)})
    pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


def encoded(tmp_path, answers, question="who", context=CONTEXT, max_length=8, stride=2, tokenizer=None):
    """One question with its answers, tokenized; 8 tokens leave room for 4 of the text next to a question of one."""
    write(tmp_path, SQUAD, "train", [("t", context, question, answers)])
    data = load_split(SQUAD, "train", tmp_path)
    return encode_windows(data, tokenizer or make_tokenizer(), max_length, stride)


@pytest.mark.parametrize(
    ("length", "room", "stride", "expected"),
    [
        (3, 4, 2, [(0, 3)]),
        (4, 4, 2, [(0, 4)]),
        (5, 4, 2, [(0, 4), (2, 5)]),
        (6, 4, 2, [(0, 4), (2, 6)]),
        (9, 4, 3, [(0, 4), (3, 7), (6, 9)]),
        (6, 2, 9, [(0, 2), (2, 4), (4, 6)]),
        (0, 4, 2, [(0, 0)]),
    ],
)
def test_windows_advance_by_the_stride_until_one_reaches_the_end(length, room, stride, expected):
    assert window_bounds(length, room, stride) == expected


def test_long_text_is_split_into_windows_labelled_with_the_answer(tmp_path):
    # "w3 w4": tokens 3 and 4 of the text. Windows hold tokens 0-3, 2-5, 4-7, 6-9, 8-11.
    found = encoded(tmp_path, [("w3 w4", CONTEXT.index("w3"))])
    who, word = 16, 4
    assert [ids.tolist() for ids in found.input_ids] == [
        [2, who, 3, word + i, word + i + 1, word + i + 2, word + i + 3, 3] for i in (0, 2, 4, 6, 8)
    ]
    # Cut off in the first window and in the third, whole in the second, absent from the others.
    assert found.labels.tolist() == [[0, 0], [4, 5], [0, 0], [0, 0], [0, 0]]
    assert [segments.tolist() for segments in found.token_type_ids] == [[0, 0, 0, 1, 1, 1, 1, 1]] * 5
    assert (found.question.tolist(), found.rows.tolist(), found.truncated) == ([0] * 5, [0] * 5, 0)
    assert (len(found), found.size) == (5, 1)
    nothing = [-1, -1]
    assert found.offsets[1].tolist() == [nothing, nothing, nothing, [6, 8], [9, 11], [12, 14], [15, 17], nothing]
    assert found.questions.contexts == [CONTEXT]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        # At both borders of the first window, and over the whole of it.
        ("w0", [3, 3]),
        ("w3", [6, 6]),
        ("w0 w1 w2 w3", [3, 6]),
        # A token too many.
        ("w0 w1 w2 w3 w4", [0, 0]),
        # Parts of words count as whole tokens.
        ("0 w", [3, 4]),
    ],
)
def test_answer_at_a_window_border_is_labelled_only_if_it_fits(tmp_path, answer, expected):
    assert encoded(tmp_path, [(answer, CONTEXT.index(answer))]).labels[0].tolist() == expected


def test_first_gold_answer_is_the_label_and_all_are_kept(tmp_path):
    found = encoded(tmp_path, [("w1", 3), ("w0 w1", 0)])
    assert found.labels[0].tolist() == [4, 4]
    assert found.questions.answers == [("w1", "w0 w1")]


def test_sentence_token_may_come_last(tmp_path):
    # XLNet's form. The text itself also contains the string of the sentence token.
    tokenizer = make_tokenizer("$A </s> $B:1 </s>:1 <s>:2", names=("input_ids", "attention_mask"))
    context = "<s> w0 w1 w2 w3"
    found = encoded(tmp_path, [("w3", context.index("w3"))], context=context, tokenizer=tokenizer)
    assert [ids.tolist() for ids in found.input_ids] == [[16, 3, 2, 4, 5, 6, 3, 2], [16, 3, 5, 6, 7, 3, 2]]
    assert found.labels.tolist() == [[7, 7], [4, 4]]
    assert found.token_type_ids is None


def test_long_question_is_truncated_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(spans, "QUESTION_TOKENS", 2)
    found = encoded(tmp_path, [("w2", 3)], question="  who what who what", context="w1 w2")
    assert [ids.tolist() for ids in found.input_ids] == [[2, 16, 17, 3, 5, 6, 3]]
    assert (found.labels.tolist(), found.truncated) == ([[5, 5]], 1)


def test_question_that_leaves_no_room_for_its_text_is_rejected(tmp_path):
    message = "max_length 6: the question of row 0 and the special tokens take 6 and leave no room for its text"
    with pytest.raises(SteadyTuneError) as error:
        encoded(tmp_path, [("w0", 0)], question="who what who", max_length=6)
    assert str(error.value) == message
    with pytest.raises(SteadyTuneError, match="max_length 65: the encoder reads 64 tokens at most"):
        encoded(tmp_path, [("w0", 0)], max_length=65)


def test_questions_of_several_texts_keep_their_row_numbers(tmp_path):
    rows = [("t", "w0 w1", "who", []), ("t", CONTEXT, "who", [("w0", 0)]), ("u", "w5", "what", [("w5", 0)])]
    write(tmp_path, SQUAD, "train", rows)
    data = load_split(SQUAD, "train", tmp_path)
    assert data["row"][:] == [1, 2], "a question without an answer has no gold"
    assert data.column_names == ["text_a", "text_b", "label", "row", "answers"]
    found = encode_windows(data, make_tokenizer(), 10, 4)
    assert found.rows.tolist() == [1, 1, 1, 2]
    assert found.question.tolist() == [0, 0, 0, 1]
    assert found.questions.rows.tolist() == [1, 2]


def test_misplaced_and_malformed_answers_are_rejected(tmp_path):
    write(tmp_path, SQUAD, "train", [("t", "w0 w1", "who", [("w1", 2)])])
    path = tmp_path / "datasets" / SQUAD.dataset_key / "train-00000-of-00001.parquet"
    with pytest.raises(SteadyTuneError) as error:
        load_split(SQUAD, "train", tmp_path)
    assert str(error.value) == f"{path}: row 0: the answer 'w1' is not at character 2"
    pq.write_table(pa.table({"question": ["who"], "context": ["w0"], "answers": [["w0"]]}), path)
    with pytest.raises(SteadyTuneError, match=r"row 0: expected lists text and answer_start, found \['w0'\]"):
        load_split(SQUAD, "train", tmp_path)


def articles(count, questions=3):
    return [(f"article {a}", f"w{a} w0", f"who {q}", [(f"w{a}", 0)]) for a in range(count) for q in range(questions)]


def test_parts_share_no_article_and_are_reproducible(tmp_path):
    write(tmp_path, PARTS, "validation", articles(8))
    train, rest = (load_split(PARTS, split, tmp_path) for split in (PARTS.train, PARTS.evaluation))
    assert (len(train), len(rest)) == (18, 6)
    assert not set(train["text_b"]) & set(rest["text_b"])
    assert sorted([*train["row"], *rest["row"]]) == list(range(24))
    # By sha256sum of "steadytune part/article <n>" the articles come as 1 0 6 2 5 4 3 7; six are trained on.
    assert set(rest["text_b"]) == {"w3 w0", "w7 w0"}
    assert len(load_split(PARTS, PARTS.train, tmp_path, subset=5)) == 5
    assert len(load_split(TASKS["xquad-en"], "validation", tmp_path)) == 24
    with pytest.raises(SteadyTuneError, match=r"unknown part 'tran' \(did you mean 'train'\?\)"):
        load_split(PARTS, "validation[tran]", tmp_path)


def test_held_out_questions_share_no_text_with_the_rest(tmp_path):
    write(tmp_path, SQUAD, "train", articles(8))
    kept, apart = split_off(load_split(SQUAD, "train", tmp_path), 0.25)
    # By sha256sum of "steadytune holdout/<text>", with all three questions each.
    assert (set(apart["text_b"]), len(apart), len(kept)) == ({"w2 w0", "w3 w0"}, 6, 18)
    with pytest.raises(SteadyTuneError, match=r"holdout 0.05 of 24 examples leaves nothing on one side"):
        split_off(load_split(SQUAD, "train", tmp_path), 0.05)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat,\tsat.", "cat sat"),
        ("an apple a day", "apple day"),
        ("Panthers' 3-4", "panthers 34"),
        ("theatre", "theatre"),
        # Punctuation is removed before articles, and only ASCII punctuation.
        ("the-cat", "thecat"),
        ("a.", ""),
        ("«the» 6½", "« » 6½"),
    ],
)
def test_normalise_drops_case_articles_and_ascii_punctuation(text, expected):
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("prediction", "gold", "exact", "f1"),
    [
        ("The cat", "cat!", 1, 1),
        # One of two words, one of one: precision 1/2, recall 1.
        ("black cat", "cat", 0, 2 / 3),
        # Two shared of three and of four: repeated words count each time.
        ("no no yes", "no no no maybe", 0, 4 / 7),
        ("dog", "cat", 0, 0),
        ("", "cat", 0, 0),
        # Nothing is left of either: equal, but they share no word.
        ("the", "a", 1, 0),
    ],
)
def test_exact_match_and_f1_match_hand_computed_values(prediction, gold, exact, f1):
    assert equals(prediction, gold) == exact
    assert overlap(prediction, gold) == pytest.approx(f1)


def test_score_is_the_best_over_the_gold_answers():
    assert each(overlap, ["black cat", "x"], [["dog", "cat", "a black cat"], ["y"]]).tolist() == [1, 0]


def brute_force(start, end, inside, best, longest):
    """The best of all pairs of the `best` best starts and ends, or None."""

    def rank(logits):
        return sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:best]

    pairs = [
        (start[i] + end[j], i, j)
        for i, j in itertools.product(rank(start), rank(end))
        if inside[i] and inside[j] and i <= j < i + longest
    ]
    return max(pairs, default=None)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("best", "longest"), [(100, 100), (5, 100), (100, 3), (6, 4)])
def test_best_span_matches_an_exhaustive_search(seed, best, longest, monkeypatch):
    monkeypatch.setattr(evaluation, "BEST", best)
    monkeypatch.setattr(evaluation, "LONGEST", longest)
    generator = np.random.default_rng(seed)
    start, end = generator.normal(size=(2, 25))
    inside = np.arange(25) >= 15 if seed % 2 else (np.arange(25) > 3) & (np.arange(25) < 24)
    expected, found = brute_force(start, end, inside, best, longest), best_span(start, end, inside)
    if expected is None:
        assert found is None
    else:
        assert (found.first, found.last) == expected[1:]
        assert found.score == pytest.approx(expected[0])
        assert (found.start, found.end) == (start[found.first], end[found.last])


def test_equal_spans_go_to_the_first_tokens_and_limits_are_run_squads():
    zeros, everywhere = np.zeros(8), np.ones(8, dtype=bool)
    assert best_span(zeros, zeros, everywhere)[:2] == (0, 0)
    assert best_span(zeros, zeros, ~everywhere) is None
    assert (evaluation.BEST, evaluation.LONGEST, spans.QUESTION_TOKENS) == (20, 30, 64)
    # 30 tokens are allowed, 31 are not.
    start, end = np.zeros(40), np.zeros(40)
    start[0], end[[29, 30]] = 9.0, (3.0, 5.0)
    assert best_span(start, end, np.ones(40, dtype=bool))[:2] == (0, 29)


def make_windows(question, texts, answers):
    """Windows of three tokens of their question's text, after a sentence token."""
    offsets = [np.array([[-1, -1], [0, 2], [3, 5], [6, 8]]) for _ in question]
    ids = [np.zeros(4, dtype=np.int64) for _ in question]
    questions = Questions(np.arange(len(texts)) + 7, texts, answers)
    number = np.array(question)
    return Windows(ids, None, np.zeros((len(ids), 2), dtype=np.int64), questions.rows[number], 0, questions, number,
                   offsets)  # fmt: skip


TEXTS, GOLD = ["aa bb cc", "dd ee ff", "gg hh ii"], [("bb",), ("the dd ee", "x"), ("gg",)]


def choose(found, broken=(False, False, False)):
    windows = make_windows([0, 0, 1, 1, 2], TEXTS, GOLD)
    return evaluation._choose(windows, found, np.array(broken))


def test_question_is_answered_from_its_best_window_or_the_first_of_ties():
    found = choose([Span(1, 1, 1.0, 1.0), Span(2, 2, 2.0, 1.0), Span(1, 2, 1.0, 3.0), Span(3, 3, 3.0, 1.0), None])
    assert found.texts == ["bb", "dd ee", ""]
    assert found.spans.tolist() == [[3, 5], [0, 5], [-1, -1]]
    assert found.tokens.tolist() == [[1, 1], [0, 1], [-1, -1]]
    result = found.evaluate(SQUAD, TASKS["mlqa-en"])
    assert result["metrics"] == pytest.approx({"span_f1": 2 / 3, "exact_match": 2 / 3})
    assert (result["headline"], result["n"]) == ("span_f1", 3)
    assert math.isnan(result["majority_rate"])
    assert all(math.isnan(value) for value in result["majority"].values())
    columns = found.columns()
    assert columns["row"].tolist() == [7, 8, 9]
    assert columns["exact_match"].tolist() == columns["span_f1"].tolist() == [1, 1, 0]
    assert columns["logit_start"].tolist() == [2.0, 1.0, -math.inf]
    assert columns["logit_end"].tolist() == [1.0, 3.0, -math.inf]
    assert found.judge() == ("ok", None)


def test_status_is_judged_by_the_answers():
    same = Span(2, 3, 0.0, 0.0)
    other = Span(1, 1, 0.0, 0.0)
    assert choose([None] * 5).judge() == ("degenerate", "no answer to any development question")
    assert choose([same, None, None, same, same]).judge()[0] == "degenerate"
    assert choose([same, None, None, same, other]).judge() == ("ok", None)
    repeated = replace(choose([same, None, other, None, other]), texts=["of"] * 3)
    assert repeated.judge() == ("degenerate", "one answer for every development question")
    broken = choose([same, None, same, None, other], broken=(False, True, False))
    assert broken.judge()[0] == "diverged"
    assert all(math.isnan(value) for value in broken.evaluate(SQUAD, SQUAD)["metrics"].values())


def softmax(logits):
    powers = [math.exp(x) for x in logits]
    return [x / sum(powers) for x in powers]


def padded(rows, width):
    """Logits of windows (B, 2, T), padded as the encoder does."""
    from steadytune.encoders.architectures import NO_TOKEN

    return torch.tensor([[side + [NO_TOKEN] * (width - len(side)) for side in row] for row in rows],
                        dtype=torch.float64)  # fmt: skip


FIRST = [[[0.5, -1.0, 2.0], [1.5, 0.0, -0.5]], [[1.0, 0.2], [-0.3, 0.7]]]
SECOND = [[[0.1, 0.3, 1.0], [2.0, -1.0, 0.5]], [[-1.0, 0.4], [0.6, 0.7]]]


def test_loss_is_the_mean_of_start_and_end_over_real_tokens():
    labels = [[2, 1], [0, 1]]
    expected = np.mean([
        -math.log(softmax(side)[label])
        for row, own in zip(FIRST, labels, strict=True) for side, label in zip(row, own, strict=True)
    ])  # fmt: skip
    for width in (3, 9):
        logits = padded(FIRST, width).requires_grad_()
        loss = Spans().loss(logits, torch.tensor(labels))
        assert loss.item() == pytest.approx(expected, abs=1e-12)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert not gradient[1, :, 2:].any(), "padding gets no gradient"


def test_divergences_ignore_padding():
    def kl(target, logits):
        p, q = softmax(target), softmax(logits)
        return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))

    pairs = [(one, two) for a, b in zip(FIRST, SECOND, strict=True) for one, two in zip(a, b, strict=True)]
    for width in (3, 9):
        first, second = padded(FIRST, width), padded(SECOND, width)
        there, back = np.mean([kl(two, one) for one, two in pairs]), np.mean([kl(one, two) for one, two in pairs])
        assert Spans().divergence(first, second).item() == pytest.approx(there, abs=1e-12)
        assert Spans().symmetric(first, second).item() == pytest.approx(there + back, abs=1e-12)
    half = Spans().symmetric(padded(FIRST, 9).bfloat16(), padded(SECOND, 9).bfloat16())
    assert half.item() == pytest.approx(there + back, rel=0.1)
