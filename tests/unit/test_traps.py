"""The traps of the field and their guards: labels, their order, the order of pairs, duplicates."""

import numpy as np
import pytest
import torch
from test_data import tokenizer, write  # noqa: F401 (a fixture)
from test_encoders import make_config
from transformers import AutoModelForSequenceClassification

from steadytune.encoders.loading import load_encoder
from steadytune.evaluation.transfer import evaluate_transfer
from steadytune.tasks.data import encode, load_split
from steadytune.tasks.duplicates import count_seen, fold, text_keys
from steadytune.tasks.table import TASKS

# The texts in the order that a model reads them: an NLI model that reads the hypothesis first is silently wrong.
ORDER = {
    "cola": ("sentence",),
    "sst2": ("sentence",),
    "mrpc": ("sentence1", "sentence2"),
    "stsb": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"),
    "qnli": ("question", "sentence"),
    "rte": ("sentence1", "sentence2"),
    "wnli": ("sentence1", "sentence2"),
    "sick": ("sentence_A", "sentence_B"),
    **dict.fromkeys(("mnli", "mnli-mm", "mnli-dev", "snli", "scitail", "hans"), ("premise", "hypothesis")),
    **dict.fromkeys(("anli-r1", "anli-r2", "anli-r3", "cb", "breaking-nli"), ("premise", "hypothesis")),
    "adv-mnli": ("premise", "hypothesis"),
    "adv-qnli": ("question", "sentence"),
    "adv-qqp": ("question1", "question2"),
    "adv-rte": ("sentence1", "sentence2"),
}
# What 0, 1, 2 mean in the files according to the hub's dataset cards; SciTail uses words.
LABELS = {
    "rte": {0: "entailment", 1: "not_entailment"},
    "qnli": {0: "entailment", 1: "not_entailment"},
    "wnli": {0: "not_entailment", 1: "entailment"},
    "mrpc": {0: "not_equivalent", 1: "equivalent"},
    "qqp": {0: "not_duplicate", 1: "duplicate"},
    "cola": {0: "unacceptable", 1: "acceptable"},
    "sst2": {0: "negative", 1: "positive"},
    "hans": {0: "entailment", 1: "not_entailment"},
    "scitail": {"entails": "entailment", "neutral": "not_entailment"},
    "cb": {0: "entailment", 1: "contradiction", 2: "neutral"},
}
THREE = ("mnli", "snli", "sick", "anli-r1", "anli-r2", "anli-r3", "breaking-nli", "adv-mnli", "adv-mnli-mm")
LABELS |= {name: {0: "entailment", 1: "neutral", 2: "contradiction"} for name in THREE}


@pytest.mark.parametrize("name", ORDER)
def test_text_columns_are_in_the_expected_order(name):
    assert TASKS[name].text == ORDER[name]


@pytest.mark.parametrize("name", LABELS)
def test_label_values_have_the_documented_meaning(name):
    assert dict(zip(TASKS[name].values, TASKS[name].labels, strict=True)) == LABELS[name]


def test_premise_is_encoded_before_the_hypothesis(tmp_path, tokenizer):  # noqa: F811
    write(tmp_path, TASKS["snli"], "validation", hypothesis=["c d"], premise=["a b"], label=[0])
    encoded = encode(load_split(TASKS["snli"], "validation", tmp_path), tokenizer, max_length=16)
    words = tokenizer.convert_ids_to_tokens(encoded.input_ids[0].tolist())
    assert words == ["<s>", "a", "b", "</s>", "c", "d", "</s>"]
    assert encoded.token_type_ids is not None
    assert encoded.token_type_ids[0].tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_snli_rows_without_a_gold_label_are_dropped(tmp_path):
    write(tmp_path, TASKS["snli"], "validation", premise=list("pqrs"), hypothesis=list("abcd"), label=[2, -1, 0, -1])
    split = load_split(TASKS["snli"], "validation", tmp_path)
    assert (split["text_a"][:], split["label"][:], split["row"][:]) == (["p", "r"], [2, 0], [0, 2])


def test_labels_are_matched_by_name_if_sets_number_them_differently():
    # CB's class 1 is contradiction, MNLI's is neutral. By index, all three answers would be right.
    logits = np.log([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    gold = np.array([0, 1, 2])
    assert evaluate_transfer(TASKS["mnli"], TASKS["cb"], logits, gold)["metrics"]["accuracy"] == pytest.approx(1 / 3)
    assert evaluate_transfer(TASKS["cb"], TASKS["snli"], logits, gold)["metrics"]["accuracy"] == pytest.approx(1 / 3)


def test_checkpoint_label_order_does_not_affect_loaded_weights(tmp_path):
    # Two copies of one NLI-tuned checkpoint whose output layers and label names are in opposite orders.
    names = ["entailment", "neutral", "contradiction"]
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(make_config("bert", num_labels=3))
    loaded = []
    for order in ([0, 1, 2], [2, 1, 0]):
        folder = tmp_path / "-".join(map(str, order))
        model.config.id2label = {i: names[at] for i, at in enumerate(order)}
        model.classifier.weight.data = model.classifier.weight.data[order]
        model.save_pretrained(folder)
        loaded.append(load_encoder(folder, num_labels=3, init_seed=5).model.state_dict())
    assert all(torch.equal(loaded[0][name], loaded[1][name]) for name in loaded[0])
    assert not torch.equal(loaded[0]["classifier.weight"], model.classifier.weight.data)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("The landfill.", "the  land\tfill .", True),
        ("It's 5 o'clock!", "its 5 oclock", True),
        ("ﬁve", "FIVE", True),
        ("5 men", "6 men", False),
        ("...", "!!!", False),
    ],
)
def test_fold_compares_texts_by_letters_and_digits(one, other, same):
    assert (fold(one) == fold(other)) == same


def test_seen_pairs_are_counted_in_either_order_and_if_repeated(tmp_path):
    task = TASKS["rte"]
    write(tmp_path, task, "train", sentence1=["A b.", "c", "x"], sentence2=["d", "e f", "y"], label=[0, 1, 1])
    write(
        tmp_path,
        task,
        "validation",
        # The first pair; the second one swapped; only the first text of a pair; the first pair again; neither.
        sentence1=["a b", "E, f", "a b", "A B!", "g"],
        sentence2=["D", "C", "y", "d", "h"],
        label=[0, 1, 0, 1, 0],
    )
    training = frozenset(text_keys(load_split(task, "train", tmp_path)))
    assert len(training) == 3
    assert count_seen(load_split(task, "validation", tmp_path), training) == 3


def test_pairs_with_equal_concatenation_have_different_keys(tmp_path):
    # "ab" + "c" is not "a" + "bc".
    write(tmp_path, TASKS["rte"], "train", sentence1=["ab", "a"], sentence2=["c", "bc"], label=[0, 1])
    assert len(set(text_keys(load_split(TASKS["rte"], "train", tmp_path)))) == 2


def test_seen_single_texts_are_counted(tmp_path):
    write(tmp_path, TASKS["cola"], "train", sentence=["He left.", "She left."], label=[0, 1])
    write(tmp_path, TASKS["cola"], "validation", sentence=["he left", "They left."], label=[0, 1])
    training = frozenset(text_keys(load_split(TASKS["cola"], "train", tmp_path)))
    assert count_seen(load_split(TASKS["cola"], "validation", tmp_path), training) == 1
