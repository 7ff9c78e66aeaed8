"""Where the parts of each supported architecture are: the only module that asks for a model type.

Every entry describes the `...ForSequenceClassification` class of transformers, so that the head is the one the papers
fine-tuned; `spans` makes of it the layout of the `...ForQuestionAnswering` class, whose head is one linear layer on
every token. A *layer* is one Transformer layer in the order of the calls; ALBERT calls the same module again and again.

The pooler of BERT and ALBERT is pretrained (next sentence, sentence order) and lives inside the encoder. RoBERTa,
ELECTRA, XLNet, DeBERTa and DistilBERT have no pretrained pooler: the dense layer under their output layer is part of
the classification head.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from steadytune.errors import SteadyTuneError

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
    hidden_dropout: the configuration key of the dropout on hidden states.
    sequence_first: whether the layers work on (tokens, batch, width).
    reads_last_token: whether the sentence is read off its last token, which padding must then stay clear of.
    takes_segments: whether the forward pass has `token_type_ids` at all.
    attention_block: path, inside a layer, of the module that gives the self-attention block's output, its residual
        and LayerNorm included.
    sublayers: paths, inside a layer, of the modules that give the self-attention's and the feed-forward's output
        right before each residual is added; empty where the layout has no such module.
    projections: paths, inside a layer, of the linear layers that make queries and values (or both and the keys).
    """

    stack: str
    output_layer: str = "classifier"
    pooler: str | None = None
    hidden_dropout: str = "hidden_dropout_prob"
    sequence_first: bool = False
    reads_last_token: bool = False
    takes_segments: bool = True
    attention_block: str = "attention"
    sublayers: tuple[str, ...] = ("attention.output.dropout", "output.dropout")
    projections: tuple[str, ...] = ("attention.self.query", "attention.self.value")

    def spans(self) -> "Architecture":
        """The layout of the same model type with a span head: no pooler, and every token is read."""
        return replace(self, output_layer=SPAN_LAYER, pooler=None, reads_last_token=False)

    def logits(self, output: Any, attention_mask: Tensor | None) -> Tensor:
        """The logits in what the model's forward pass returns; those of padding are `NO_TOKEN` under a span head."""
        if self.output_layer != SPAN_LAYER:
            return output.logits
        logits = torch.stack((output.start_logits, output.end_logits), dim=1)
        return logits if attention_mask is None else logits.masked_fill(attention_mask[:, None] == 0, NO_TOKEN)

    def layers(self, model: Model) -> list[nn.Module]:
        """The layer modules in the order in which a forward pass calls them."""
        return list(model.get_submodule(self.stack))

    def truncate(self, model: Model, at: int) -> None:
        """Drop the layers above `at`, in the model and in its configuration."""
        parent, _, name = self.stack.rpartition(".")
        setattr(model.get_submodule(parent), name, model.get_submodule(self.stack)[:at])
        model.config.num_hidden_layers = at

    def after_first_layer(self, model: Model) -> nn.Module | None:
        """DeBERTa-v2's convolution between layer 0 and layer 1, which also reads the input of layer 0, or None."""
        return getattr(model.get_submodule(self.stack.rpartition(".")[0]), "conv", None)

    def batch_first(self, hidden: Tensor) -> Tensor:
        """A hidden state as the layers have it -> (batch, tokens, width)."""
        return hidden.transpose(0, 1) if self.sequence_first else hidden

    def native(self, hidden: Tensor) -> Tensor:
        """(batch, tokens, width) -> a hidden state as the layers take it.

        Contiguous, because the memory layout decides which kernel runs, and with it the last bits.
        """
        return hidden.transpose(0, 1).contiguous() if self.sequence_first else hidden


class Albert(Architecture):
    """ALBERT shares its layers: the list of layers is the list of calls."""

    def layers(self, model: Model) -> list[nn.Module]:
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
        projections=("attention.self.in_proj",),
    ),
    "deberta-v2": Architecture(
        stack="deberta.encoder.layer",
        projections=("attention.self.query_proj", "attention.self.value_proj"),
    ),
    "distilbert": Architecture(
        stack="distilbert.transformer.layer",
        hidden_dropout="dropout",
        takes_segments=False,
        attention_block="sa_layer_norm",
        sublayers=("attention.out_lin", "ffn"),
        projections=("attention.q_lin", "attention.v_lin"),
    ),
    "electra": Architecture(stack="electra.encoder.layer", output_layer="classifier.out_proj"),
    "roberta": Architecture(stack="roberta.encoder.layer", output_layer="classifier.out_proj"),
    "xlnet": Architecture(
        stack="transformer.layer",
        output_layer="logits_proj",
        # The one rate also governs XLNet's attention probabilities: it has no other.
        hidden_dropout="dropout",
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


def find_architecture(model_type: str, where: str = "", head: Head = "sentence") -> Architecture:
    """The layout of `model_type` with a head; `where` names the file that asks for it.

    Raises SteadyTuneError for a model type that is not supported.
    """
    if model_type not in ARCHITECTURES:
        prefix = f"{where}: " if where else ""
        supported = ", ".join(ARCHITECTURES)
        raise SteadyTuneError(f"{prefix}model_type '{model_type}' is not supported; supported: {supported}")
    architecture = ARCHITECTURES[model_type]
    return architecture.spans() if head == "span" else architecture
