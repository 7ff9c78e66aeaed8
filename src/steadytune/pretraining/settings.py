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
    """Plain text: a file in the folder that STEADYTUNE_CORPUS names."""

    file: str
    sha256: Sha256
    title: str
    licence: str


class Stretch(StrictModel):
    """A part of the training with one length of rows."""

    until: float = Field(gt=0, le=1)
    """Where it ends, as a share of the training."""
    length: int = Field(ge=16)
    """Tokens a row; of a generated corpus, tokens of the longest row."""


class Settings(StrictModel):
    """The whole file."""

    model_config = ConfigDict(allow_inf_nan=False)

    corpus: str | TextFile
    """A generated data set in the store, `<owner>/<name>/<config>`, or plain text."""
    held_out: PositiveInt
    """Documents at the end of the corpus that are not trained on; the log's held-out scores are theirs."""
    vocabulary: int = Field(ge=77)
    """Largest number of word pieces, of which at least 77 are special tokens, letters and digits."""
    word_pieces: str | None = None
    """A file beside this one that lists the pieces of plain text, one a line. Without it they are learned, and differ
    from run to run. A generated corpus has its words as pieces."""
    architecture: Literal["bert", "modernbert", "llama"] = "bert"
    """`modernbert` predicts masked words as BERT does, without its segments and pooler; `llama` predicts the next word,
    and judges pairs at the last token."""
    layers: PositiveInt
    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    dropout: float = Field(ge=0, lt=1)
    """For fine-tuning, in the encoder's config.json. Pretraining has none, since it sees little twice."""
    initializer_range: PositiveFloat
    """Standard deviation of the initial weights; BERT's 0.02 suits a width of 768 and starts a narrow model slowly."""
    seed: int
    threads: PositiveInt
    """Threads of PyTorch. They order sums, so another number gives other bits."""
    precision: Literal["fp32", "bf16"]
    """Of the forward and backward pass, and of Muon's orthogonalisation; weights and momenta are fp32."""
    compile: bool
    """Fuse operations with torch.compile: needs a C++ compiler, and cuts a long training on a CPU by a third."""
    tokens: PositiveFloat
    """Length of the training in tokens read, special tokens included."""
    tokens_per_step: PositiveInt
    """Filled with whole rows."""
    stretches: tuple[Stretch, ...] = Field(min_length=1)
    """Lengths of rows over the training: short rows are cheap and teach words, long ones the later positions."""
    mask_rate: float = Field(gt=0, lt=1)
    """Share of tokens that are predicted: of plain text in whole words, of a generated corpus in one sentence a row."""
    candidates: PositiveInt
    """Pieces in a step's softmax (`candidates.py`); exact if it is all of `vocabulary`."""
    learning_rate: PositiveFloat
    """Peak of the one cycle, of AdamW: embeddings, heads, biases and norms."""
    matrix_learning_rate: PositiveFloat
    """Peak of the one cycle, of Muon: the layers' matrices."""
    warmup: float = Field(gt=0, lt=1)
    """Share of the training with rising rates; then they fall linearly to zero."""
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
        """Updates of the whole training."""
        return max(1, round(self.tokens / self.tokens_per_step))

    def length(self, progress: float) -> int:
        """Tokens a row when `progress` of the training is done."""
        return next((s.length for s in self.stretches if progress < s.until), self.stretches[-1].length)

    def rate(self, progress: float) -> float:
        """The learning rates as a share of their peaks."""
        return min(progress / self.warmup, (1 - progress) / (1 - self.warmup))


def pretrained_otherwise(config: Path, folder: Path) -> str:
    """Why the encoder in `folder` says that it was not pretrained as `config` says; empty if it was.

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
