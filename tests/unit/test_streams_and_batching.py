"""Seed streams are independent of each other; batches hold every example once and group similar lengths."""

import numpy as np
import pytest
import torch
from oracles.plain import tiny_bert

from steadytune.encoders.batching import Batcher, order_digest
from steadytune.encoders.encoder import Encoder
from steadytune.streams import Streams, cell_seed, derive
from steadytune.tasks.data import Encoded


def batcher(lengths, batch_size):
    ids = [np.full(length, 5 + i % 30) for i, length in enumerate(lengths)]
    encoded = Encoded(ids, None, np.arange(len(lengths)) % 3, np.arange(len(lengths)), 0)
    return Batcher(encoded, Encoder(tiny_bert(max_position_embeddings=64)).padding, batch_size)


def test_derived_seeds_differ_by_seed_stream_and_step():
    seeds = {derive(seed, name, step) for seed in (0, 1) for name in ("dropout", "noise") for step in range(3)}
    assert len(seeds) == 12
    assert derive(0, "noise", 1) == derive(0, "noise", 1)


def test_tasks_of_one_seed_share_no_stream():
    tasks = [Streams.seeds(cell_seed(seed, task)) for seed in (0, 1) for task in ("rte", "rte@1k", "cola")]
    assert len({seed for streams in tasks for seed in streams.values()}) == 6 * 4
    assert Streams.seeds(cell_seed(0, "rte")) == tasks[0]
    orders = [Streams(cell_seed(0, task)).order(0).permutation(50).tolist() for task in ("rte", "cola", "rte")]
    assert orders[0] == orders[2] != orders[1]


def test_noise_draws_do_not_affect_dropout_in_any_step():
    def dropout_after(noise_draws):
        streams = Streams(0)
        masks = []
        for step in range(2):
            streams.at_step(step)
            torch.empty(noise_draws).normal_(generator=streams.noise)
            masks.append(torch.nn.functional.dropout(torch.ones(50), 0.5))
        return masks

    for one, other in zip(dropout_after(1), dropout_after(999), strict=True):
        assert torch.equal(one, other)


def test_epoch_holds_every_example_once_in_its_own_order():
    data = batcher(np.random.Generator(np.random.Philox(0)).integers(3, 60, 101), 8)
    orders = [data.order(Streams(seed).order(epoch)) for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))]
    for order in orders:
        assert sorted(np.concatenate(order)) == list(range(101))
    assert len(orders[0]) == len(data) == 13
    digests = [order_digest(order) for order in orders]
    assert digests[0] == digests[3]
    assert len(set(digests)) == 3


def test_batches_need_under_a_quarter_of_the_padding_of_random_ones():
    lengths = np.random.Generator(np.random.Philox(1)).integers(5, 60, 512)
    data = batcher(lengths, 8)

    def padding(order):
        return sum(len(rows) * lengths[rows].max() - lengths[rows].sum() for rows in order)

    random_order = np.random.Generator(np.random.Philox(2)).permutation(512).reshape(-1, 8)
    assert padding(data.order(Streams(0).order(0))) < 0.25 * padding(random_order)


def test_shuffled_batches_are_slices_of_the_permutation():
    lengths = np.random.Generator(np.random.Philox(1)).integers(5, 60, 101)
    grouped = batcher(lengths, 8)
    shuffled = Batcher(grouped.encoded, grouped.padding, 8, shuffled=True)
    rows = Streams(0).order(0).permutation(101)
    assert [batch.tolist() for batch in shuffled.order(Streams(0).order(0))] == [
        rows[i : i + 8].tolist() for i in range(0, 101, 8)
    ]


def test_largest_batch_has_the_longest_examples_and_no_fixed_place():
    lengths = np.random.Generator(np.random.Philox(1)).integers(5, 60, 512)
    data = batcher(lengths, 8)
    assert sorted(lengths[data.largest().rows]) == sorted(lengths)[-8:]
    places = [
        int(np.argmax([lengths[rows].max() for rows in data.order(Streams(seed).order(0))])) for seed in range(20)
    ]
    assert len(set(places)) > 5


def test_batch_is_padded_to_its_longest_example():
    data = batcher([3, 9, 5], 2)
    batch = data.batch(np.array([0, 2]))
    assert batch.inputs["input_ids"].tolist() == [[5, 5, 5, 0, 0], [7, 7, 7, 7, 7]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert (batch.tokens, batch.real_tokens) == (10, 8)
    assert batch.labels.tolist() == [0, 2]


def test_padding_is_on_the_left_if_the_head_reads_the_last_token(monkeypatch):
    monkeypatch.setattr(Encoder, "sentence_token", property(lambda self: -1))
    data = batcher([2, 3], 2)
    assert data.batch(np.array([0, 1])).inputs["attention_mask"].tolist() == [[0, 1, 1], [1, 1, 1]]


def test_evaluation_batches_have_a_fixed_size_and_go_longest_first():
    data = batcher([3, 9, 5, 7, 4], 2)
    assert [rows.tolist() for rows, _ in data.evaluation()] == [[1, 3], [2, 4], [0]]


@pytest.mark.parametrize("labels", [np.array([1.5, 2.0]), np.array([1, 0])])
def test_float_labels_stay_float_and_integer_labels_integer(labels):
    encoded = Encoded([np.array([5])] * 2, None, labels, np.arange(2), 0)
    found = Batcher(encoded, Encoder(tiny_bert()).padding, 2).batch(np.array([0, 1])).labels
    assert found.dtype == (torch.float32 if labels.dtype.kind == "f" else torch.int64)
