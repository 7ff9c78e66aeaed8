"""A fine-tunable model as embeddings, a stack of layers and a head: the interface for methods and analyses.

A model with L layers has `hidden[0..L]`, each (batch, tokens, width): hidden[0] is the input of layer 0 (the embedding
output), hidden[l] the input of layer l, hidden[L] the last layer's output.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from steadytune.encoders.architectures import find_architecture
from steadytune.encoders.batching import Padding
from steadytune.encoders.dropout import ATTENTION, set_configured_rates
from steadytune.encoders.passes import LayerInput, Pass, Recording, change_attention, changed_output
from steadytune.errors import SteadyTuneError, unknown

if TYPE_CHECKING:
    from transformers import PreTrainedModel


INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class EncoderOutput:
    """Output of a forward pass: logits (batch, num_labels) and, if requested, the L + 1 hidden states.

    With a span head, logits are (batch, 2, tokens): for an answer's start and end at every token.
    """

    logits: Tensor
    hidden: tuple[Tensor, ...] = ()


class Encoder:
    """A sequence classification or question answering model with a supported architecture.

    model: the transformers model; `model.train()`, `model.to(device)` and the like are called on it directly.
    fresh: names of the parameters that do not come from the checkpoint.
    notes: what readers of its results should know about how it was loaded.
    """

    def __init__(self, model: "PreTrainedModel", fresh: Sequence[str] = (), notes: Sequence[str] = ()) -> None:
        self.model = model
        self.notes = tuple(notes)
        self.fresh = tuple(fresh)
        self.architecture = find_architecture(model)
        self._recording: Recording | None = None
        # With a decoder's key-value cache, layers that `resume` runs again would also attend to their first run.
        model.config.use_cache = False

    @property
    def num_layers(self) -> int:
        """L, the number of Transformer layers."""
        return len(self.layers())

    @property
    def num_labels(self) -> int:
        """C, the number of outputs of the head; with a span head, per token."""
        return int(self.model.config.num_labels or 1)

    @property
    def width(self) -> int:
        """The size of a hidden state."""
        return self.model.config.hidden_size

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.model.parameters()).device

    @property
    def sentence_token(self) -> int:
        """Index of the token that the head reads: 0, or -1 for the last one (XLNet, decoders)."""
        return -1 if self.architecture.reads_last_token else 0

    @property
    def padding(self) -> Padding:
        """How to pad its batches."""
        token = self.model.config.pad_token_id
        return Padding(0 if token is None else token, self.sentence_token == -1, self.device)

    @property
    def attention(self) -> str:
        """Its attention kernel: `sdpa`, `eager` or `flash`."""
        kernel = str(self.model.config._attn_implementation)
        return {ATTENTION: "sdpa", "flash_attention_2": "flash"}.get(kernel, kernel)

    def to(self, device: str) -> "Encoder":
        """Move the model to a device (`cpu`, `cuda`)."""
        nn.Module.to(self.model, torch.device(device))
        return self

    def layers(self) -> list[nn.Module]:
        """The L layer modules in the order of their calls; in ALBERT, one module L times."""
        return self.architecture.layers(self.model)

    def __call__(
        self,
        inputs: dict[str, Tensor],
        *,
        on_embeddings: Callable[[Tensor], Tensor] | None = None,
        on_layer_input: LayerInput | None = None,
        on_attention_output: LayerInput | None = None,
        keep_hidden: bool = False,
        resumable_from: int | None = None,
    ) -> EncoderOutput:
        """Run one forward pass.

        inputs: `input_ids`, `attention_mask` and `token_type_ids`, each (batch, tokens); segments are ignored if the
            architecture has none.
        on_embeddings: called with the word embeddings (batch, tokens, width of their table); its result replaces them
            before positions are added.
        on_layer_input: called for l = 0..L-1 with (l, hidden[l]); its result is the input of layer l.
        on_attention_output: the same for the output of layer l's self-attention block.
        keep_hidden: return the hidden states, each before `on_layer_input` changes it.
        resumable_from: record what `resume` needs to run layers `resumable_from`..L-1 again.
        """
        self._recording = None
        arguments = self._arguments(inputs)
        if resumable_from is not None:
            self._check_layer(resumable_from)

        def change_words(output: Tensor) -> Tensor:
            assert on_embeddings is not None
            return self.architecture.native(on_embeddings(self.architecture.batch_first(output)))

        with (
            changed_output(self.model.get_input_embeddings(), change_words if on_embeddings else None),
            Pass(
                self.architecture, self.model, on_layer_input, on_attention_output, keep_hidden, resumable_from
            ) as layer_pass,
        ):
            output = self.model(**arguments, return_dict=True)
            logits = self.architecture.logits(output, arguments.get("attention_mask"))
        self._recording = layer_pass.recording
        return EncoderOutput(logits, tuple(layer_pass.hidden))

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """The output (batch, tokens, width) of the embedding module: words, positions, segments, LayerNorm and dropout.

        Without such a module (XLNet, decoders): the word embeddings, with dropout if the model has it there.

        Raises:
            SteadyTuneError: the output is not as wide as the word embeddings, so it cannot replace them.
        """
        base = self.model.get_submodule(self.model.base_model_prefix)
        words = self.model.get_input_embeddings()
        assert isinstance(words, nn.Embedding)
        if (module := getattr(base, "embeddings", None)) is None:
            return getattr(base, "dropout", nn.Identity())(words(inputs["input_ids"]))
        arguments = {
            name: value
            for name, value in self._arguments(inputs).items()
            if name not in ("attention_mask", "position_ids")
        }
        output = module(**arguments)
        if output.shape[-1] != words.embedding_dim:
            raise SteadyTuneError("this encoder's embedding output is wider than its word embeddings")
        return output

    def resume(
        self,
        start: int,
        hidden: Tensor,
        *,
        on_layer_input: LayerInput | None = None,
        on_attention_output: LayerInput | None = None,
    ) -> tuple[Tensor, ...]:
        """Run layers start..L-1 of the last forward pass again, on another input of layer `start`.

        hidden: (batch, tokens, width), the shape of the last pass. Returns hidden[start + 1], ..., hidden[L].
        Every layer gets the attention masks and positions of the last pass and repeats its dropout masks: its random
        state is replayed, then the caller's restored.
        The last pass must have been called with `resumable_from` <= start, in the same autocast context.
        """
        self._check_layer(start)
        recording = self._recording
        if recording is None or start < recording.start:
            raise RuntimeError(f"resume({start}) needs a forward pass with resumable_from <= {start} right before it")
        if hidden.shape != recording.shape:
            raise ValueError(f"resume got a hidden state {tuple(hidden.shape)}, the pass had {tuple(recording.shape)}")
        states = []
        for layer, module in list(enumerate(self.layers()))[start:]:
            if on_layer_input is not None:
                hidden = on_layer_input(layer, hidden)
            block = module.get_submodule(self.architecture.attention_block)
            change = on_attention_output and partial(change_attention, self.architecture, on_attention_output, layer)
            with changed_output(block, change):
                hidden = recording.replay(self.architecture, self.model, layer, hidden)
            states.append(hidden)
        return tuple(states)

    def head_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters of the head, by name: everything outside the pretrained encoder.

        A pooler inside the encoder (BERT, ALBERT) counts as encoder if the checkpoint contains it, and as head if it
        had to be drawn.
        """
        inside = f"{self.model.base_model_prefix}."
        fresh_pooler = {name for name in self.fresh if self._in_pooler(name)}
        return {
            name: parameter
            for name, parameter in self.model.named_parameters()
            if not name.startswith(inside) or name in fresh_pooler
        }

    def encoder_parameters(self) -> dict[str, nn.Parameter]:
        """All parameters except the head's, by name."""
        head = self.head_parameters()
        return {name: parameter for name, parameter in self.model.named_parameters() if name not in head}

    def layer_parameters(self, layer: int) -> dict[str, nn.Parameter]:
        """The parameters of layer `layer`, by name (in ALBERT the same for every layer)."""
        modules = [self.layers()[layer]]
        extra = self.architecture.after_first_layer(self.model)
        if layer == 0 and extra is not None:
            modules.append(extra)
        wanted = {id(parameter) for module in modules for parameter in module.parameters()}
        return {name: parameter for name, parameter in self.model.named_parameters() if id(parameter) in wanted}

    def embedding_parameters(self) -> dict[str, nn.Parameter]:
        """The encoder's parameters outside its layers and pooler, by name: embeddings, also DeBERTa's relative ones."""
        layered = {name for layer in range(self.num_layers) for name in self.layer_parameters(layer)}
        return {
            name: parameter
            for name, parameter in self.encoder_parameters().items()
            if name not in layered and not self._in_pooler(name)
        }

    def set_hidden_dropout(self, p: float) -> None:
        """Set the dropout on hidden states, embeddings and head, as the configuration's key for it would.

        The key is usually `hidden_dropout_prob`; in DistilBERT and XLNet `dropout`. Attention probabilities keep their
        rate (in XLNet they share this one), and so does a head with its own rate in the configuration. A model without
        such dropout (most decoders) only accepts 0, which changes nothing.
        """
        if not 0 <= p < 1:
            raise SteadyTuneError(f"hidden dropout is {p}, expected a number in [0, 1)")
        if p and not self.architecture.hidden_dropout:
            raise SteadyTuneError(f"hidden dropout is {p}, but {self.model.config.model_type} has none: expected 0")
        for key in self.architecture.hidden_dropout:
            setattr(self.model.config, key, p)
        set_configured_rates(self.model)

    def truncate(self, at: int) -> None:
        """Keep only the lowest `at` layers, for training and inference; the head then reads hidden[at]."""
        if not 1 <= at <= self.num_layers:
            raise SteadyTuneError(f"cannot keep {at} layers: the encoder has {self.num_layers}, expected 1 to that")
        self._recording = None
        self.architecture.truncate(self.model, at)

    def _arguments(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        for name in inputs:
            if name not in INPUTS:
                raise unknown("encoder input", name, INPUTS)
        # A configuration without the key (XLNet) takes any segment; with fewer than two, segments carry no information.
        segments = getattr(self.model.config, "type_vocab_size", None)
        if self.architecture.takes_segments and (segments is None or segments > 1):
            return inputs
        arguments = {name: value for name, value in inputs.items() if name != "token_type_ids"}
        if self.architecture.counts_positions and "attention_mask" in inputs:
            # The first real token gets position 0, even after padding.
            arguments["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        return arguments

    def _check_layer(self, layer: int) -> None:
        if not 0 <= layer < self.num_layers:
            raise ValueError(f"there is no layer {layer}: the encoder has layers 0 to {self.num_layers - 1}")

    def _in_pooler(self, name: str) -> bool:
        pooler = self.architecture.pooler
        return pooler is not None and name.startswith(f"{pooler}.")
