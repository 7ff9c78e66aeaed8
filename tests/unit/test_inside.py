"""Measurements inside an encoder, each checked against its definition on small numbers."""

import itertools
import math

import numpy as np
import pytest
import torch
from oracles.plain import PlainBert, tiny_bert
from test_encoders import every_layout, make, make_inputs

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.layers.inside.cka import cka, gram
from steadytune.layers.inside.drift import parameter_distance
from steadytune.layers.inside.measure import measure, pool
from steadytune.layers.inside.probes import probe, sentence_states, train_heads
from steadytune.layers.inside.propagation import noise_propagation
from steadytune.layers.inside.similarity import token_similarity
from steadytune.methods.base import Setup
from steadytune.methods.registry import parse
from steadytune.methods.support.objective import Classification, Regression
from steadytune.results.churn import churn
from steadytune.streams import Streams
from steadytune.tasks.data import Encoded
from steadytune.tasks.table import TASKS


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_token_similarity_is_the_mean_cosine_over_pairs_of_real_tokens():
    # Angles 0, 90 and 45 degrees, of any length; the fourth token is padding. Then two opposite tokens.
    states = torch.tensor([[[2.0, 0], [0, 3], [1, 1], [9, 9]], [[1, 1], [-2, -2], [7, 0], [0, 7]]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    found = token_similarity(states, mask).tolist()
    assert found == pytest.approx([(0 + 2 * math.cos(math.pi / 4)) / 3, -1])
    assert math.isnan(token_similarity(states, torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0]]))[0])


def hsic(first, second):
    """The unbiased HSIC estimate as a mean over all quadruples of different examples (Song et al. 2012)."""
    terms = []
    for t, u, v, w in itertools.permutations(range(len(first)), 4):
        terms.append(first[t, u] * (second[t, u] + second[v, w] - 2 * second[t, v]))
    return np.mean(terms)


def test_cka_matches_its_definition_by_unbiased_hsic():
    x, y = normal(7, 3), normal(7, 5, seed=1)
    first, second = x @ x.T, y @ y.T
    expected = hsic(first, second) / math.sqrt(hsic(first, first) * hsic(second, second))
    assert cka(gram(x), gram(y)) == pytest.approx(expected)


def test_cka_ignores_rotation_scale_and_shift_and_is_low_for_noise():
    x = normal(20, 6)
    rotation, _ = np.linalg.qr(normal(6, 6, seed=1))
    assert cka(gram(x), gram(3 * x @ rotation + 100)) == pytest.approx(1)
    assert abs(cka(gram(normal(20, 500)), gram(normal(20, 500, seed=1)))) < 0.15
    assert math.isnan(cka(gram(np.ones((5, 3))), gram(normal(5, 3))))
    with pytest.raises(ValueError, match="3 examples"):
        cka(np.eye(3), np.eye(3))


def test_churn_counts_differing_answers_and_those_one_model_has_right():
    labels = np.array([0, 1, 2, 0, 1])
    first, second = np.array([0, 1, 0, 1, 1]), np.array([0, 2, 1, 2, 1])
    assert churn(first, second, labels) == (3 / 5, 1 / 5)
    # Rounded: 1 1 3 against 1 2 3, gold 0 2 3.
    scores = np.array([0.6, 1.49, 2.5]), np.array([1.4, 1.5, 3.4]), np.array([0.4, 1.8, 2.6])
    assert churn(*scores, regression=True) == (1 / 3, 1 / 3)


def test_parameter_distance_is_relative_and_per_layer():
    before, after = Encoder(tiny_bert()), Encoder(tiny_bert())
    assert parameter_distance(after, before) == [0, 0, 0]
    with torch.no_grad():
        for parameter in after.layer_parameters(0).values():
            parameter.mul_(1.5)
        weight = after.model.bert.encoder.layer[1].output.dense.weight
        weight[0, 0] += 2
    whole = math.sqrt(sum(float(p.detach().square().sum()) for p in before.layer_parameters(1).values()))
    assert parameter_distance(after, before) == pytest.approx([0, 0.5, 2 / whole])
    after.truncate(1)
    assert parameter_distance(after, before) == pytest.approx([0, 0.5])


def prepared(name):
    """An encoder prepared by the named method."""
    encoder = make("bert")
    (part,), _ = parse(name)
    part.build().prepare(Setup(encoder, Streams(0), Classification(), train=None))  # type: ignore[arg-type]
    return encoder


def test_lora_update_counts_as_a_change_of_its_weight():
    before, after = make("bert"), prepared("lora")
    assert parameter_distance(after, before) == [0, 0, 0, 0]
    layer = after.layers()[1].get_submodule("attention.self.query")
    with torch.no_grad():
        layer.lora_B["default"].weight.fill_(0.25)
    update = layer.scaling["default"] * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    whole = math.sqrt(sum(float(p.detach().double().square().sum()) for p in before.layer_parameters(1).values()))
    assert parameter_distance(after, before) == pytest.approx([0, 0, float(update.detach().norm()) / whole, 0])


def test_adapters_do_not_count_towards_parameter_distance():
    assert parameter_distance(prepared("houlsby"), make("bert")) == [0, 0, 0, 0]


def test_noise_propagation_is_the_relative_change_of_later_layers():
    model = tiny_bert()
    encoder, parameters = Encoder(model.eval()), {n: p.detach() for n, p in model.named_parameters()}
    ids, mask = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    with torch.no_grad():
        hidden = encoder({"input_ids": ids, "attention_mask": mask}, keep_hidden=True, resumable_from=0).hidden
        found = noise_propagation(encoder, hidden, mask, torch.Generator().manual_seed(3))
    assert found.shape == (2, 3, 3)

    bert, generator = PlainBert(parameters, 2, 2), torch.Generator().manual_seed(3)
    for start in range(3):
        noise = torch.randn(hidden[start].shape, generator=generator)
        noised = hidden[start] + 0.05 * noise * hidden[start].norm(dim=-1)[..., None] / noise.norm(dim=-1)[..., None]
        for layer in range(start, 3):
            if layer > start:
                noised = bert.layer(layer - 1, noised, mask)
            change = (noised - hidden[layer]).norm(dim=-1) / hidden[layer].norm(dim=-1)
            expected = [float(change[0].mean()), float(change[1, :2].mean())]
            assert found[:, start, layer].tolist() == pytest.approx(expected, rel=1e-6)
    assert found[:, [0, 1, 2], [0, 1, 2]].flatten().tolist() == pytest.approx([0.05] * 6)
    assert found[:, [1, 2, 2], [0, 0, 1]].isnan().all()


@every_layout
def test_noise_propagates_through_every_architecture(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    with torch.no_grad():
        hidden = encoder(inputs, keep_hidden=True, resumable_from=0).hidden
        found = noise_propagation(encoder, hidden, inputs["attention_mask"], torch.Generator().manual_seed(0))
    above = found[:, *np.triu_indices(4)]
    assert above.isfinite().all()
    assert (above > 0).all()


def encoded(labels, seed=0):
    """Texts of 1 to 6 tokens between two special tokens."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 7, size=len(labels))
    ids = [np.concatenate([[2], generator.integers(5, 40, size=length), [3]]) for length in lengths]
    return Encoded(input_ids=ids, token_type_ids=None, labels=labels, rows=np.arange(len(ids)), truncated=0)


def test_measures_are_means_over_examples_for_any_batch_size():
    encoder, labels = make("bert"), np.arange(11) % 2
    encoder.model.train()
    data = encoded(labels)
    found = measure(encoder, Batcher(data, encoder.padding, 4), {0, 2, 3})
    similarity, pooled = [], []
    with torch.no_grad():
        for ids in data.input_ids:
            inputs = {"input_ids": torch.from_numpy(ids)[None], "attention_mask": torch.ones(1, len(ids))}
            states = encoder(inputs, keep_hidden=True).hidden
            similarity.append([float(token_similarity(state, inputs["attention_mask"])) for state in states])
            pooled.append(np.stack([state[0, 1:-1].mean(dim=0).numpy() for state in states]))
    assert found.similarity == pytest.approx(np.mean(similarity, axis=0), rel=1e-5)
    assert found.pooled == pytest.approx(np.stack(pooled, axis=1), abs=1e-5)
    assert pool(encoder, Batcher(data, encoder.padding, 3), {0, 2, 3}) == pytest.approx(found.pooled, abs=1e-5)
    assert found.nu.shape == (4,)
    assert np.diag(found.propagation) == pytest.approx(0.05)
    numbers = measure(encoder, Batcher(data, encoder.padding, 4), {0, 2, 3}).numbers()
    assert str(numbers) == str(found.numbers()), "the noise is the same every time"


def test_probe_heads_of_different_layers_train_independently():
    features, labels = torch.from_numpy(normal(3, 40, 5)).float(), torch.from_numpy(np.arange(40) % 3)
    together = train_heads(features, labels, 3, Classification())
    for layer in range(3):
        alone = train_heads(features[[layer]], labels, 3, Classification())
        assert together.weight[layer].numpy() == pytest.approx(alone.weight[0].numpy(), abs=1e-5)
        assert together.bias[layer].numpy() == pytest.approx(alone.bias[0].numpy(), abs=1e-5)


@pytest.mark.parametrize("objective", [Classification(), Regression()])
def test_probe_head_equals_a_linear_layer_trained_with_adam(objective):
    """Compared with a loop over torch's linear layer with the same initial weights and batches."""
    outputs = 1 if isinstance(objective, Regression) else 2
    features = torch.from_numpy(normal(1, 20, 4)).float()
    labels = torch.arange(20).float() / 10 if outputs == 1 else torch.arange(20) % 2
    orders = []
    split = torch.Tensor.split

    def watch(rows, size):
        orders.append(rows)
        return split(rows, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "split", watch)
        found = train_heads(features, labels, outputs, objective)
        patch.setattr("steadytune.layers.inside.probes.EPOCHS", 0)
        first = train_heads(features, labels, outputs, objective)
    assert [sorted(order.tolist()) for order in orders] == [list(range(20))] * 3
    assert float(first.weight.abs().max()) < 0.1
    linear = torch.nn.Linear(4, outputs)
    with torch.no_grad():
        linear.weight.copy_(first.weight[0])
        linear.bias.zero_()
    optimizer = torch.optim.Adam(linear.parameters(), lr=1e-3)
    for order in orders:
        for rows in (order[:16], order[16:]):
            logits = linear(features[0, rows])
            if outputs == 1:
                loss = (logits[:, 0] - labels[rows]).square().mean()
            else:
                loss = -logits.log_softmax(-1)[torch.arange(len(rows)), labels[rows]].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert found.weight[0].numpy() == pytest.approx(linear.weight.detach().numpy(), abs=1e-5)


def test_probe_finds_encoded_classes_and_leaves_the_encoder_unchanged():
    encoder, task = make("bert", initializer_range=0.2), TASKS["cola"]
    train, evaluation = encoded(np.arange(300) % 2), encoded(np.arange(60) % 2, seed=1)
    for data in (train, evaluation):
        for ids, label in zip(data.input_ids, data.labels, strict=True):
            ids[1:-1] = 10 + label  # the class is in the text, not in the token that the head reads
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    batchers = [Batcher(data, encoder.padding, 32) for data in (train, evaluation)]
    states = sentence_states(encoder, batchers[1])
    assert states.shape == (4, 60, 16)
    assert float(states[0].std(dim=0).max()) == pytest.approx(0, abs=1e-6), "an embedding knows nothing of its text"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("steadytune.layers.inside.probes.LEARNING_RATE", 0.03)
        scores = probe(encoder, task, Classification(), *batchers)
    assert scores[0] == 0
    assert scores[-1] > 0.9
    assert all(torch.equal(value, before[name]) for name, value in encoder.model.state_dict().items())
    assert all(parameter.grad is None for parameter in encoder.model.parameters())
