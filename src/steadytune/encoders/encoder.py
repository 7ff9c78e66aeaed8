"""One fine-tunable model seen as embeddings, a row of layers and a head: the seam that methods and analyses build on.

A model with L layers has `hidden[0..L]`, each (batch, tokens, width): hidden[0] is what enters layer 0 (the embedding
output), hidden[l] what enters layer l, hidden[L] the last layer's output.
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
    """What a forward pass gives: logits (batch, num_labels) and, where asked for, the L + 1 hidden states.

    Under a span head logits are (batch, 2, tokens): of an answer's start and of its end, at every token.
    """

    logits: Tensor
    hidden: tuple[Tensor, ...] = ()


class Encoder:
    """A sequence classification or question answering model of a supported architecture.

    model: the transformers model; `model.train()`, `model.to(device)` and the like are called on it directly.
    fresh: names of the parameters that do not come from the checkpoint.
    notes: what a reader of its results should know about how it was loaded.
    """

    def __init__(self, model: "PreTrainedModel", fresh: Sequence[str] = (), notes: Sequence[str] = ()) -> None:
        self.model = model
        self.notes = tuple(notes)
        self.fresh = tuple(fresh)
        self.architecture = find_architecture(model)
        self._recording: Recording | None = None
        # A decoder's cache of keys and values would make layers that `resume` runs again read their first run.
        model.config.use_cache = False

    @property
    def num_layers(self) -> int:
        """L, the number of Transformer layers."""
        return len(self.layers())

    @property
    def num_labels(self) -> int:
        """C, the outputs of the head; those at one token under a span head."""
        return int(self.model.config.num_labels or 1)

    @property
    def width(self) -> int:
        """The size of a hidden state."""
        return self.model.config.hidden_size

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.model.parameters()).device

    @property
    def sentence_token(self) -> int:
        """Index of the token that the head reads: 0, or -1 where it is the last one (XLNet)."""
        return -1 if self.architecture.reads_last_token else 0

    @property
    def padding(self) -> Padding:
        """How its batches are padded."""
        token = self.model.config.pad_token_id
        return Padding(0 if token is None else token, self.sentence_token == -1, self.device)

    @property
    def attention(self) -> str:
        """The kernel of its attention: `sdpa`, `eager` or `flash`."""
        kernel = str(self.model.config._attn_implementation)
        return {ATTENTION: "sdpa", "flash_attention_2": "flash"}.get(kernel, kernel)

    def to(self, device: str) -> "Encoder":
        """Move the model to a device (`cpu`, `cuda`)."""
        nn.Module.to(self.model, torch.device(device))
        return self

    def layers(self) -> list[nn.Module]:
        """The L layer modules in the order of their calls; ALBERT's are one module L times."""
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
        """One forward pass.

        inputs: `input_ids`, `attention_mask` and `token_type_ids`, each (batch, tokens); the latter are left out where
            the architecture knows no segments.
        on_embeddings: called with the rows of the word embedding table (batch, tokens, width of the table); what it
            returns is what positions are added to.
        on_layer_input: called for l = 0..L-1 with (l, hidden[l]); what it returns is what layer l gets.
        on_attention_output: the same for what leaves the self-attention block of layer l.
        keep_hidden: return the hidden states, each as it was before `on_layer_input` changed it.
        resumable_from: remember what `resume` needs to run layers `resumable_from`..L-1 again.
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
        """The output (batch, tokens, width) of the module of the embeddings: words, positions, segments, LayerNorm and
        dropout. Without such a module (XLNet, decoders): words, and their dropout if there is one.

        Raises:
            SteadyTuneError: the output is wider than word embeddings, so it cannot take their place.
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
        Every layer gets the masks and positions of the last pass, and its dropout draws the same masks: the random
        state at its entry is replayed and the caller's put back.
        The last pass must have been called with `resumable_from` <= start, and in the same autocast context.
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
        """The head, by name: all that lies outside the pretrained encoder.

        A pooler inside the encoder (BERT, ALBERT) counts as encoder where the checkpoint brought it, and as head where
        it had to be drawn.
        """
        inside = f"{self.model.base_model_prefix}."
        fresh_pooler = {name for name in self.fresh if self._in_pooler(name)}
        return {
            name: parameter
            for name, parameter in self.model.named_parameters()
            if not name.startswith(inside) or name in fresh_pooler
        }

    def encoder_parameters(self) -> dict[str, nn.Parameter]:
        """All parameters but those of the head, by name."""
        head = self.head_parameters()
        return {name: parameter for name, parameter in self.model.named_parameters() if name not in head}

    def layer_parameters(self, layer: int) -> dict[str, nn.Parameter]:
        """The parameters of layer `layer`, by name (for ALBERT they are every layer's)."""
        modules = [self.layers()[layer]]
        extra = self.architecture.after_first_layer(self.model)
        if layer == 0 and extra is not None:
            modules.append(extra)
        wanted = {id(parameter) for module in modules for parameter in module.parameters()}
        return {name: parameter for name, parameter in self.model.named_parameters() if id(parameter) in wanted}

    def embedding_parameters(self) -> dict[str, nn.Parameter]:
        """The encoder's parameters outside its layers and pooler, by name: embeddings, DeBERTa's relative ones too."""
        layered = {name for layer in range(self.num_layers) for name in self.layer_parameters(layer)}
        return {
            name: parameter
            for name, parameter in self.encoder_parameters().items()
            if name not in layered and not self._in_pooler(name)
        }

    def set_hidden_dropout(self, p: float) -> None:
        """Set the dropout on hidden states, embeddings and head as the configuration's own key would.

        That is `hidden_dropout_prob`, or `dropout` for DistilBERT and XLNet: attention probabilities keep their rate
        (in XLNet they share it), and so does a head that has a rate of its own in the configuration. A decoder has no
        such dropout, so its rate can only be set to 0, which changes nothing.
        """
        if not 0 <= p < 1:
            raise SteadyTuneError(f"hidden dropout is {p}, expected a number in [0, 1)")
        if p and not self.architecture.hidden_dropout:
            raise SteadyTuneError(f"hidden dropout is {p}, but {self.model.config.model_type} has none: expected 0")
        for key in self.architecture.hidden_dropout:
            setattr(self.model.config, key, p)
        set_configured_rates(self.model)

    def truncate(self, at: int) -> None:
        """Keep the lowest `at` layers, for training and inference; the head then reads hidden[at]."""
        if not 1 <= at <= self.num_layers:
            raise SteadyTuneError(f"cannot keep {at} layers: the encoder has {self.num_layers}, expected 1 to that")
        self._recording = None
        self.architecture.truncate(self.model, at)

    def _arguments(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        for name in inputs:
            if name not in INPUTS:
                raise unknown("encoder input", name, INPUTS)
        # A configuration without the key (XLNet) takes any segment; with fewer than two there is nothing to tell apart.
        segments = getattr(self.model.config, "type_vocab_size", None)
        if self.architecture.takes_segments and (segments is None or segments > 1):
            return inputs
        arguments = {name: value for name, value in inputs.items() if name != "token_type_ids"}
        if self.architecture.counts_positions and "attention_mask" in inputs:
            # Position 0 is the first real token's, behind padding too.
            arguments["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        return arguments

    def _check_layer(self, layer: int) -> None:
        if not 0 <= layer < self.num_layers:
            raise ValueError(f"there is no layer {layer}: the encoder has layers 0 to {self.num_layers - 1}")

    def _in_pooler(self, name: str) -> bool:
        pooler = self.architecture.pooler
        return pooler is not None and name.startswith(f"{pooler}.")
