"""Settings in a user's own encoder that no cell can use: transformers follows them silently, or fails obscurely."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steadytune.encoders.architectures import ENCODERS, TESTED
from steadytune.encoders.folder import WEIGHTS
from steadytune.encoders.weight_files import INDEX
from steadytune.errors import SteadyTuneError, nearest, short
from steadytune.files import read_json

ADAPTERS = ("adapter_config.json", "adapter_model.safetensors")
ATTENTION_KEYS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
KERNELS = (None, "eager", "sdpa")
FLOATS = ("F64", "F32", "F16", "BF16")
BUFFER = re.compile(r"(?:.*\.)?(?:position_ids|token_type_ids|(?:attn|attention)\.(?:masked_)?bias)")
"""Tensors that old checkpoints have besides their weights: position and token-type ids, masks. They are not read."""
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size", "dim",
         "n_layers", "n_heads", "hidden_dim", "n_layer", "n_head", "d_model", "d_inner", "n_embd")  # fmt: skip
POSITIONS = ("max_position_embeddings", "n_positions")
ACTIVATIONS = ("hidden_act", "hidden_activation", "activation", "activation_function", "ff_activation",
               "classifier_activation")  # fmt: skip
ROBERTAS = {"camembert", "roberta", "xlm-roberta"}
"""One architecture under three names."""
RATE = re.compile(r".*(?:dropout|dropout_prob|_pdrop)")


def setting_problems(folder: Path) -> Iterator[str]:
    """Report adapters, and settings in config.json and tokenizer_config.json that no cell can use."""
    try:
        config, tokenizer = read_values(folder / "config.json"), read_values(folder / "tokenizer_config.json")
    except SteadyTuneError as error:
        yield str(error).removeprefix(f"{folder}/")
        return
    adapters = [name for name in ADAPTERS if (folder / name).is_file()]
    if adapters and (folder / "config.json").is_file():
        yield (
            f"{adapters[0]}: a PEFT adapter beside the weights, which would be added and freeze them: merge it into "
            "its encoder first, with `merge_and_unload()`, and save the result in a folder of its own"
        )
    for values in (config, *(value for value in config.values() if isinstance(value, dict))):
        yield from _bad_settings(values)
    yield from _bad_sizes(config)
    if config.get("is_decoder") and config.get("model_type") in ENCODERS:
        yield f"config.json: is_decoder is {short(config['is_decoder'])}: expected false, for an encoder"
    length = tokenizer.get("model_max_length")
    number = isinstance(length, int | float) and not isinstance(length, bool) and length >= 1
    if length is not None and not number:
        yield f"tokenizer_config.json: model_max_length is {short(length)}: expected a number of tokens, such as 512"


def _bad_settings(config: dict[str, Any]) -> Iterator[str]:
    for key in ATTENTION_KEYS:
        if config.get(key) not in KERNELS:
            # Any other name may be a repository, whose code would be downloaded and run.
            yield f"config.json: {key} is {short(config[key])}: expected eager, sdpa, or no such key"
    if config.get("quantization_config") is not None:
        yield "config.json: quantization_config: expected none, and weights that are not quantized"
    if config.get("chunk_size_feed_forward"):
        said = short(config["chunk_size_feed_forward"])
        yield f"config.json: chunk_size_feed_forward is {said}: expected 0, because texts have every length"
    for key, value in config.items():
        rate = isinstance(value, int | float) and not isinstance(value, bool) and RATE.fullmatch(key)
        if rate and not 0 <= value < 1:
            yield f"config.json: {key} is {short(value)}: expected a rate of at least 0 and below 1"


def _bad_sizes(config: dict[str, Any]) -> Iterator[str]:
    for key in (*SIZES, *POSITIONS):
        value = config.get(key, 1)
        # Some configurations have -1 positions to mean no limit.
        fits = (
            isinstance(value, int)
            and not isinstance(value, bool)
            and (value >= 1 or (key in POSITIONS and value == -1))
        )
        if not fits:
            yield f"config.json: {key} is {short(value)}: expected a whole number of at least 1"


def name_problems(folder: Path) -> Iterator[str]:
    """Report names in config.json that transformers does not know; its own errors would only list its classes."""
    from transformers.activations import ACT2FN
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as KINDS

    config = read_values(folder / "config.json")
    if (kind := config.get("model_type")) not in KINDS:
        yield f"config.json: model_type '{kind}' cannot classify texts in transformers: expected a text encoder's"
    yield from _other_architecture(config)
    for key in ACTIVATIONS:
        if (value := config.get(key)) is not None and (not isinstance(value, str) or value not in ACT2FN):
            close = nearest(str(value), ACT2FN)
            yield f"config.json: {key} is {short(value)}: expected an activation of transformers{close}"


def _other_architecture(config: dict[str, Any]) -> Iterator[str]:
    """Report a model_type that contradicts `architectures`.

    BERT's weights, for example, fit RoBERTa's names and shapes, but not how it numbers positions.
    """
    from transformers.models.auto import modeling_auto

    kind = config.get("model_type")
    tables = [table for name, table in vars(modeling_auto).items() if name.endswith("_MAPPING_NAMES")]
    for name in config.get("architectures") or ():
        of = {key for table in tables for key, found in table.items() if name == found or name in (*found,)}
        if of and kind in TESTED and kind not in of and not (of | {kind}) <= ROBERTAS:
            yield f"config.json: model_type is '{kind}', but architectures names {name}: expected one architecture"


def weight_problems(folder: Path) -> Iterator[str]:
    """Report the first tensor in each file that is not floating-point or not finite."""
    import torch
    from safetensors import safe_open

    for name in weight_files(folder):
        with safe_open(folder / name, framework="pt") as weights:
            for tensor in sorted(weights.keys()):
                if BUFFER.fullmatch(tensor):
                    continue
                kind = weights.get_slice(tensor).get_dtype()
                if kind not in FLOATS:
                    expected = "expected numbers of a kind that can be trained"
                    yield f"{name}: the weights '{tensor}' are {kind}: {expected}, {', '.join(FLOATS)}"
                    break
                # In single precision, in which every cell loads them.
                if not bool(weights.get_tensor(tensor).to(torch.float32).isfinite().all()):
                    yield f"{name}: the weights '{tensor}' have NaN or infinite numbers: expected finite ones"
                    break


def weight_files(folder: Path) -> list[str]:
    """Names of the files in which transformers finds the weights."""
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    return sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))


def read_values(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty if there is no file, or it contains something else.

    Raises:
        SteadyTuneError: not JSON.
    """
    values = read_json(path) if path.is_file() else {}
    return values if isinstance(values, dict) else {}
