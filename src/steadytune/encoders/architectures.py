"""Where the parts of each supported architecture are: the only module that asks for a model type.

Every entry describes the `...ForSequenceClassification` class of transformers, so the head is the one that the papers
fine-tuned. `spans` turns it into the layout of the `...ForQuestionAnswering` class, whose head is one linear layer on
every token. A *layer* is one Transformer layer in the order of the calls; ALBERT calls the same module again and again.

The pooler of BERT and ALBERT is pretrained (next sentence, sentence order) and lives inside the encoder. The others
have no pretrained pooler: the dense layer under their output layer is part of the classification head.

Layers of ModernBERT and of decoders normalise their input, not their output (pre-norm). hidden[L] is then what the last
layer returns, before the model's final norm, so that all hidden states are of one kind.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from steadytune.encoders.weight_files import INDEX, check_weight_files
from steadytune.errors import SteadyTuneError
from steadytune.schema import read_json

if TYPE_CHECKING:
    from torch import Tensor, nn

# `Any` stands for the model here: the classes share no typed interface beyond nn.Module.
Model = Any

Head = Literal["sentence", "span"]
"""A class or score for the whole input; or, for every token, whether an answer starts there and whether it ends."""

SPAN_LAYER = "qa_outputs"
"""Path of the linear layer that is a span head; no model without that head has it."""

NO_TOKEN = -1e4
"""The logits of padding, as a start or end of an answer: its probability is 0 in every precision."""


@dataclass(frozen=True)
class Architecture:
    """The layout of one model type.

    stack: path of the list of layers in the classification model.
    output_layer: path of the linear layer that gives the logits.
    pooler: path of a pooler that belongs to the pretrained encoder, or None.
    hidden_dropout: the configuration keys of the dropout on hidden states; none if the model has no such dropout.
    sequence_first: whether the layers work on (tokens, batch, width).
    reads_last_token: whether the head reads the last token, so that padding comes first.
    spans_known: whether transformers has a span head with the same layout.
    fp16: whether half precision is safe; DeBERTa's attention overflows in it.
    takes_segments: whether the forward pass has `token_type_ids` at all.
    attention_block: path, inside a layer, of the module that gives the self-attention block's output: with its residual
        and LayerNorm, but in pre-norm layers before the residual is added, where adding noise comes to the same.
    sublayers: paths, inside a layer, of the modules that give the self-attention's and the feed-forward's output
        right before each residual is added; empty where the layout has no such module.
    projections: paths, inside a layer, of the linear layers that make queries and values (or both and the keys).
    """

    stack: str
    output_layer: str = "classifier"
    pooler: str | None = None
    hidden_dropout: tuple[str, ...] = ("hidden_dropout_prob",)
    sequence_first: bool = False
    reads_last_token: bool = False
    takes_segments: bool = True
    spans_known: bool = True
    fp16: bool = True
    attention_block: str = "attention"
    sublayers: tuple[str, ...] = ("attention.output.dropout", "output.dropout")
    projections: tuple[str, ...] = ("attention.self.query", "attention.self.value")

    def spans(self) -> "Architecture":
        """The layout of the same model type with a span head: no pooler, and every token is read."""
        return replace(self, output_layer=SPAN_LAYER, pooler=None, reads_last_token=False)

    def logits(self, output: Any, attention_mask: "Tensor | None") -> "Tensor":
        """The logits in what the model's forward pass returns; those of padding are `NO_TOKEN` under a span head."""
        if self.output_layer != SPAN_LAYER:
            return output.logits
        import torch

        logits = torch.stack((output.start_logits, output.end_logits), dim=1)
        return logits if attention_mask is None else logits.masked_fill(attention_mask[:, None] == 0, NO_TOKEN)

    def layers(self, model: Model) -> "list[nn.Module]":
        """The layer modules in the order in which a forward pass calls them."""
        return list(model.get_submodule(self.stack))

    def truncate(self, model: Model, at: int) -> None:
        """Drop the layers above `at`, in the model and in its configuration."""
        parent, _, name = self.stack.rpartition(".")
        setattr(model.get_submodule(parent), name, model.get_submodule(self.stack)[:at])
        model.config.num_hidden_layers = at
        if getattr(model.config, "layer_types", None):
            model.config.layer_types = model.config.layer_types[:at]

    def after_first_layer(self, model: Model) -> "nn.Module | None":
        """DeBERTa-v2's convolution between layer 0 and layer 1, which also reads the input of layer 0, or None."""
        return getattr(model.get_submodule(self.stack.rpartition(".")[0]), "conv", None)

    def batch_first(self, hidden: "Tensor") -> "Tensor":
        """A hidden state as the layers have it -> (batch, tokens, width)."""
        return hidden.transpose(0, 1) if self.sequence_first else hidden

    def native(self, hidden: "Tensor") -> "Tensor":
        """(batch, tokens, width) -> a hidden state as the layers take it.

        Contiguous, because the memory layout decides which kernel runs, and with it the last bits.
        """
        return hidden.transpose(0, 1).contiguous() if self.sequence_first else hidden


class Albert(Architecture):
    """ALBERT shares its layers: the list of layers is the list of calls."""

    def layers(self, model: Model) -> "list[nn.Module]":
        """One entry a call, the same module several times."""
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


ROBERTA = Architecture(stack="roberta.encoder.layer", output_layer="classifier.out_proj")
DECODER = Architecture(
    stack="model.layers",
    output_layer="score",
    hidden_dropout=(),
    reads_last_token=True,
    takes_segments=False,
    spans_known=False,
    attention_block="self_attn",
    sublayers=("self_attn.o_proj", "mlp"),
    projections=("self_attn.q_proj", "self_attn.v_proj"),
)
"""Decoders as classifiers: a causal model whose head reads the last token; they have no dropout on hidden states."""

ARCHITECTURES: dict[str, Architecture] = {
    "albert": Albert(
        stack="albert.encoder.albert_layer_groups",
        pooler="albert.pooler",
        sublayers=("attention.output_dropout", "ffn_output"),
        projections=("attention.query", "attention.value"),
    ),
    "bert": Architecture(stack="bert.encoder.layer", pooler="bert.pooler"),
    "deberta": Architecture(
        stack="deberta.encoder.layer",
        fp16=False,
        projections=("attention.self.in_proj",),
    ),
    "deberta-v2": Architecture(
        stack="deberta.encoder.layer",
        fp16=False,
        projections=("attention.self.query_proj", "attention.self.value_proj"),
    ),
    "distilbert": Architecture(
        stack="distilbert.transformer.layer",
        hidden_dropout=("dropout",),
        takes_segments=False,
        attention_block="sa_layer_norm",
        sublayers=("attention.out_lin", "ffn"),
        projections=("attention.q_lin", "attention.v_lin"),
    ),
    "electra": Architecture(stack="electra.encoder.layer", output_layer="classifier.out_proj"),
    "gemma": DECODER,
    "llama": DECODER,
    "modernbert": Architecture(
        stack="model.layers",
        hidden_dropout=("embedding_dropout", "mlp_dropout"),
        takes_segments=False,
        attention_block="attn",
        sublayers=("attn.out_drop", "mlp"),
        projections=("attn.Wqkv",),
    ),
    "mpnet": Architecture(
        stack="mpnet.encoder.layer",
        output_layer="classifier.out_proj",
        takes_segments=False,
        sublayers=("attention.dropout", "output.dropout"),
        projections=("attention.attn.q", "attention.attn.v"),
    ),
    "olmo": DECODER,
    "qwen2": DECODER,
    "qwen3": DECODER,
    "roberta": ROBERTA,
    "camembert": ROBERTA,
    "xlm-roberta": ROBERTA,
    "xlnet": Architecture(
        stack="transformer.layer",
        output_layer="logits_proj",
        # The one rate also governs XLNet's attention probabilities: it has no other.
        hidden_dropout=("dropout",),
        sequence_first=True,
        reads_last_token=True,
        attention_block="rel_attn",
        # The attention's projections are bare parameters inside one module, which no other module can follow.
        sublayers=(),
        projections=(),
    ),
}


def head_of(model: Model) -> Head:
    """Which head a model has."""
    return "span" if hasattr(model, SPAN_LAYER) else "sentence"


def find_architecture(
    model_type: str, where: str = "", head: Head = "sentence", remote_code: bool = False
) -> Architecture:
    """The layout of `model_type` with a head; `where` names the file that asks for it.

    remote_code: whether the checkpoint brings code of its own. Raises SteadyTuneError for an unsupported model type.
    """
    prefix = f"{where}: " if where else ""
    if model_type not in ARCHITECTURES:
        reason = "needs code from the checkpoint, which is never run" if remote_code else "is not supported"
        supported = ", ".join(sorted(ARCHITECTURES))
        raise SteadyTuneError(f"{prefix}model_type '{model_type}' {reason}; supported: {supported}")
    architecture = ARCHITECTURES[model_type]
    if head == "span" and not architecture.spans_known:
        raise SteadyTuneError(f"{prefix}model_type '{model_type}' has no span head here: expected an encoder")
    return architecture.spans() if head == "span" else architecture


def check_supported(folder: Path) -> None:
    """Raise SteadyTuneError if an encoder's folder cannot be loaded; needs no torch.

    Checks the model type in config.json, and which files the weights are in.
    """
    path = folder / "config.json"
    values = read_json(path) if path.is_file() else {}
    if isinstance(values, dict) and "model_type" in values:
        find_architecture(str(values["model_type"]), str(path), remote_code="auto_map" in values)
        if (folder / INDEX).is_file():
            check_weight_files(folder)
