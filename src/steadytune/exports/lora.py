"""LoRA's matrices in a fine-tuned model: merged into its weights, or written as a folder that peft opens."""

from pathlib import Path
from typing import Any

from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file

from steadytune.encoders.encoder import Encoder
from steadytune.errors import SteadyTuneError
from steadytune.suite.cell import Spec


def merge_lora(encoder: Encoder) -> None:
    """Add every low-rank update to its weight and restore the plain layers. Without LoRA nothing changes."""
    for name, layer in _layers(encoder).items():
        layer.merge()
        encoder.model.set_submodule(name, layer.get_base_layer())


def check_lora(encoder: Encoder, spec: Spec) -> None:
    """Refuse a model without LoRA, or one whose other weights are not the pretrained ones."""
    if not _layers(encoder):
        raise SteadyTuneError(f"--adapter: method '{spec.method}' has no LoRA: expected no --adapter")
    if spec.start or spec.weights == "random" or any(part.build().changes_pretrained for part in spec.parts):
        raise SteadyTuneError("--adapter: the weights beneath LoRA are not the pretrained ones: expected no --adapter")


def write_lora(folder: Path, encoder: Encoder, spec: Spec, base: str) -> None:
    """Write LoRA's matrices and the head for `PeftModel.from_pretrained(model, folder)`.

    Args:
        folder: an existing folder.
        encoder: a model that passed `check_lora`.
        spec: the cell's.
        base: name or folder of the pretrained encoder.
    """
    layers, head = _layers(encoder), encoder.head_parameters()
    first: Any = next(iter(layers.values()))
    (adapter,) = first.lora_A
    config = LoraConfig(
        r=first.r[adapter],
        lora_alpha=first.lora_alpha[adapter],
        target_modules=sorted(layers),
        modules_to_save=sorted({name.rpartition(".")[0] for name in head}),
        task_type="QUESTION_ANS" if spec.tasks[spec.task].span else "SEQ_CLS",
        base_model_name_or_path=base,
        inference_mode=True,
    )
    config.save_pretrained(str(folder))
    lora = {name: p for name, p in encoder.model.named_parameters() if ".lora_" in name}
    tensors = {f"base_model.model.{name.replace(f'.{adapter}.', '.')}": p for name, p in {**lora, **head}.items()}
    plain = {name: p.detach().cpu().contiguous() for name, p in tensors.items()}
    save_file(plain, folder / "adapter_model.safetensors", {"format": "pt"})


def _layers(encoder: Encoder) -> dict[str, Any]:
    """LoRA's layers by name."""
    return {name: module for name, module in encoder.model.named_modules() if isinstance(module, LoraLayer)}
