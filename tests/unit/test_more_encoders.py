"""Architectures beyond those of the papers, on tiny random models: ModernBERT, RoBERTa's relatives, MPNet, decoders."""

import json

import pytest
import torch
from safetensors.torch import save_file
from test_encoders import CONFIGS, assert_all_equal, run
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from steadytune.encoders.architectures import DECODERS as DECODER_TYPES
from steadytune.encoders.architectures import TESTED, check_supported
from steadytune.encoders.loading import load_encoder
from steadytune.errors import SteadyTuneError
from steadytune.methods import registry
from steadytune.methods.base import Setup
from steadytune.methods.support.objective import Classification
from steadytune.streams import Streams
from steadytune.trials.tiny import DECODERS, ENCODERS, GROUPED, ROBERTA, tiny_encoder
from steadytune.trials.tiny import PLAIN as COMMON

PRE_NORM = {"modernbert": "model.final_norm", "eurobert": "model.norm"} | dict.fromkeys(DECODERS, "model.norm")
PRE_NORM |= {"gpt2": "transformer.ln_f", "modernbert-decoder": "model.final_norm"}
LAYOUTS = ENCODERS | DECODERS
every_layout = pytest.mark.parametrize("layout", LAYOUTS)
every_decoder = pytest.mark.parametrize("layout", DECODERS)


make = tiny_encoder


def make_inputs(layout, seed=0, extra=0):
    """Three examples of 9, 6 and 4 tokens, with `extra` more padding tokens than they need."""
    ids = torch.randint(6, 50, (3, 9), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[1, 6:] = mask[2, 4:] = 0
    ids = torch.where(mask == 1, ids, LAYOUTS[layout]["pad_token_id"])
    if extra:
        ids = nn.functional.pad(ids, (0, extra), value=LAYOUTS[layout]["pad_token_id"])
        mask = nn.functional.pad(mask, (0, extra))
    if layout in DECODERS:
        order = torch.argsort(mask, dim=1, stable=True)
        ids, mask = ids.gather(1, order), mask.gather(1, order)
    return {"input_ids": ids, "attention_mask": mask}


def bare_inputs(layout, inputs):
    """Inputs for transformers' own model: GPT-2 needs position ids that skip the left padding."""
    if layout != "gpt2":
        return inputs
    return inputs | {"position_ids": (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)}


def test_every_supported_architecture_is_tested():
    assert {model_type for model_type, _ in CONFIGS.values()} | LAYOUTS.keys() == TESTED
    assert set(DECODERS) == set(DECODER_TYPES)


@every_layout
@pytest.mark.parametrize("training", [False, True])
def test_forward_equals_the_bare_model(layout, training):
    encoder, inputs = make(layout), make_inputs(layout)
    encoder.model.train(training)
    torch.manual_seed(11)
    bare = encoder.model(**bare_inputs(layout, inputs)).logits
    seen = {"on_layer_input": lambda layer, hidden: hidden, "keep_hidden": True, "resumable_from": 0}
    assert torch.equal(run(encoder, inputs).logits, bare)
    assert torch.equal(run(encoder, inputs, **seen).logits, bare)


@every_layout
def test_hidden_states_equal_those_of_transformers(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    expected = encoder.model(**bare_inputs(layout, inputs), output_hidden_states=True).hidden_states
    hidden = encoder(inputs, keep_hidden=True).hidden
    assert len(hidden) == 4
    assert_all_equal(hidden[:3], expected[:3])
    norm = encoder.model.get_submodule(PRE_NORM[layout]) if layout in PRE_NORM else nn.Identity()
    assert torch.equal(norm(hidden[3]), expected[3])


@every_layout
def test_on_layer_input_hook_runs_once_per_layer_and_takes_effect(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    other = encoder(make_inputs(layout, seed=1), keep_hidden=True)
    for layer in range(3):
        called = []

        def replace(index, hidden, layer=layer, called=called):
            called.append(index)
            return other.hidden[index] if index == layer else hidden

        output = encoder(inputs, on_layer_input=replace, keep_hidden=True)
        assert called == [0, 1, 2]
        assert_all_equal(output.hidden[layer + 1 :], other.hidden[layer + 1 :])


@every_layout
def test_attention_outputs_can_be_changed(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    plain, seen = encoder(inputs, keep_hidden=True), []

    def change(layer, hidden):
        seen.append((layer, tuple(hidden.shape)))
        return hidden + torch.linspace(0, 1, 16) if layer == 1 else hidden

    changed = encoder(inputs, on_attention_output=change, keep_hidden=True)
    assert seen == [(layer, (3, 9, 16)) for layer in range(3)]
    assert torch.equal(changed.hidden[1], plain.hidden[1])
    assert not torch.allclose(changed.hidden[2], plain.hidden[2])


@every_layout
@pytest.mark.parametrize("start", [0, 2])
def test_resume_replays_the_pass(layout, start):
    encoder, inputs = make(layout), make_inputs(layout)
    encoder.model.train()
    noise = torch.randn(3, 9, 16, generator=torch.Generator().manual_seed(3))

    def shift(layer, hidden):
        return hidden + noise if layer == start else hidden

    whole = run(encoder, inputs, on_layer_input=shift, keep_hidden=True).hidden
    clean = run(encoder, inputs, keep_hidden=True, resumable_from=0).hidden
    for _ in range(2):
        assert_all_equal(encoder.resume(start, clean[start]), clean[start + 1 :])
        assert_all_equal(encoder.resume(start, clean[start] + noise), whole[start + 1 :])


@every_layout
def test_padding_does_not_change_logits(layout):
    encoder = make(layout)
    short, long = (encoder(make_inputs(layout, extra=extra)).logits for extra in (0, 3))
    torch.testing.assert_close(short, long, atol=1e-6, rtol=1e-5)


@every_layout
def test_head_reads_only_the_sentence_token(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    token = encoder.sentence_token
    assert token == (-1 if layout in DECODERS else 0)
    logits = encoder(inputs).logits

    def change_from(mark):
        def change(module, args, output):
            state = output if isinstance(output, torch.Tensor) else output[0]
            new = state + mark[None, :, None] * torch.linspace(-1, 1, 16)
            return new if isinstance(output, torch.Tensor) else (new, *output[1:])

        with encoder.layers()[-1].register_forward_hook(change):
            return encoder(inputs).logits

    own = torch.zeros(9)
    own[token] = 1
    assert not torch.equal(change_from(own), logits)
    assert torch.equal(change_from(1 - own), logits)


@every_layout
def test_truncated_model_saves_as_a_shallower_model(layout, tmp_path):
    encoder, inputs = make(layout), make_inputs(layout)
    full = encoder(inputs, keep_hidden=True)
    encoder.truncate(2)
    output = encoder(inputs, keep_hidden=True)
    assert_all_equal(output.hidden, full.hidden[:3])
    encoder.model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert again.config.num_hidden_layers == 2
    assert torch.equal(again(**bare_inputs(layout, inputs)).logits, output.logits)


@every_layout
def test_head_embeddings_and_layers_partition_the_parameters(layout):
    encoder = make(layout)
    everything = dict(encoder.model.named_parameters())
    head, embeddings = encoder.head_parameters(), encoder.embedding_parameters()
    layers = [encoder.layer_parameters(layer) for layer in range(3)]
    parts = [head, embeddings, *layers]
    assert sum(map(len, parts)) == len(everything) == len({name for part in parts for name in part})
    assert all(parts)
    assert any(name.startswith(encoder.architecture.output_layer) for name in head)


def test_hidden_dropout_of_modernbert_spares_head_and_attention():
    encoder = make("modernbert")
    encoder.set_hidden_dropout(0.0)
    rates = {name: m.p for name, m in encoder.model.named_modules() if isinstance(m, nn.Dropout)}
    kept = {"drop", *(f"model.layers.{layer}.attn.out_drop" for layer in range(3))}
    assert {name for name, rate in rates.items() if rate} == kept, "the head's rate and attention's are others"


@pytest.mark.parametrize("layout", ["eurobert", "gemma", "llama", "olmo", "qwen2", "qwen3"])
def test_setting_dropout_on_a_decoder_without_any_is_refused(layout):
    encoder = make(layout)
    encoder.set_hidden_dropout(0.0)
    with pytest.raises(SteadyTuneError, match=f"{layout}.* expected 0"):
        encoder.set_hidden_dropout(0.1)


@every_layout
def test_loaded_checkpoint_keeps_weights_and_matches_transformers(layout, tmp_path):
    torch.manual_seed(1)
    config = AutoConfig.for_model(layout, **LAYOUTS[layout])
    saved = AutoModel.from_config(config)
    saved.save_pretrained(tmp_path)
    first, second, third = (load_encoder(tmp_path, 3, seed) for seed in (0, 0, 1))
    weights, inputs = first.model.state_dict(), make_inputs(layout)
    for name, value in saved.state_dict().items():
        inner = f"{first.model.base_model_prefix}.{name}"
        assert inner not in weights or torch.equal(weights[inner], value)
    assert_all_equal(list(weights.values()), list(second.model.state_dict().values()))
    output = f"{first.architecture.output_layer}.weight"
    assert not torch.equal(weights[output], third.model.state_dict()[output])
    # Compare the project's own attention, in training mode without dropout, with transformers'.
    bare = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3).eval()
    bare.load_state_dict(weights)
    first.model.train()
    for module in first.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    for whole in (inputs, {name: value[:1] for name, value in inputs.items()}):
        torch.testing.assert_close(first(whole).logits, bare(**bare_inputs(layout, whole)).logits, atol=1e-5, rtol=1e-4)


@every_layout
def test_lora_starts_as_the_bare_model_with_gradients_in_every_layer(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    before = encoder(inputs).logits
    (part,), _ = registry.parse("lora", {})
    part.build().prepare(Setup(encoder, Streams(0), Classification(), None))
    assert torch.equal(encoder(inputs).logits, before)
    trained = {name for name, p in encoder.model.named_parameters() if p.requires_grad and ".lora_B." in name}
    assert len(trained) == 3 * len(encoder.architecture.projections)
    encoder(inputs).logits.sum().backward()
    for layer in range(3):
        assert any(p.grad.any() for name, p in encoder.layer_parameters(layer).items() if name in trained)


@pytest.mark.parametrize("layout", ["gemma", "gpt2", "llama", "olmo", "qwen2", "qwen3"])
def test_decoder_without_a_padding_token_gets_one(layout, tmp_path):
    config = AutoConfig.for_model(layout, **(LAYOUTS[layout] | {"pad_token_id": None}))
    AutoModel.from_config(config).save_pretrained(tmp_path)
    encoder = load_encoder(tmp_path, 2, 0)
    assert (encoder.padding.token, encoder.padding.left) == (2, True)
    assert encoder(make_inputs(layout)).logits.shape == (3, 2)
    with pytest.raises(SteadyTuneError, match="span head"):
        load_encoder(tmp_path, 2, 0, head="span")


@pytest.mark.parametrize(
    ("kind", "changes", "projections"),
    [
        ("mistral", GROUPED, ("self_attn.q_proj", "self_attn.v_proj")),
        ("opt", COMMON | {"ffn_dim": 32, "word_embed_proj_dim": 16}, ("self_attn.v_proj", "self_attn.q_proj")),
        ("ernie", ROBERTA, ("attention.self.query", "attention.self.value")),
        ("gpt_neox", COMMON, ("attention.query_key_value",)),
    ],
)
def test_untested_type_with_known_structure_loads_with_a_note(kind, changes, projections, tmp_path):
    AutoModel.from_config(AutoConfig.for_model(kind, **changes)).save_pretrained(tmp_path)
    check_supported(tmp_path)
    encoder = load_encoder(tmp_path, 2, 0)
    assert encoder.architecture.projections == projections
    assert any(kind in note for note in encoder.notes)


@pytest.mark.parametrize(
    ("kind", "changes", "why"),
    [
        ("bloom", COMMON | {"n_layer": 3, "n_head": 2}, "left to right"),
        ("longformer", ROBERTA | {"attention_window": 4}, "hidden states"),
        ("flaubert", {"emb_dim": 16, "n_layers": 3, "n_heads": 2, "vocab_size": 50}, "attention"),
        ("bart", {}, "encoder-decoder"),
    ],
)
def test_type_with_unsupported_structure_is_refused_with_the_reason(kind, changes, why, tmp_path):
    config = AutoConfig.for_model(kind, **changes)
    config.save_pretrained(tmp_path)
    if kind != "bart":
        AutoModel.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(SteadyTuneError, match=f"{kind}.*{why}"):
        load_encoder(tmp_path, 2, 0)


@pytest.mark.parametrize("layout", ["modernbert", "modernbert-decoder"])
def test_embeddings_are_read_from_the_tied_output_layer(layout, tmp_path):
    config = AutoConfig.for_model(layout, **LAYOUTS[layout])
    saved = AutoModel.from_config(config)
    state, words = saved.state_dict(), "embeddings.tok_embeddings.weight"
    renamed = {f"model.{name}": tensor for name, tensor in state.items() if name != words}
    config.save_pretrained(tmp_path)
    save_file(renamed | {"decoder.weight": state[words].clone()}, tmp_path / "model.safetensors", {"format": "pt"})
    encoder = load_encoder(tmp_path, 2, 0)
    assert torch.equal(encoder.model.get_input_embeddings().weight, state[words])
    assert any("decoder.weight" in note for note in encoder.notes)
    save_file(renamed, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(SteadyTuneError, match="tok_embeddings"):
        load_encoder(tmp_path, 2, 0)


def test_attention_kernel_is_the_requested_one_and_flash_is_refused(tmp_path):
    for layout, asked, used in (("modernbert", "sdpa", "sdpa"), ("modernbert", "eager", "eager")):
        AutoModel.from_config(AutoConfig.for_model(layout, **LAYOUTS[layout])).save_pretrained(tmp_path)
        encoder = load_encoder(tmp_path, 2, 0, attention=asked)
        assert encoder.attention == used
    with pytest.raises(SteadyTuneError, match=r"(?i)flash"):
        load_encoder(tmp_path, 2, 0, attention="flash")


def test_checkpoint_that_needs_its_own_code_is_refused(tmp_path):
    values = {"model_type": "neobert", "auto_map": {"AutoModel": "model.NeoBERT"}}
    (tmp_path / "config.json").write_text(json.dumps(values))
    for use in (lambda: load_encoder(tmp_path, 2, 0), lambda: check_supported(tmp_path)):
        with pytest.raises(SteadyTuneError, match=r"neobert.*code"):
            use()
