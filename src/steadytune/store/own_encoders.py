"""Check that a user's own encoder works before it is pinned, rather than hours later in its first cell.

Its files are checked first (`own_settings.py`). Then it is loaded as a cell loads it and reads a few texts, which
reveals anything that transformers refuses or silently gets wrong.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from steadytune.encoders.architectures import ENCODERS
from steadytune.encoders.folder import OFFSET_BY_PADDING, FolderReport, examine
from steadytune.errors import SteadyTuneError
from steadytune.store.contents import check_content
from steadytune.store.own_settings import name_problems, read_values, setting_problems, weight_files, weight_problems

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from steadytune.encoders.encoder import Encoder

LAYER_KEYS = ("num_hidden_layers", "n_layers", "n_layer")
WORDS = 3
"""Tokens in a trial text, besides special ones: few enough for every encoder."""


def check_encoder(folder: Path, names: Iterable[str]) -> FolderReport:
    """Report on an encoder's folder, with the reasons why a cell could not use it.

    The checks run in stages; if one fails, the later ones are skipped.

    Args:
        folder: the folder, as `save_pretrained` writes it.
        names: the files that staging copies; the trial sees only these.
    """
    names = list(names)
    if problems := [*_place_problems(folder, names)] or [*setting_problems(folder)]:
        return FolderReport(tuple(problems))
    try:
        report = examine(folder)
        problems = [*report.problems] or [*name_problems(folder), *weight_problems(folder)] or [*_try(folder, names)]
    except Exception as error:  # transformers and safetensors may raise anything on malformed files.
        return FolderReport((_line(error, folder),))
    return FolderReport(tuple(problems), report.facts, report.max_length)


def _place_problems(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Report files that are unreadable or only placeholders, and a folder that only contains the encoder's folder."""
    for name in names:
        try:
            check_content(folder / name, name)
        except OSError as error:
            yield f"{name}: {error.strerror}"
        except SteadyTuneError as error:
            yield str(error)
    if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        # The layouts of sentence-transformers, of a trainer and of the hub cache.
        below = [*folder.glob("*/config.json"), *folder.glob("snapshots/*/config.json")]
        places = [file.parent.relative_to(folder).as_posix() for file in below if "model_type" in read_values(file)]
        if places:
            found = ", ".join(sorted(places))
            yield f"no config.json: expected a folder as save_pretrained writes it, as below this one: {found}"


def _try(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Report what goes wrong when an encoder is loaded as a cell loads it, and when it reads texts."""
    from steadytune.encoders.loading import load_encoder, load_tokenizer

    with TemporaryDirectory() as place, _without_notes():
        # Leave out a receipt that came with the folder: it would hide files, and staging writes its own.
        view = Path(place)
        for name in names:
            (view / name).symlink_to((folder / name).absolute())
        try:
            encoder, tokenizer = load_encoder(view, 2, 0), load_tokenizer(view)
            vocabulary = tokenizer.get_vocab()
            special = set(tokenizer.all_special_ids)
            empty, pair = tokenizer("")["input_ids"], tokenizer("a", "a")["input_ids"]
            problems = [*_cut_layers(folder, encoder), *_far_tokens(encoder, vocabulary, pair)]
            problems += _other_padding(encoder, tokenizer)
            regular = sorted(set(vocabulary.values()) - special)
            problems = problems or [*_reading_problems(encoder, empty, regular)]
        except Exception as error:
            problems = [_line(error, view) + _example(folder, str(error))]
    yield from problems


def _example(folder: Path, said: str) -> str:
    """If the weights lack names, a name that they have, which reveals a prefix such as `module.`; else empty."""
    from safetensors import safe_open

    if "weights lack" not in said:
        return ""
    name = weight_files(folder)[0]
    with safe_open(folder / name, framework="pt") as weights:
        first = next(iter(sorted(weights.keys())), None)
    return f"; {name} has " + (f"'{first}', for example" if first else "none at all")


def _cut_layers(folder: Path, encoder: "Encoder") -> Iterator[str]:
    """Report layers of the checkpoint beyond those in config.json, which transformers would silently leave out."""
    from safetensors import safe_open

    stack = re.escape(encoder.architecture.stack.removeprefix(f"{encoder.model.base_model_prefix}."))
    found = set()
    for name in weight_files(folder):
        with safe_open(folder / name, framework="pt") as weights:
            matches = (re.search(rf"(?:^|\.){stack}\.(\d+)\.", tensor) for tensor in weights.keys())  # noqa: SIM118
            found |= {int(match[1]) for match in matches if match}
    if len(found) > encoder.num_layers:
        values = read_values(folder / "config.json")
        key = next((key for key in LAYER_KEYS if key in values), LAYER_KEYS[0])
        yield f"config.json: {key} is {encoder.num_layers}, but the weights have {len(found)} layers: expected as many"


def _far_tokens(encoder: "Encoder", vocabulary: dict[str, int], pair: list[int]) -> Iterator[str]:
    """Report a token id that has no embedding. The number of tokens may fit, but edited tokenizers have gaps in ids."""
    rows = encoder.model.config.vocab_size
    token, largest = max(vocabulary.items(), key=lambda item: item[1])
    if (largest := max(largest, *pair)) >= rows:
        name = f" ({token!r})" if vocabulary[token] == largest else ""
        yield f"its tokenizer: the largest token id is {largest}{name}: expected one below {rows}, the embeddings"


def _other_padding(encoder: "Encoder", tokenizer: "PreTrainedTokenizerBase") -> Iterator[str]:
    """Report a mismatched padding token, the usual sign of another encoder's tokenizer whose size happens to fit."""
    config, padding = encoder.model.config, tokenizer.pad_token_id
    # Encoders that number positions from the padding id were trained with the one in config.json, so it is right.
    judged = config.model_type in ENCODERS and config.model_type not in OFFSET_BY_PADDING
    if judged and padding is not None and padding != config.pad_token_id:
        yield (
            f"config.json: pad_token_id is {config.pad_token_id}, but the tokenizer pads with {padding} "
            f"({tokenizer.pad_token!r}): expected one token; is it another encoder's tokenizer?"
        )


def _reading_problems(encoder: "Encoder", empty: list[int], regular: list[int]) -> Iterator[str]:
    """Read texts in evaluation and training mode; report outputs that are not finite, or equal for different texts."""
    import torch

    if len(regular) < 2:
        yield "the tokenizer has no two tokens beside its special ones: expected those of a language"
        return
    picks = [[regular[(start + step) % len(regular)] for step in range(WORDS)] for start in (0, len(regular) // 2)]
    # The last text has another length, because some settings only work for some lengths.
    texts = [torch.tensor([[*empty[:1], *pick, *empty[1:]]]) for pick in (*picks, picks[0][:-1])]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        first, second, shorter = (_read(encoder, text) for text in texts)
        encoder.model.train()
        trained = _read(encoder, texts[0])
    if not all(bool(output.isfinite().all()) for output in (first, second, shorter, trained)):
        yield "its outputs are not finite numbers: expected weights in model.safetensors that were trained to an end"
    elif torch.equal(first, second):
        yield (
            "its outputs are the same for different texts: expected weights and a config.json that make an encoder "
            "whose output depends on what it reads"
        )


def _read(encoder: "Encoder", ids: "Tensor") -> "Tensor":
    import torch

    return encoder({"input_ids": ids, "attention_mask": torch.ones_like(ids)}).logits


def _line(error: Exception, place: Path) -> str:
    """An exception as one line, without the leading folder, which the caller names."""
    said = " ".join(str(error).replace(f"{place}/", "").removeprefix(f"{place}: ").split())
    said = said.replace(str(place), "the folder")
    if isinstance(error, SteadyTuneError):
        return said[:500]
    return f"cannot be loaded: {type(error).__name__}: {said[:300]}; expected a folder as save_pretrained writes it"


@contextmanager
def _without_notes() -> Iterator[None]:
    """Hide the loader's notes on drawn and unused weights, which matter only in cells."""
    loading = logging.getLogger("steadytune.encoders.loading")
    before = loading.level
    loading.setLevel(logging.WARNING)
    try:
        yield
    finally:
        loading.setLevel(before)
