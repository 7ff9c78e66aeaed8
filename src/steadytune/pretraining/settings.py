"""How an encoder is pretrained: `config/encoders/<name>.yaml`."""

from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from steadytune.errors import SteadyTuneError
from steadytune.files import read_json
from steadytune.layout import PRETRAINING
from steadytune.safe_yaml import read_yaml
from steadytune.schema import Sha256, StrictModel, check


class TextFile(StrictModel):
    """A plain-text corpus: a file in the folder that STEADYTUNE_CORPUS names."""

    file: str
    sha256: Sha256
    title: str
    licence: str


class Stretch(StrictModel):
    """A phase of the training with one row length."""

    until: float = Field(gt=0, le=1)
    """Its end, as a share of the training."""
    length: int = Field(ge=16)
    """Tokens per row; for a generated corpus, the tokens of the longest row."""


class Settings(StrictModel):
    """The contents of a pretraining file."""

    model_config = ConfigDict(allow_inf_nan=False)

    corpus: str | TextFile
    """A generated data set in the store, `<owner>/<name>/<config>`, or plain text."""
    held_out: PositiveInt
    """Number of documents at the end of the corpus that are not trained on; the log's held-out scores use them."""
    vocabulary: int = Field(ge=77)
    """Maximum number of word pieces; the minimum, 77, is for the special tokens, letters and digits."""
    word_pieces: str | None = None
    """A file next to this one that lists the pieces for plain text, one per line. Without it the pieces are learned,
    and differ from run to run. For a generated corpus, the pieces are its words."""
    architecture: Literal["bert", "modernbert", "llama"] = "bert"
    """`modernbert` predicts masked words like BERT, but has no segments and no pooler; `llama` predicts the next word,
    and judges pairs at the last token."""
    layers: PositiveInt
    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    dropout: float = Field(ge=0, lt=1)
    """Dropout for fine-tuning, written to the encoder's config.json. Pretraining has none: it sees little twice."""
    initializer_range: PositiveFloat
    """Standard deviation of the initial weights; BERT's 0.02 suits a width of 768, but starts a narrow model slowly."""
    seed: int
    threads: PositiveInt
    """PyTorch threads. Their number sets the order of sums, so changing it changes the bits."""
    precision: Literal["fp32", "bf16"]
    """Precision of the forward and backward pass and of Muon's orthogonalisation; weights and momenta are fp32."""
    compile: bool
    """Fuse operations with torch.compile: needs a C++ compiler, and shortens a long training on a CPU by a third."""
    tokens: PositiveFloat
    """Length of the training in tokens read, special tokens included."""
    tokens_per_step: PositiveInt
    """Tokens per step, filled with whole rows."""
    stretches: tuple[Stretch, ...] = Field(min_length=1)
    """Row lengths over the training: short rows are cheap and teach words, long ones teach the later positions."""
    mask_rate: float = Field(gt=0, lt=1)
    """Share of tokens to predict: whole words in plain text, tokens of one sentence per row in a generated corpus."""
    candidates: PositiveInt
    """Number of pieces in a step's softmax (`candidates.py`); the softmax is exact if it equals `vocabulary`."""
    learning_rate: PositiveFloat
    """AdamW's peak rate, for embeddings, heads, biases and norms."""
    matrix_learning_rate: PositiveFloat
    """Muon's peak rate, for the layers' matrices."""
    warmup: float = Field(gt=0, lt=1)
    """Share of the training in which the rates rise linearly; then they fall linearly to zero."""
    weight_decay: float = Field(ge=0)
    clip: PositiveFloat
    """Maximum gradient norm."""
    checkpoint_every: PositiveInt
    """Steps between checkpoints."""
    log_every: PositiveInt
    """Steps between lines of the log."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads}: expected a divisor of width, {self.width}")
        ends = [stretch.until for stretch in self.stretches]
        if ends != sorted(set(ends)) or ends[-1] != 1:
            raise ValueError("stretches whose `until` rises to 1")
        if any(self.tokens_per_step % stretch.length for stretch in self.stretches):
            raise ValueError(f"lengths that divide tokens_per_step, {self.tokens_per_step}")
        rate = 1 if self.architecture == "llama" else self.mask_rate
        predicted = min(round(rate * self.tokens_per_step), self.vocabulary)
        if not predicted <= self.candidates <= self.vocabulary:
            raise ValueError(f"candidates from {predicted}, the pieces that a step may predict, to vocabulary")
        return self

    @property
    def max_tokens(self) -> int:
        """Length of the longest input."""
        return max(stretch.length for stretch in self.stretches)

    @property
    def steps(self) -> int:
        """Number of updates in the whole training."""
        return max(1, round(self.tokens / self.tokens_per_step))

    def length(self, progress: float) -> int:
        """Tokens per row after a share `progress` of the training."""
        return next((s.length for s in self.stretches if progress < s.until), self.stretches[-1].length)

    def rate(self, progress: float) -> float:
        """The learning rates after a share `progress` of the training, as a share of their peaks."""
        return min(progress / self.warmup, (1 - progress) / (1 - self.warmup))


def pretrained_otherwise(config: Path, folder: Path) -> str:
    """Return why the record in the encoder's `folder` does not match `config`; empty if it matches.

    Raises:
        SteadyTuneError: a wrong config file.
    """
    settings = check(Settings, read_yaml(config), config)
    try:
        found = read_json(folder / PRETRAINING)
        same = found["settings"] == settings.model_dump(mode="json") and found["minutes"] is None
    except (SteadyTuneError, KeyError, TypeError):
        return f"its {PRETRAINING} is damaged"
    return "" if same else f"its {PRETRAINING} has other settings than {config}"
