"""How an encoder is pretrained on text: `config/encoders/<name>.yaml`."""

from typing import Literal, Self

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from steadytune.schema import Checked


class Corpus(Checked):
    """The text: a file in the folder that STEADYTUNE_CORPUS names."""

    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    title: str
    licence: str
    held_out: PositiveInt
    """So many documents at its end are never trained on; the log's held-out scores are theirs."""


class Stretch(Checked):
    """A part of the training with rows of one length."""

    until: float = Field(gt=0, le=1)
    """Where it ends, as a share of the training."""
    length: int = Field(ge=16)
    """Tokens a row."""


class Settings(Checked):
    """The whole file."""

    model_config = ConfigDict(allow_inf_nan=False)

    corpus: Corpus
    vocabulary: PositiveInt
    """Number of word pieces."""
    word_pieces: str | None = None
    """A file beside this one that has them, one a line; without it they are learned, each time a little otherwise."""
    layers: PositiveInt
    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    dropout: float = Field(ge=0, lt=1)
    """What the encoder's config.json asks of fine-tuning; pretraining has none, for little is seen twice."""
    initializer_range: PositiveFloat
    """Standard deviation of the initial weights."""
    seed: int
    threads: PositiveInt
    """Threads of PyTorch: sums are ordered by it, so that another number gives other bits."""
    precision: Literal["fp32", "bf16"]
    """Of the forward and backward pass; weights and optimisers are fp32."""
    compile: bool
    """Fuse operations with torch.compile, which takes a C++ compiler and is half as fast again on a CPU."""
    tokens: PositiveFloat
    """Length of the training in tokens read, special tokens included."""
    tokens_per_step: PositiveInt
    stretches: tuple[Stretch, ...] = Field(min_length=1)
    """Lengths of rows in turn: short ones are cheap and teach words, long ones teach the later positions."""
    mask_rate: float = Field(gt=0, lt=1)
    """Share of tokens that are predicted, whole words at a time."""
    candidates: PositiveInt
    """Pieces in a step's softmax (`candidates.py`); as many as `vocabulary` make it exact."""
    learning_rate: PositiveFloat
    """Peak of the one cycle, of AdamW: embeddings, heads, biases and norms."""
    matrix_learning_rate: PositiveFloat
    """Peak of the one cycle, of Muon: the layers' matrices."""
    warmup: float = Field(gt=0, lt=1)
    """Share of the training with rising rates; then they fall linearly to nought."""
    weight_decay: float = Field(ge=0)
    clip: PositiveFloat
    """Largest norm of the gradient."""
    checkpoint_every: PositiveInt
    """Steps."""
    log_every: PositiveInt
    """Steps."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads}: expected a divisor of width, {self.width}")
        ends = [stretch.until for stretch in self.stretches]
        if ends != sorted(set(ends)) or ends[-1] != 1:
            raise ValueError("stretches whose `until` rises to 1")
        if any(self.tokens_per_step % stretch.length for stretch in self.stretches):
            raise ValueError(f"lengths that divide tokens_per_step, {self.tokens_per_step}")
        masked = round(self.mask_rate * self.tokens_per_step)
        if not masked <= self.candidates <= self.vocabulary:
            raise ValueError(f"candidates from {masked}, the tokens that a step predicts, to vocabulary")
        return self

    @property
    def max_tokens(self) -> int:
        """Length of the longest input."""
        return max(stretch.length for stretch in self.stretches)

    @property
    def steps(self) -> int:
        """Updates of the whole training."""
        return max(1, round(self.tokens / self.tokens_per_step))

    def length(self, progress: float) -> int:
        """Tokens a row where `progress` of the training is done."""
        return next((s.length for s in self.stretches if progress < s.until), self.stretches[-1].length)

    def rate(self, progress: float) -> float:
        """The learning rates as a share of their peaks."""
        return min(progress / self.warmup, (1 - progress) / (1 - self.warmup))
