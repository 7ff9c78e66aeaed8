"""Tune a block of layers, and drop or freeze those above it (arXiv 2210.10041).

Hidden State Variability of Pretrained Language Models Can Guide Computation Reduction for Transfer Learning.

The variability nu of every layer is measured on the task before any training; l* is the layer with the lowest nu. The
layers up to l*, or the last few of them, are tuned. The layers above are either dropped from training and inference, so
that the head reads l*, or kept frozen with the head on top. The paper's control tunes the same number of top layers.
"""

from dataclasses import dataclass
from typing import Literal

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import Hyperparameters, Method, Setup, setting
from steadytune.methods.top_k import check_separable


@dataclass(frozen=True, kw_only=True)
class BlockSettings(Hyperparameters):
    """A block of layers, given as in the released code by its last layer, its size and the head's position."""

    layer: int | Literal["selected", "top"] = setting("selected")
    """The last layer of the block, 1 to L; `selected` is l*, as the variability stage measured it; `top` is L."""
    head: Literal["layer", "top"] = "layer"
    """Where the head reads. `layer`: at the last layer of the block; the layers above are dropped. `top`: on top of all
    layers."""
    count: int | None = setting(None, at_least=0)
    """Number of layers in the block, counted down from its last; `null` is all of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.layer, int) and self.layer < 1:
            raise ValueError(f"layer is {self.layer}, expected at least 1, 'selected' or 'top'")


@dataclass(frozen=True, kw_only=True)
class LayerTuningSettings(BlockSettings):
    """A block, and the embeddings and layers below it."""

    embeddings: bool | None = None
    """Whether the embeddings are trained. `null` is as in the released code: only if every layer is tuned and the head
    is on top."""
    cache: bool = False
    """Whether to run the frozen layers below the block only once, without dropout, and keep their output in memory: 4
    bytes x width per token of the training split, or 2 in half precision. Ours."""


class LayerTuning(Method):
    """Plain fine-tuning of a block of layers and the head (and a pretrained pooler, which sits above the layers)."""

    Settings = LayerTuningSettings
    names = {"variability-tune": {}, "layer-tune": {"layer": "top"}}
    source = "arXiv 2210.10041"
    selects_parameters = True

    @property
    def reads_selection(self) -> bool:
        """Whether `layer` is `selected`, so l* is needed."""
        return self.settings.layer == "selected"

    def prepare(self, setup: Setup) -> None:
        """Drop the layers above the head, and freeze those outside the block."""
        encoder, settings = setup.encoder, self.settings
        depth = encoder.num_layers
        block = take_block("layer-tune", setup, settings)
        whole = len(block) == depth == encoder.num_layers
        embeddings = whole if settings.embeddings is None else settings.embeddings
        frozen = set() if embeddings else set(encoder.embedding_parameters())
        for layer in set(range(encoder.num_layers)) - set(block):
            frozen |= set(encoder.layer_parameters(layer))
        for name, parameter in encoder.model.named_parameters():
            parameter.requires_grad_(name not in frozen)
        if settings.cache:
            if embeddings or not block.start:
                raise SteadyTuneError("method layer-tune: cache needs frozen embeddings and a frozen layer to keep")
            from steadytune.methods.support.prefix import FrozenPrefix

            self.prefix = FrozenPrefix(encoder, setup.train, block.start, setup.autocast)


def take_block(method: str, setup: Setup, settings: BlockSettings) -> range:
    """Drop the layers above the head, and return the block's layers (0-based).

    Raises:
        SteadyTuneError: the block does not fit the encoder, l* is missing, or layers share parameters (ALBERT).
    """
    encoder = setup.encoder
    depth = encoder.num_layers
    if settings.layer == "selected" and setup.selected_layer is None:
        raise SteadyTuneError(f"method {method}: layer 'selected' needs the variability of this encoder on the task")
    named = {"selected": setup.selected_layer, "top": depth}
    last = named[settings.layer] if isinstance(settings.layer, str) else settings.layer
    assert last is not None
    count = last if settings.count is None else settings.count
    if not count <= last <= depth:
        raise SteadyTuneError(
            f"method {method}: {count} layers up to layer {last} do not fit an encoder of {depth}; expected at most "
            f"{min(last, depth)} layers up to layer {depth} or below"
        )
    if settings.head == "layer" and last < depth:
        encoder.truncate(last)
    block = range(last - count, last)
    check_separable(method, encoder, block)
    return block
