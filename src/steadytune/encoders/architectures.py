"""Find the parts of an encoder by its structure; the exceptions by model type are listed here.

A layout describes the `...ForSequenceClassification` class of transformers, whose head is the one that the papers
fine-tuned, or the `...ForQuestionAnswering` class, whose head is one linear layer on every token. A *layer* is one
Transformer layer in the order of the calls; ALBERT calls the same module repeatedly. `EXCEPTIONS` holds what structure
does not show. Types in `TESTED` are covered by the generic tests; other types are checked on loading (`trying.py`).

The pooler of BERT and ALBERT is pretrained (next sentence, sentence order) and belongs to the encoder. Other types have
no pretrained pooler: the dense layer below their output layer is part of the classification head.

Layers of ModernBERT, EuroBERT and decoders normalise their input, not their output (pre-norm). hidden[L] is then the
output of the last layer before the model's final norm, so that all hidden states are of the same kind.
"""

import inspect
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from steadytune.encoders.weight_files import INDEX, check_weight_files
from steadytune.errors import SteadyTuneError, nearest
from steadytune.files import read_json

if TYPE_CHECKING:
    from torch import Tensor, nn

# `Any`, because model classes share no typed interface beyond nn.Module.
Model = Any

Head = Literal["sentence", "span"]
"""`sentence`: classes or a score for the whole input. `span`: whether an answer starts, and ends, at each token."""

NO_TOKEN = -1e4
"""Logit of padding as the start or end of an answer; its probability is then 0 in every precision."""

ENCODERS = ("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "eurobert", "modernbert",
            "mpnet", "roberta", "xlm-roberta", "xlnet")  # fmt: skip
DECODERS = ("gemma", "gpt2", "llama", "modernbert-decoder", "olmo", "qwen2", "qwen3")
ENCODER_DECODERS = ("bart", "mbart", "mt5", "mvp", "plbart", "t5", "umt5")
TESTED = frozenset((*ENCODERS, *DECODERS))
"""Model types that the generic tests cover."""

EXCEPTIONS: dict[str, dict[str, Any]] = {
    "albert": {"sublayers": ("attention.output_dropout", "ffn_output")},
    # DeBERTa's attention overflows in fp16.
    "deberta": {"fp16": False},
    "deberta-v2": {"fp16": False},
    # The norm after the attention's residual is outside the attention module.
    "distilbert": {"attention_block": "sa_layer_norm", "sublayers": ("attention.out_lin", "ffn")},
    # The attention's projections are bare parameters of one module, so no module can replace or follow them.
    "xlnet": {"sequence_first": True, "reads_last_token": True, "sublayers": (), "projections": ()},
}
"""What structure does not show, by model type."""

LINEAR = ("Linear", "NonDynamicallyQuantizableLinear", "Conv1D")
"""Classes of linear layers; the last is GPT-2's."""
DROPOUT_KEY = re.compile(r"(?!.*(att|classif|summary|pooler|qa_|seq_|layer_?drop)).*(dropout|dropout_prob|_pdrop)")
QUERY_OR_VALUE = re.compile(r"[qv](uery|alue)?(_proj|_lin)?")
FUSED = re.compile(r"Wqkv|in_proj|c_attn|query_key_value|qkv(_proj)?")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The layout of one model.

    stack: path of the list of layers in the model.
    output_layer: path of the linear layer that gives the logits.
    span: whether the head is a span head.
    pooler: path of a pooler that belongs to the pretrained encoder, or None.
    hidden_dropout: the configuration keys of the dropout on hidden states; empty if the model has no such dropout.
    sequence_first: whether the layers work on (tokens, batch, width).
    reads_last_token: whether the head reads the last token, so that padding comes first.
    counts_positions: whether it needs explicit position ids, because it would count padding in front.
    fp16: whether training in fp16 is safe.
    takes_segments: whether the forward pass takes `token_type_ids` for segments.
    attention_block: path, inside a layer, of the module that returns the self-attention block's output: after its
        residual and LayerNorm; in pre-norm layers before the residual is added, where adding noise is equivalent.
    sublayers: paths, inside a layer, of the modules that return the outputs of self-attention and feed-forward right
        before each residual is added; empty if the layout has no such modules.
    projections: paths, inside a layer, of the linear layers that compute queries and values (fused ones: also keys).
    """

    stack: str
    output_layer: str
    span: bool
    pooler: str | None
    hidden_dropout: tuple[str, ...]
    reads_last_token: bool
    counts_positions: bool
    takes_segments: bool
    attention_block: str
    sublayers: tuple[str, ...]
    projections: tuple[str, ...]
    sequence_first: bool = False
    fp16: bool = True

    def logits(self, output: Any, attention_mask: "Tensor | None") -> "Tensor":
        """Extract the logits from the model's output; with a span head, those of padding become `NO_TOKEN`."""
        if not self.span:
            return output.logits
        import torch

        logits = torch.stack((output.start_logits, output.end_logits), dim=1)
        return logits if attention_mask is None else logits.masked_fill(attention_mask[:, None] == 0, NO_TOKEN)

    def layers(self, model: Model) -> "list[nn.Module]":
        """The layer modules in the order of their calls in a forward pass."""
        return list(model.get_submodule(self.stack))

    def truncate(self, model: Model, at: int) -> None:
        """Keep the lowest `at` layers, in the model and in its configuration."""
        parent, _, name = self.stack.rpartition(".")
        setattr(model.get_submodule(parent), name, model.get_submodule(self.stack)[:at])
        model.config.num_hidden_layers = at
        if getattr(model.config, "layer_types", None):
            model.config.layer_types = model.config.layer_types[:at]

    def after_first_layer(self, model: Model) -> "nn.Module | None":
        """DeBERTa-v2's convolution between layer 0 and layer 1, which also reads the input of layer 0, or None."""
        return getattr(model.get_submodule(self.stack.rpartition(".")[0]), "conv", None)

    def batch_first(self, hidden: "Tensor") -> "Tensor":
        """Convert a hidden state from the layers' layout to (batch, tokens, width)."""
        return hidden.transpose(0, 1) if self.sequence_first else hidden

    def native(self, hidden: "Tensor") -> "Tensor":
        """Convert a hidden state (batch, tokens, width) to the layers' layout.

        Contiguous, because the memory layout determines which kernel runs, and so the last bits.
        """
        return hidden.transpose(0, 1).contiguous() if self.sequence_first else hidden


class Albert(Architecture):
    """ALBERT, which shares its layers: its list of layers is the list of calls."""

    def layers(self, model: Model) -> "list[nn.Module]":
        """One entry per call, so the same module occurs several times."""
        groups = model.get_submodule(self.stack)
        per_group = model.config.num_hidden_layers / len(groups)
        order = [int(layer / per_group) for layer in range(model.config.num_hidden_layers)]
        return [layer for group in order for layer in groups[group].albert_layers]

    def truncate(self, model: Model, at: int) -> None:
        """Call the shared layer `at` times."""
        groups = model.get_submodule(self.stack)
        if len(groups) > 1 or len(groups[0].albert_layers) > 1:
            raise SteadyTuneError("an ALBERT with several layer groups, or several layers a group, cannot be truncated")
        model.config.num_hidden_layers = at


def find_architecture(model: Model) -> Architecture:
    """Find the layout of a model with a head.

    Raises:
        SteadyTuneError: its layers, attention or head cannot be found, or it is a decoder with a span head.
    """
    from torch import nn

    kind, prefix, base = model.config.model_type, model.base_model_prefix, model.base_model
    lists = [(path, module) for path, module in base.named_modules() if isinstance(module, nn.ModuleList)]
    count = model.config.num_hidden_layers
    stack = next((path for path, found in lists if len(found) == count or path.endswith("albert_layer_groups")), None)
    heads = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    heads = [path for path in heads if not path.startswith(f"{prefix}.")]
    if stack is None or not heads:
        raise SteadyTuneError(f"model_type '{kind}': {'no head' if stack else f'no list of its {count} layers'} found")
    layer = base.get_submodule(stack)[0]
    layer = getattr(layer, "albert_layers", [layer])[0]
    named = {path: module for path, module in layer.named_modules() if path}
    block = next((path for path, found in named.items() if "Attention" in type(found).__name__), None)
    if block is None:
        raise SteadyTuneError(f"model_type '{kind}': no attention found in its layers")
    # A sublayer's output is that of its last linear or dropout module, right before the residual is added.
    linear = [path for path, found in named.items() if type(found).__name__ in LINEAR]
    width = model.config.hidden_size
    giving = [path for path, found in named.items() if isinstance(found, nn.Dropout | nn.Identity)
              or (path in linear and width in (found.weight.shape[0], getattr(found, "nf", 0)))]  # fmt: skip
    inside = [path for path in giving if path.startswith(f"{block}.")]
    beside = [path for path in giving if path not in inside]
    causal = any(getattr(module, "is_causal", False) for module in layer.modules())
    span, parameters = "ForQuestionAnswering" in type(model).__name__, inspect.signature(base.forward).parameters
    found = {
        "stack": f"{prefix}.{stack}",
        "output_layer": heads[-1],
        "span": span,
        "pooler": f"{prefix}.pooler" if getattr(base, "pooler", None) is not None else None,
        "hidden_dropout": _dropout_keys(model.config),
        "reads_last_token": causal,
        "counts_positions": causal and _has_position_table(base, model.config),
        "takes_segments": "token_type_ids" in parameters and not causal,
        "attention_block": block,
        "sublayers": (inside[-1], beside[-1]) if inside and beside else (),
        "projections": _projections([path for path in linear if path.startswith(f"{block}.")]),
    } | EXCEPTIONS.get(kind, {})
    if span and causal:
        raise SteadyTuneError(f"model_type '{kind}' has no span head here: expected an encoder")
    found["reads_last_token"] &= not span
    return (Albert if kind == "albert" else Architecture)(**found)


def _projections(paths: list[str]) -> tuple[str, ...]:
    """The paths of the query and value projections, or of the fused projection."""
    for pattern in (QUERY_OR_VALUE, FUSED):
        if found := tuple(path for path in paths if pattern.fullmatch(path.rpartition(".")[2])):
            return found
    return ()


def _dropout_keys(config: Any) -> tuple[str, ...]:
    values = config.to_dict()
    return tuple(key for key in values if DROPOUT_KEY.fullmatch(key) and type(values[key]) in (int, float))


def _has_position_table(base: Model, config: Any) -> bool:
    """Whether learned positions are read from a table by counting from the first token, padding included."""
    from torch import nn

    size, words = getattr(config, "max_position_embeddings", None), base.get_input_embeddings()
    tables = [module for module in base.modules() if type(module) is nn.Embedding and module is not words]
    return any(table.num_embeddings == size for table in tables)


def is_decoder(config: dict[str, Any]) -> bool:
    """Whether a config.json belongs to a causal model, whose head reads the last token."""
    written_by = config.get("architectures") or ()
    return config["model_type"] in DECODERS or any("CausalLM" in str(name) for name in written_by)


def check_model_type(config: dict[str, Any], where: str) -> None:
    """Check that `config`, read from `where`, is that of a transformers encoder or decoder; needs no torch.

    Raises:
        SteadyTuneError: the model type is an encoder-decoder, or unknown to transformers.
    """
    package, kind = find_spec("transformers"), str(config["model_type"])
    assert package is not None and package.origin is not None
    if config.get("is_encoder_decoder") or kind in ENCODER_DECODERS:
        raise SteadyTuneError(f"{where}: model_type '{kind}' is an encoder-decoder: expected an encoder or a decoder")
    tables = (Path(package.origin).parent / "models" / "auto").glob("*mapping*.py")
    if kind not in TESTED and not any(f'"{kind}"' in table.read_text(encoding="utf-8") for table in tables):
        remote = "needs code from the checkpoint, which is never run"
        reason = remote if "auto_map" in config else "is not one of transformers"
        raise SteadyTuneError(f"{where}: model_type '{kind}' {reason}{nearest(kind, TESTED)}")


def check_supported(folder: Path) -> None:
    """Raise SteadyTuneError if the model in an encoder's folder is not supported.

    Checks the model type in config.json and, if there is an index of weight files, the files that it names. Models of
    untested types are built without weights to check their structure; tested types need no torch.
    """
    path = folder / "config.json"
    values = read_json(path) if path.is_file() else {}
    if not isinstance(values, dict) or "model_type" not in values:
        return
    kind = str(values["model_type"])
    check_model_type(values, str(path))
    if (folder / INDEX).is_file():
        check_weight_files(folder)
    if kind not in TESTED:
        import torch
        from transformers import AutoConfig, AutoModelForSequenceClassification

        config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        try:
            with torch.device("meta"):
                find_architecture(AutoModelForSequenceClassification.from_config(config, trust_remote_code=False))
        except (SteadyTuneError, ValueError, AttributeError) as error:
            said = str(error).splitlines()[0]
            raise SteadyTuneError(f"{path}: model_type '{kind}' is not supported: {said}") from None
