"""The common interface to the architectures, on a tiny random model of each."""

import json
import re
import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from steadytune.encoders.loading import load_encoder, load_tokenizer
from steadytune.errors import SteadyTuneError
from steadytune.trials.tiny import LAYOUTS as CONFIGS
from steadytune.trials.tiny import tiny_encoder

every_layout = pytest.mark.parametrize("layout", CONFIGS)


def make_config(layout, num_labels=2, **changes):
    model_type, values = CONFIGS[layout]
    return AutoConfig.for_model(model_type, **(values | changes), num_labels=num_labels)


make = tiny_encoder


def make_inputs(layout, seed=0):
    """Three examples of 9, 6 and 4 tokens; with segment ids if the layout has them."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(6, 50, (3, 9), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    mask[2, 4:] = 0
    segments = (torch.arange(9).expand(3, 9) >= 3).long() * mask
    if layout == "xlnet":
        mask, segments = mask.flip(1), segments.flip(1)
    inputs = {"input_ids": ids * mask, "attention_mask": mask}
    return inputs | {"token_type_ids": segments} if layout in ("bert", "electra", "albert", "xlnet") else inputs


def run(encoder, inputs, seed=11, **options):
    torch.manual_seed(seed)
    return encoder(inputs, **options)


def head_on(encoder, inputs, hidden):
    """The logits of a pass whose last layer returns `hidden` (batch, tokens, width)."""
    last, native = encoder.layers()[-1], encoder.architecture.native(hidden)
    # Change only the last call, because in ALBERT one module is every layer.
    calls = iter(range(encoder.layers().count(last) - 1, -1, -1))

    def replace(module, args, output):
        if next(calls):
            return None
        return native if isinstance(output, torch.Tensor) else (native, *output[1:])

    with last.register_forward_hook(replace):
        return encoder(inputs).logits


def assert_all_equal(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert torch.equal(one, other)


@every_layout
@pytest.mark.parametrize("training", [False, True])
def test_forward_equals_the_bare_model_bit_for_bit(layout, training):
    encoder, inputs = make(layout), make_inputs(layout)
    encoder.model.train(training)
    torch.manual_seed(11)
    bare = encoder.model(**inputs).logits
    state = torch.get_rng_state()
    observed = {"on_layer_input": lambda layer, hidden: hidden, "keep_hidden": True, "resumable_from": 0}
    for options in ({}, observed):
        output = run(encoder, inputs, **options)
        assert torch.equal(output.logits, bare)
        assert torch.equal(torch.get_rng_state(), state)
    assert run(encoder, inputs).hidden == ()
    assert torch.equal(bare, encoder.model(**inputs).logits) is not training, "dropout is on in training only"


@every_layout
def test_hidden_states_equal_those_of_transformers(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    expected = encoder.model(**inputs, output_hidden_states=True).hidden_states
    hidden = encoder(inputs, keep_hidden=True).hidden
    assert len(hidden) == encoder.num_layers + 1 == 4
    assert {state.shape for state in hidden} == {(3, 9, encoder.width)}
    assert_all_equal(hidden, expected)


@every_layout
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_layer_input_can_be_replaced(layout, layer):
    encoder, inputs = make(layout), make_inputs(layout)
    other = encoder(make_inputs(layout, seed=1), keep_hidden=True)
    called = []

    def replace(index, hidden):
        called.append(index)
        return other.hidden[index] if index == layer else hidden

    before = encoder(inputs, keep_hidden=True).hidden
    output = encoder(inputs, on_layer_input=replace, keep_hidden=True)
    assert called == [0, 1, 2]
    # The masks are equal, so from `layer` upwards the pass equals the other one.
    assert torch.equal(output.logits, other.logits)
    assert_all_equal(output.hidden[: layer + 1], before[: layer + 1])
    assert_all_equal(output.hidden[layer + 1 :], other.hidden[layer + 1 :])


@every_layout
@pytest.mark.parametrize("start", [0, 1, 2])
def test_resume_reproduces_the_pass_with_dropout_on(layout, start):
    encoder, inputs = make(layout), make_inputs(layout)
    encoder.model.train()
    hidden = run(encoder, inputs, keep_hidden=True, resumable_from=start).hidden
    state = torch.get_rng_state()
    for _ in range(2):
        assert_all_equal(encoder.resume(start, hidden[start].contiguous()), hidden[start + 1 :])
        assert torch.equal(torch.get_rng_state(), state)


@every_layout
@pytest.mark.parametrize("start", [0, 1])
def test_resume_with_changed_states_equals_a_full_pass_with_them(layout, start):
    encoder, inputs = make(layout), make_inputs(layout)
    encoder.model.train()
    noise = torch.randn(3, 9, 16, generator=torch.Generator().manual_seed(3))

    def shift(layer, hidden):
        return hidden + noise if layer == start else hidden

    whole = run(encoder, inputs, on_layer_input=shift, keep_hidden=True).hidden
    clean = run(encoder, inputs, keep_hidden=True, resumable_from=0).hidden
    assert_all_equal(encoder.resume(start, clean[start] + noise), whole[start + 1 :])
    assert not torch.equal(clean[-1], whole[-1])


def test_noise_in_a_resumed_pass_uses_the_callers_rng_not_dropouts():
    encoder, inputs = make("bert"), make_inputs("bert")
    encoder.model.train()

    def noisy(layer, hidden):
        return hidden + 0 * torch.randn(hidden.shape)

    hidden = run(encoder, inputs, on_layer_input=noisy, keep_hidden=True, resumable_from=1).hidden
    torch.manual_seed(5)
    assert_all_equal(encoder.resume(1, hidden[1], on_layer_input=noisy), hidden[2:])
    after = torch.get_rng_state()
    torch.manual_seed(5)
    for _ in range(2):
        torch.randn(hidden[0].shape)
    assert torch.equal(torch.get_rng_state(), after)


def test_resume_requires_a_resumable_pass_right_before():
    encoder, inputs = make("bert"), make_inputs("bert")
    hidden = encoder(inputs, keep_hidden=True, resumable_from=1).hidden
    with pytest.raises(RuntimeError, match="resumable_from <= 0"):
        encoder.resume(0, hidden[0])
    with pytest.raises(ValueError, match=r"\(1, 9, 16\)"):
        encoder.resume(1, hidden[1][:1])
    for layer in (-1, 3):
        with pytest.raises(ValueError, match="layers 0 to 2"):
            encoder(inputs, resumable_from=layer)
    encoder(inputs)
    with pytest.raises(RuntimeError, match="right before"):
        encoder.resume(1, hidden[1])


@every_layout
def test_gradients_flow_through_hidden_states_and_changed_inputs(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    noise = [torch.zeros(3, 9, 16, requires_grad=True) for _ in range(3)]
    output = encoder(
        inputs, on_layer_input=lambda layer, hidden: hidden + noise[layer], keep_hidden=True, resumable_from=1
    )
    of_noise = torch.autograd.grad(output.logits[:, 0].sum(), noise, retain_graph=True)
    of_hidden = torch.autograd.grad(output.logits[:, 0].sum(), output.hidden, retain_graph=True)
    assert_all_equal(of_noise, of_hidden[:3])
    assert all(gradient.abs().sum() > 0 for gradient in of_hidden)
    table = encoder.model.get_input_embeddings().weight
    resumed = encoder.resume(1, output.hidden[1])
    for state in (output.hidden[0], resumed[-1]):
        (gradient,) = torch.autograd.grad((state * state.detach().cos()).sum(), table, retain_graph=True)
        assert gradient.abs().sum() > 0


@every_layout
def test_head_reads_only_the_sentence_token(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    output = encoder(inputs, keep_hidden=True)
    others = output.hidden[-1] + torch.linspace(-1, 1, 16)
    others[:, encoder.sentence_token] = output.hidden[-1][:, encoder.sentence_token]
    assert torch.equal(head_on(encoder, inputs, others), output.logits)
    changed = output.hidden[-1].clone()
    changed[:, encoder.sentence_token] += torch.linspace(-1, 1, 16)
    assert not torch.equal(head_on(encoder, inputs, changed), output.logits)


def test_xlnet_layer_gets_contiguous_states_after_a_hook():
    encoder, seen = make("xlnet"), []
    encoder.layers()[1].register_forward_hook(lambda _, args, __: seen.append(args[0].is_contiguous()))
    encoder(make_inputs("xlnet"), on_layer_input=lambda _, hidden: hidden.contiguous())
    assert seen == [True]


@every_layout
def test_word_embeddings_can_be_replaced(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    expected = encoder(inputs).logits
    seen = []

    def keep(words):
        seen.append(words)
        return words

    assert torch.equal(encoder(inputs, on_embeddings=keep).logits, expected)
    (words,) = seen
    assert torch.equal(words, encoder.model.get_input_embeddings().weight[inputs["input_ids"]])
    assert not torch.equal(encoder(inputs, on_embeddings=lambda words: words + 0.1).logits, expected)
    assert torch.equal(encoder(inputs).logits, expected), "the change outlived its pass"


@every_layout
def test_attention_outputs_can_be_changed_layer_by_layer(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    plain = encoder(inputs, keep_hidden=True, resumable_from=0)
    seen = []

    def change(layer, hidden):
        seen.append((layer, tuple(hidden.shape)))
        return hidden + 0.5 if layer == 1 else hidden

    changed = encoder(inputs, on_attention_output=change, keep_hidden=True)
    shape = (*inputs["input_ids"].shape, encoder.width)
    assert seen == [(layer, shape) for layer in range(encoder.num_layers)]
    assert torch.equal(changed.hidden[1], plain.hidden[1])
    assert not torch.allclose(changed.hidden[2], plain.hidden[2])
    encoder(inputs, keep_hidden=True, resumable_from=0)
    again = encoder.resume(0, plain.hidden[0], on_attention_output=change)
    for one, other in zip(again, changed.hidden[1:], strict=True):
        torch.testing.assert_close(one, other)


def test_segments_are_ignored_if_the_architecture_has_none():
    for layout in ("roberta", "distilbert", "deberta"):
        encoder, inputs = make(layout), make_inputs(layout)
        segments = torch.ones_like(inputs["input_ids"])
        assert torch.equal(encoder(inputs | {"token_type_ids": segments}).logits, encoder(inputs).logits)
    encoder, inputs = make("xlnet"), make_inputs("xlnet")
    segments = torch.ones_like(inputs["input_ids"]) * (torch.arange(9) > 7)
    assert not torch.equal(encoder(inputs | {"token_type_ids": segments}).logits, encoder(inputs).logits)
    with pytest.raises(SteadyTuneError, match=r"'atention_mask'.*did you mean 'attention_mask'"):
        encoder({"input_ids": inputs["input_ids"], "atention_mask": inputs["attention_mask"]})


def test_failed_pass_leaves_no_hooks():
    encoder, inputs = make("bert"), make_inputs("bert")

    def fail(layer, hidden):
        raise KeyError(layer)

    with pytest.raises(KeyError):
        encoder(inputs, on_layer_input=fail, keep_hidden=True)
    modules = list(encoder.model.modules())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in modules)


HEADS = {
    "bert": {"classifier"},
    "roberta": {"classifier.dense", "classifier.out_proj"},
    "electra": {"classifier.dense", "classifier.out_proj"},
    "albert": {"classifier"},
    "distilbert": {"pre_classifier", "classifier"},
    "xlnet": {"sequence_summary.summary", "logits_proj"},
    "deberta": {"pooler.dense", "classifier"},
    "deberta-v3": {"pooler.dense", "classifier"},
    "deberta-v2-xlarge": {"pooler.dense", "classifier"},
}


@every_layout
def test_parameters_split_into_head_embeddings_layers_and_pooler(layout):
    encoder = make(layout)
    head = encoder.head_parameters()
    assert set(head) == {f"{module}.{kind}" for module in HEADS[layout] for kind in ("weight", "bias")}
    everything = dict(encoder.model.named_parameters())
    assert head | encoder.encoder_parameters() == everything
    assert not head.keys() & encoder.encoder_parameters().keys()
    layers = [encoder.layer_parameters(layer).keys() for layer in range(3)]
    embeddings = encoder.embedding_parameters().keys()
    assert any("word_embedding" in name for name in embeddings)
    rest = everything.keys() - head.keys() - embeddings - layers[0] - layers[1] - layers[2]
    assert all("pooler" in name for name in rest)
    assert bool(rest) == (layout in ("bert", "albert"))
    if layout == "albert":
        assert layers[0] == layers[1] == layers[2]
        assert len(set(encoder.layers())) == 1
    else:
        assert not layers[0] & layers[1]
        assert not embeddings & layers[0]
    assert any(".conv." in name for name in layers[0]) == (layout == "deberta-v2-xlarge")


# Dropouts that keep their rate: attention probabilities, and heads whose rate has its own configuration key.
KEPT_DROPOUT = {
    "bert": r"attention\.self\.dropout",
    "roberta": r"attention\.self\.dropout",
    "electra": r"attention\.self\.dropout",
    "albert": r"attention_dropout|^dropout",
    "distilbert": r"attention\.dropout|^dropout",
    "xlnet": r"sequence_summary",
    "deberta": r"attention\.self\.dropout|^pooler",
    "deberta-v3": r"attention\.self\.dropout|^pooler",
    "deberta-v2-xlarge": r"attention\.self\.dropout|^pooler",
}


@every_layout
def test_set_hidden_dropout_changes_only_hidden_dropout_modules(layout):
    encoder = make(layout)
    modules = {n: m for n, m in encoder.model.named_modules() if isinstance(m, torch.nn.Dropout)}
    before = {name: module.p for name, module in modules.items()}
    weights = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    state = torch.get_rng_state()
    encoder.set_hidden_dropout(0.0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[name]) for name, value in encoder.model.state_dict().items())
    kept = {name for name in before if re.search(KEPT_DROPOUT[layout], name)}
    assert kept
    assert kept != set(before)
    assert {name: module.p for name, module in modules.items()} == {
        name: before[name] if name in kept else 0.0 for name in before
    }
    encoder.truncate(2)
    encoder.set_hidden_dropout(0.25)
    remaining = {n: m.p for n, m in encoder.model.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert remaining == {name: before[name] if name in kept else 0.25 for name in remaining}
    with pytest.raises(SteadyTuneError, match=r"1\.5"):
        encoder.set_hidden_dropout(1.5)


@every_layout
@pytest.mark.parametrize("at", [1, 2])
def test_truncated_model_applies_the_head_to_a_lower_layer(layout, at, tmp_path):
    encoder, inputs = make(layout), make_inputs(layout)
    full = encoder(inputs, keep_hidden=True)
    expected = head_on(encoder, inputs, full.hidden[at])
    encoder.truncate(at)
    output = encoder(inputs, keep_hidden=True)
    assert encoder.num_layers == at
    assert torch.equal(output.logits, expected)
    assert_all_equal(output.hidden, full.hidden[: at + 1])
    # The saved folder is a complete model of that depth.
    encoder.model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(again(**inputs).logits, expected)


def test_impossible_truncation_is_refused():
    for at in (0, 4):
        with pytest.raises(SteadyTuneError, match=f"cannot keep {at} layers"):
            make("bert").truncate(at)
    with pytest.raises(SteadyTuneError, match="ALBERT"):
        make("albert", num_hidden_groups=3).truncate(1)


def test_albert_with_groups_counts_every_call_as_a_layer():
    encoder = make("albert", num_hidden_groups=2, num_hidden_layers=4, inner_group_num=2)
    inputs = make_inputs("albert")
    expected = encoder.model(**inputs, output_hidden_states=True).hidden_states
    assert encoder.num_layers == 8
    assert len(set(encoder.layers())) == 4
    assert_all_equal(encoder(inputs, keep_hidden=True).hidden, expected)


# ---------------------------------------------------------------------------------------------------- loading


def save_base(layout, folder, dtype=torch.float32, **changes):
    """Save a bare encoder, as published checkpoints are; return its weights."""
    torch.manual_seed(1)
    model = AutoModel.from_config(make_config(layout, **changes)).to(dtype)
    model.save_pretrained(folder)
    return model.state_dict()


@every_layout
def test_loaded_head_depends_only_on_the_seed(layout, tmp_path):
    saved = save_base(layout, tmp_path)
    torch.manual_seed(3)
    first = load_encoder(tmp_path, 3, init_seed=0)
    torch.manual_seed(4)
    state = torch.get_rng_state()
    second = load_encoder(tmp_path, 3, init_seed=0)
    third = load_encoder(tmp_path, 3, init_seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert set(first.fresh) == set(first.head_parameters())
    assert not first.model.training
    prefix = first.model.base_model_prefix
    weights = first.model.state_dict()
    for name, value in saved.items():
        assert f"{prefix}.{name}" not in weights or torch.equal(weights[f"{prefix}.{name}"], value)
    assert_all_equal(list(weights.values()), list(second.model.state_dict().values()))
    for name, value in third.model.state_dict().items():
        same = name not in first.fresh or name.endswith("bias")
        assert torch.equal(value, weights[name]) == same
        if name in first.fresh and same:
            assert not value.any()
    assert first(make_inputs(layout)).logits.shape == (3, 3)


def test_half_precision_weights_are_loaded_in_single_precision(tmp_path):
    saved = save_base("bert", tmp_path, torch.float16)
    model = load_encoder(tmp_path, 1, 0).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert torch.equal(model.bert.pooler.dense.weight, saved["pooler.dense.weight"].float())
    assert model.classifier.out_features == 1


def test_missing_pooler_is_initialised_and_counts_as_head(tmp_path):
    AutoModelForMaskedLM.from_config(make_config("bert")).save_pretrained(tmp_path)
    encoder = load_encoder(tmp_path, 2, 0)
    expected = {f"{module}.{kind}" for module in ("bert.pooler.dense", "classifier") for kind in ("weight", "bias")}
    assert set(encoder.fresh) == set(encoder.head_parameters()) == expected
    assert not any("pooler" in name for name in encoder.encoder_parameters())
    different = load_encoder(tmp_path, 2, 1).model
    assert not torch.equal(different.bert.pooler.dense.weight, encoder.model.bert.pooler.dense.weight)


@pytest.mark.parametrize("num_labels", [2, 3])
def test_tuned_checkpoint_keeps_its_dense_layer_but_not_its_output(num_labels, tmp_path):
    tuned = AutoModelForSequenceClassification.from_config(make_config("deberta", num_labels=3))
    tuned.save_pretrained(tmp_path)
    encoder = load_encoder(tmp_path, num_labels, 0)
    assert encoder.fresh == ("classifier.weight", "classifier.bias")
    assert torch.equal(encoder.model.pooler.dense.weight, tuned.pooler.dense.weight)
    assert encoder.model.classifier.weight.shape == (num_labels, 16)
    assert not torch.equal(encoder.model.classifier.weight[:2], tuned.classifier.weight[:2])
    assert "pooler.dense.weight" in encoder.head_parameters()


def test_random_weights_depend_on_the_seed_and_need_no_weight_file(tmp_path):
    make_config("bert").save_pretrained(tmp_path)
    state = torch.get_rng_state()
    first, again, other = (load_encoder(tmp_path, 2, seed, "random").model for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert_all_equal(list(first.state_dict().values()), list(again.state_dict().values()))
    assert not torch.equal(
        first.bert.encoder.layer[2].output.dense.weight, other.bert.encoder.layer[2].output.dense.weight
    )
    # BERT's own initialisation: N(0, 0.02).
    assert first.bert.embeddings.word_embeddings.weight[1:].std().item() == pytest.approx(0.02, rel=0.1)
    encoder = load_encoder(tmp_path, 2, 0, "random")
    assert set(encoder.fresh) == {name for name, _ in encoder.model.named_parameters()}
    assert "bert.pooler.dense.weight" in encoder.head_parameters()


def rewrite_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 4}, r"lack 16 encoder parameters .*: bert\.encoder\.layer\.3\..*, \.\.\."),
        ({"intermediate_size": 64}, r"lack 9 encoder parameters .*another shape.*intermediate"),
        ({"model_type": "bart"}, r"config\.json: model_type 'bart'.*encoder-decoder"),
    ],
)
def test_checkpoint_that_disagrees_with_its_config_is_refused(changes, message, tmp_path):
    save_base("bert", tmp_path)
    rewrite_config(tmp_path, **changes)
    with pytest.raises(SteadyTuneError, match=message):
        load_encoder(tmp_path, 2, 0)


def test_unusable_folder_is_refused_with_the_reason(tmp_path):
    with pytest.raises(SteadyTuneError, match="nowhere: no such encoder folder"):
        load_encoder(tmp_path / "nowhere", 2, 0)
    with pytest.raises(SteadyTuneError, match=r"no config\.json"):
        load_encoder(tmp_path, 2, 0)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SteadyTuneError, match="not valid JSON"):
        load_encoder(tmp_path, 2, 0)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SteadyTuneError, match="no model_type"):
        load_encoder(tmp_path, 2, 0)
    make_config("bert").save_pretrained(tmp_path)
    with pytest.raises(SteadyTuneError, match=r"no weights; expected model\.safetensors"):
        load_encoder(tmp_path, 2, 0)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(SteadyTuneError, match=r"only pickle weights \(pytorch_model\.bin\)"):
        load_encoder(tmp_path, 2, 0)


def test_tokenizer_needs_a_vocabulary_file(tmp_path):
    make_config("bert").save_pretrained(tmp_path)
    with pytest.raises(SteadyTuneError, match=r"no tokenizer; expected one of tokenizer\.json"):
        load_tokenizer(tmp_path)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    assert load_tokenizer(tmp_path)("Hello world")["input_ids"] == [2, 5, 6, 3]


def test_importing_the_loader_does_not_import_transformers():
    code = "import sys, steadytune.encoders.loading; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
