"""Check from a folder's files, before any training, whether it holds a usable encoder."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune.encoders.architectures import check_model_type, is_decoder
from steadytune.encoders.weight_files import INDEX, check_weight_files
from steadytune.errors import SteadyTuneError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "spm.model")
WEIGHTS = "model.safetensors"
PICKLES = ("*.bin", "*.pt", "*.ckpt", "*.pth")
EMBEDDINGS = (
    "word_embeddings.weight",
    "tok_embeddings.weight",
    "embed_tokens.weight",
    "word_embedding.weight",
    "wte.weight",
    "decoder.weight",
)
HEADS = ("classifier.", "score.", "qa_outputs.", "logits_proj.")
# Model types whose position numbers start after the padding token's id.
OFFSET_BY_PADDING = ("roberta", "camembert", "xlm-roberta", "mpnet")
UNLIMITED = 1_000_000
"""Maximum lengths from here on mean no limit: a tokenizer without one reports 10^30."""


@dataclass(frozen=True)
class FolderReport:
    """The result of checking an encoder folder's files."""

    problems: tuple[str, ...]
    """Why the folder cannot be used, and how to fix it."""
    facts: str = ""
    """Facts for a person to check, on one line."""
    max_length: int | None = None
    """Maximum number of tokens that the encoder reads; None if there is no limit."""


def examine(folder: Path) -> FolderReport:
    """Check an encoder folder, as `save_pretrained` writes it, without loading the weights."""
    config = _read_config(folder)
    if isinstance(config, str):
        return FolderReport((config,))
    kind = config["model_type"]
    try:
        check_model_type(config, "config.json")
    except SteadyTuneError as error:
        return FolderReport((str(error),))
    problems: list[str] = []
    shapes = _shapes(folder, problems)
    tokenizer = _tokenizer(folder, problems)
    problems += _size_problems(config, kind, shapes, tokenizer)
    if tokenizer is not None:
        problems += _special_tokens(config, is_decoder(config) or kind == "xlnet", tokenizer)
    limit = _max_length(config, kind, tokenizer)
    layers, width = _first(config, "num_hidden_layers", "n_layers", "n_layer"), _first(config, "hidden_size", "dim")
    facts = [f"{kind}, {layers} layers, width {width}, {config.get('vocab_size')} tokens"]
    facts.append(f"reads {limit} tokens at most" if limit else "no maximum length")
    if any(name.startswith(HEADS) for name in shapes):
        labels = config.get("id2label")
        names = f" ({', '.join(map(str, labels.values()))})" if isinstance(labels, dict) else ""
        facts.append(f"its head{names} is dropped: every cell draws its own")
    return FolderReport(tuple(problems), "; ".join(facts), limit)


def _read_config(folder: Path) -> dict[str, Any] | str:
    """The configuration, or the reason why there is none."""
    if not folder.is_dir():
        return "no such folder"
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        return "a PEFT adapter and no encoder: merge it into its encoder first, with `merge_and_unload()`"
    if not (folder / "config.json").is_file():
        return "no config.json: expected a folder as save_pretrained writes it"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        return f"config.json: not JSON ({error})"
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        return "config.json: no model_type: expected a transformers configuration"
    if "transformers_weights" in config:
        return f"config.json: transformers_weights: expected the weights in {WEIGHTS}"
    return config


def _shapes(folder: Path, problems: list[str]) -> dict[str, list[int]]:
    """The weights' shapes by name."""
    from safetensors import SafetensorError, safe_open

    names = [WEIGHTS]
    if not (folder / WEIGHTS).is_file() and (folder / INDEX).is_file():
        try:
            check_weight_files(folder)
        except SteadyTuneError as error:
            problems.append(str(error).removeprefix(f"{folder}/"))
            return {}
        names = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    elif not (folder / WEIGHTS).is_file():
        pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
        pickles = [name for name in pickles if name not in ("training_args.bin", "optimizer.pt", "scheduler.pt")]
        convert = (
            f'python -c "from transformers import AutoModel as M; '
            f'M.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"'
        )
        cure = f"its weights are pickles ({', '.join(pickles)}), which are not read; convert them: {convert}"
        problems.append(cure if pickles else f"no weights: expected {WEIGHTS}")
        return {}
    shapes: dict[str, list[int]] = {}
    for name in names:
        try:
            with safe_open(folder / name, framework="np") as file:
                shapes |= {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            problems.append(f"{name}: damaged, or no safetensors file ({error}): copy it again")
    return shapes


def _tokenizer(folder: Path, problems: list[str]) -> "PreTrainedTokenizerBase | None":
    # Without a vocabulary, transformers would silently make a tokenizer that knows no words.
    if not any((folder / name).is_file() for name in VOCABULARIES):
        cure = f"AutoTokenizer.from_pretrained(THE ENCODER IT CAME FROM).save_pretrained({str(folder)!r})"
        problems.append(f"no tokenizer: expected one of {', '.join(VOCABULARIES)}; copy it there with `{cure}`")
        return None
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # The tokenizer's own code may raise anything.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        problems.append(f"its tokenizer cannot be loaded: {reason}")
        return None


def _size_problems(
    config: dict[str, Any], kind: str, shapes: dict[str, list[int]], tokenizer: "PreTrainedTokenizerBase | None"
) -> Iterator[str]:
    rows = next((shape[0] for name, shape in shapes.items() if name.endswith(EMBEDDINGS)), None)
    if shapes and rows is None:
        yield "the weights have no word embeddings: are they an encoder's?"
    if rows is not None and config.get("vocab_size") not in (None, rows):
        yield f"config.json: vocab_size is {config['vocab_size']}, but the weights have {rows} embeddings"
    size = rows or config.get("vocab_size")
    if tokenizer is not None and size and len(tokenizer) > size:
        yield (
            f"the tokenizer has {len(tokenizer)} tokens, but there are {size} embeddings: it is another encoder's, or "
            "tokens were added without `resize_token_embeddings`"
        )
    found = {int(match[1]) for name in shapes if (match := re.search(r"\.(?:layer|layers)\.(\d+)\.", f".{name}"))}
    asked = _first(config, "num_hidden_layers", "n_layers", "n_layer")
    if found and kind != "albert" and isinstance(asked, int) and len(found) < asked:
        yield f"config.json: {asked} layers, but the weights have {len(found)}"


def _special_tokens(
    config: dict[str, Any], reads_last_token: bool, tokenizer: "PreTrainedTokenizerBase"
) -> Iterator[str]:
    ends = config.get("eos_token_id") if reads_last_token else None
    if config.get("pad_token_id") is None and ends is None:
        yield "config.json: no pad_token_id: set it to the id of the tokenizer's padding token"
    if reads_last_token:
        return
    special = set(tokenizer.all_special_ids)
    ids = tokenizer("a", "a")["input_ids"]
    if not ids or ids[0] not in special:
        yield "the tokenizer puts no start token before a text, such as [CLS], and the head reads the first token"
    elif ids[-1] not in special:
        yield "the tokenizer puts no end token behind a text, such as [SEP]"
    elif not special.intersection(ids[1:-1]):
        yield "the tokenizer puts no token between the texts of a pair, such as [SEP]"


def token_limit(config: dict[str, Any], kind: str) -> int | None:
    """Number of tokens that a model has positions for, from its config.json; None if there is no limit."""
    positions = _first(config, "max_position_embeddings", "n_positions")
    relative = kind in ("deberta", "deberta-v2") and not config.get("position_biased_input", True)
    if not isinstance(positions, int) or positions <= 0 or relative:
        return None
    return positions - (config.get("pad_token_id", 1) + 1 if kind in OFFSET_BY_PADDING else 0)


def _max_length(config: dict[str, Any], kind: str, tokenizer: "PreTrainedTokenizerBase | None") -> int | None:
    limit = token_limit(config, kind)
    limits = [] if limit is None else [limit]
    if tokenizer is not None and tokenizer.model_max_length < UNLIMITED:
        limits.append(tokenizer.model_max_length)
    return min(limits, default=None)


def _first(config: dict[str, Any], *names: str) -> Any:
    return next((config[name] for name in names if name in config), None)
