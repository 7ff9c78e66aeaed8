"""Load an `Encoder` (from safetensors files, always in fp32) and a tokenizer from a Hugging Face checkpoint folder."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import safe_open
from torch import nn

from steadytune.encoders.architectures import DECODERS, TESTED, Architecture, Head, check_model_type, find_architecture
from steadytune.encoders.dropout import use_quick_dropout
from steadytune.encoders.encoder import Encoder
from steadytune.encoders.folder import VOCABULARIES, token_limit
from steadytune.encoders.trying import try_out
from steadytune.encoders.weight_files import check_weight_files
from steadytune.errors import SteadyTuneError
from steadytune.files import read_json, safetensors_errors
from steadytune.staged import listed_view

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

Weights = Literal["pretrained", "random"]
Attention = Literal["sdpa", "eager", "flash"]
OUTPUT_LAYERS = ("decoder.weight", "lm_head.weight", "lm_head.decoder.weight", "cls.predictions.decoder.weight")
"""Names of a language model's output layer in checkpoints."""


def load_encoder(
    folder: Path,
    num_labels: int,
    init_seed: int,
    weights: Weights = "pretrained",
    head: Head = "sentence",
    attention: Attention = "sdpa",
) -> Encoder:
    """Load the checkpoint in `folder` with a head of `num_labels` outputs (1 = regression), on the CPU, in eval mode.

    A span head has two outputs per token.

    The head's initial weights depend only on `init_seed`; the state of the global generators neither affects them nor
    changes. The output layer is always drawn, even if the checkpoint has one, whose classes mean something else. A
    dense layer below it is kept if the checkpoint has one (an MNLI-tuned DeBERTa). `weights="random"` draws every
    weight by the architecture's own initialisation and reads only config.json. `attention` is the attention kernel;
    models without `sdpa` use their own.

    Raises SteadyTuneError if the folder, model type or weight files cannot be used, or if the checkpoint lacks encoder
    weights or disagrees with its config.json.
    """
    config = _read_config(folder, head)
    config.num_labels = num_labels
    if attention != "sdpa":
        config._attn_implementation = {"eager": "eager", "flash": "flash_attention_2"}[attention]
    tested = config.model_type in TESTED
    notes = [] if tested else [f"model_type '{config.model_type}' is not tested: its layout was found by structure"]
    if weights == "random":
        with _seeded(init_seed), _readable(folder / "config.json"):
            model = _auto_model(head).from_config(config, dtype=torch.float32, trust_remote_code=False)
        fresh = [name for name, _ in model.named_parameters()]
    else:
        check_weight_files(folder)
        model, missing = _read_weights(folder, config, _auto_model(head))
        if tied := _read_tied(folder, model, missing):
            notes.append(f"its word embeddings are `{tied}` of the checkpoint, to which they are tied")
        architecture = find_architecture(model)
        _check_missing(folder, model, architecture, missing)
        fresh = _draw(model, architecture, missing, init_seed)
        logger.info("%s: drawn from init seed %d: %s", folder, init_seed, ", ".join(fresh))
    use_quick_dropout(model)
    encoder = Encoder(model.eval(), fresh, notes)
    if not tested:
        try_out(encoder, str(folder))
    return encoder


def load_masked_words(folder: Path) -> "PreTrainedModel | None":
    """Load the checkpoint in `folder` with its masked-word head, in eval mode; None if it has no such head.

    Raises SteadyTuneError as `load_encoder` does.
    """
    from transformers import AutoModelForMaskedLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    config = _read_config(folder)
    check_weight_files(folder)
    if config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return None
    model, missing = _read_weights(folder, config, AutoModelForMaskedLM)
    below = f"{model.base_model_prefix}."
    return None if any(not name.startswith(below) for name in missing) else model.eval()


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """Load the tokenizer in `folder`.

    Raises SteadyTuneError if the folder is not an encoder's, or its vocabulary is missing or larger than the model's.
    """
    config = _read_config(folder)
    # Without a vocabulary, transformers would silently make a tokenizer that knows no words.
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise SteadyTuneError(f"{folder}: no tokenizer; expected one of {', '.join(VOCABULARIES)}")

    from transformers import AutoTokenizer

    with _readable(folder / "tokenizer.json"), listed_view(folder) as view:
        tokenizer = AutoTokenizer.from_pretrained(str(view), local_files_only=True, trust_remote_code=False)
    if len(tokenizer) > config.vocab_size:
        size = f"vocab_size in config.json, {config.vocab_size}"
        raise SteadyTuneError(f"{folder}: the tokenizer has {len(tokenizer)} tokens, more than {size}")
    if limit := token_limit(config.to_dict(), config.model_type):
        tokenizer.model_max_length = min(tokenizer.model_max_length, limit)
    return tokenizer


def start_from(encoder: Encoder, path: Path) -> None:
    """Load an encoder's weights from `path`, saved after fine-tuning on another task; its head stays new.

    Raises:
        SteadyTuneError: the file lacks a weight of the encoder or has it in another shape.
    """
    with safetensors_errors(path), safe_open(path, "pt", device=str(encoder.device)) as weights, torch.no_grad():
        there = set(weights.keys())
        for name, parameter in encoder.encoder_parameters().items():
            found = weights.get_tensor(name) if name in there else None
            if found is None or found.shape != parameter.shape:
                lacks = "no" if found is None else f"another shape ({tuple(found.shape)}) of"
                raise SteadyTuneError(f"{path}: {lacks} '{name}': its method changed the encoder's layers")
            parameter.copy_(found)


def _auto_model(head: Head) -> Any:
    # Imported here because it takes seconds, and methods import the encoder without ever loading one.
    from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification

    return AutoModelForQuestionAnswering if head == "span" else AutoModelForSequenceClassification


def _read_config(folder: Path, head: Head = "sentence") -> "PreTrainedConfig":
    path = folder / "config.json"
    if not folder.is_dir():
        raise SteadyTuneError(f"{folder}: no such encoder folder")
    if not path.is_file():
        raise SteadyTuneError(f"{folder}: no config.json, so this is no encoder folder")
    values = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("model_type"), str):
        raise SteadyTuneError(f"{path}: no model_type")
    if "transformers_weights" in values:
        raise SteadyTuneError(f"{path}: transformers_weights: expected the weights in model.safetensors")
    check_model_type(values, str(path))
    if head == "span" and values["model_type"] in DECODERS:
        kind = values["model_type"]
        raise SteadyTuneError(f"{path}: model_type '{kind}' has no span head here: expected an encoder")

    from transformers import AutoConfig

    with _readable(path), listed_view(folder) as view:
        config = AutoConfig.from_pretrained(str(view), local_files_only=True, trust_remote_code=False)
    if config.pad_token_id is None:
        # Decoders often have no padding token. Padding comes first, and the head skips it only at the end of a text.
        end = config.eos_token_id
        config.pad_token_id = end[0] if isinstance(end, list) else end
    return config


def _read_weights(folder: Path, config: "PreTrainedConfig", kind: Any) -> "tuple[PreTrainedModel, set[str]]":
    """The model, and the names of parameters that the checkpoint lacks or has in another shape."""
    with torch.random.fork_rng(devices=[]), _quiet(), _readable(folder), listed_view(folder) as view:
        model, info = kind.from_pretrained(
            str(view),
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    if info["unexpected_keys"]:
        logger.info("%s: not used: %s", folder, ", ".join(sorted(info["unexpected_keys"])))
    return model, set(info["missing_keys"]) | {name for name, *_ in info["mismatched_keys"]}


def _read_tied(folder: Path, model: "PreTrainedModel", missing: set[str]) -> str | None:
    """Read word embeddings that the checkpoint stores under the name of the output layer they are tied to.

    Converted checkpoints keep only one of the two names: Ettin's keep `decoder.weight`. Removes the embeddings from
    `missing` and returns the name found; None if nothing had to be done.
    """
    words = model.get_input_embeddings()
    assert isinstance(words, nn.Embedding)
    name = next((name for name, module in model.named_modules() if module is words), "") + ".weight"
    if name not in missing or not getattr(model.config, "tie_word_embeddings", True):
        return None
    for path in sorted(folder.glob("*.safetensors")):
        with safetensors_errors(path), safe_open(path, "pt") as weights:
            for key in OUTPUT_LAYERS:
                if key in weights.keys() and weights.get_slice(key).get_shape() == list(words.weight.shape):  # noqa: SIM118
                    with torch.no_grad():
                        words.weight.copy_(weights.get_tensor(key))
                    missing.discard(name)
                    return key
    return None


def _check_missing(folder: Path, model: "PreTrainedModel", architecture: Architecture, missing: Iterable[str]) -> None:
    pooler = architecture.pooler
    lacking = sorted(
        name
        for name in missing
        if name.startswith(f"{model.base_model_prefix}.") and not (pooler and name.startswith(f"{pooler}."))
    )
    if lacking:
        shown = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
        raise SteadyTuneError(
            f"{folder}: the weights lack {len(lacking)} encoder parameters that config.json asks for, "
            f"or have them in another shape: {shown}"
        )


def _draw(model: "PreTrainedModel", architecture: Architecture, missing: Iterable[str], seed: int) -> list[str]:
    """Draw the output layer and every layer with missing weights; return the names of the drawn parameters."""
    modules = {name.rpartition(".")[0] for name in missing} | {architecture.output_layer}
    drawn = [name for name, _ in model.named_parameters() if name.rpartition(".")[0] in modules]
    with _seeded(seed):
        for path in dict.fromkeys(name.rpartition(".")[0] for name in drawn):
            old = model.get_submodule(path)
            if isinstance(old, nn.LayerNorm):  # the head of ModernBERT and its decoder
                old.reset_parameters()
                continue
            assert isinstance(old, nn.Linear), f"{path} is no linear layer"
            # A new module, because transformers marks loaded modules as not to be initialised again.
            new = nn.Linear(old.in_features, old.out_features, bias=old.bias is not None)
            model._init_weights(new)
            model.set_submodule(path, new)
    return drawn


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed CPU draws inside the `with` block; generator states outside it do not change, on any device."""
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would seed the accelerators too.
        torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the many errors that transformers raises for unexpected files into a one-line SteadyTuneError."""
    try:
        yield
    except (OSError, MemoryError, SteadyTuneError):
        raise
    except Exception as error:
        logger.debug("%s", path, exc_info=True)
        reason = str(error).strip().partition("\n")[0][:200]
        raise SteadyTuneError(f"{path}: transformers cannot read it: {type(error).__name__}: {reason}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' loading report and progress bar; this module logs what matters."""
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bar:
            transformers_logging.enable_progress_bar()
