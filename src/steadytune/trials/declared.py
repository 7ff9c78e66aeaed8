"""Checks that a method does what its class declares: the training loop, compositions and estimates rely on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from steadytune.methods import registry
from steadytune.methods.base import Method
from steadytune.methods.support.forward import Forward
from steadytune.methods.support.objective import Classification
from steadytune.trials.trial import Trial

CLOSE = 1e-10


class Whole(Method):
    """Makes the training loop train the whole table of word embeddings."""

    @property
    def moves_every_word(self) -> bool:
        """Always True."""
        return True


def does_something(name: str, folder: Path) -> tuple[bool, str]:
    """With its own settings, a method does not end at vanilla's weights; otherwise the checks would show nothing."""
    trial = Trial(name)
    # Training the whole table rounds differently, so vanilla must do the same.
    whole = any(method.moves_every_word for method in trial.method.methods)
    vanilla = Trial("vanilla", also=(Whole(None),) if whole else ())
    trial.fit(folder / "ours")
    vanilla.fit(folder / "plain")
    ours, plain = trial.weights(), vanilla.weights()
    if ours.keys() != plain.keys() or not all(torch.equal(p, plain[key]) for key, p in ours.items()):
        return True, ""
    steps = trial.epochs * len(trial.data)
    said = "its settings switch it off, or it begins later; give it a name with settings that act within these steps"
    return False, f"{steps} steps end at vanilla's weights: {said}"


def says_what_it_changes(name: str, folder: Path) -> tuple[bool, str]:
    """The class declares what `prepare` changes and freezes; compositions rely on it."""
    cls = registry.methods()[name][0]
    before, after = (dict(Trial(each).encoder.model.named_parameters()) for each in ("vanilla", name))
    head = Trial("vanilla").head.keys()
    frozen = [key for key in before if key not in after or not after[key].requires_grad]
    matrices = {key for key, p in before.items() if p.ndim > 1 and key not in head}
    changed = [key for key, p in after.items() if key in before and not torch.equal(p, before[key])]
    kept = matrices <= {*frozen}
    wrong = []
    if changed and not cls.changes_pretrained:
        wrong.append(f"`prepare` changes {changed[0]}: set `changes_pretrained = True`")
    if frozen and not cls.selects_parameters:
        wrong.append(f"{frozen[0]} is not trained: set `selects_parameters = True`")
    if kept is not cls.freezes_weights:
        said = "no weight matrix of the encoder is" if kept else "weight matrices of the encoder are"
        wrong.append(f"{said} trained: set `freezes_weights = {kept}`")
    return not wrong, "; ".join(wrong)


def trained_parameters(name: str, folder: Path) -> tuple[bool, str]:
    """Some parameters are trained; the detail gives their number and whether the head is among them."""
    trial = Trial(name)
    parameters = dict(trial.encoder.model.named_parameters())
    trained = {key: p.numel() for key, p in parameters.items() if p.requires_grad}
    head = trial.encoder.head_parameters().keys() <= trained.keys()
    detail = f"{len(trained)} of {len(parameters)} tensors, {'the head among them' if head else 'not all of the head'}"
    return bool(trained), detail


def passes_as_declared(name: str, folder: Path) -> tuple[bool, str]:
    """`passes`, used to estimate a cell's time, is less than one off the average number of forward passes per step."""
    declared, _ = registry.passes(registry.parse(name)[0])
    trial, run = Trial(name), 0

    def count(*_: Any) -> None:
        nonlocal run
        run += 1

    step, steps = trial.stepper(), trial.epochs * len(trial.data)
    trial.encoder.model.register_forward_pre_hook(count)
    for number in range(steps):
        step(number)
    if abs(run / steps - declared) < 1:
        return True, f"{declared:g} forward"
    return False, f"{run / steps:g} forward passes per step: `passes` says {declared:g}"


def unread_words_follow(name: str, folder: Path) -> tuple[bool | None, str]:
    """Words that no example reads end at the values they would have if the whole table were trained."""
    narrow, whole = Trial(name, double=True), Trial(name, double=True, also=(Whole(None),))
    if any(method.moves_every_word for method in narrow.method.methods):
        return None, "the whole table is trained"
    for trial, place in ((narrow, "narrow"), (whole, "whole")):
        trial.fit(folder / place, weight_decay=0.1)
    unread = torch.ones(narrow.encoder.model.config.vocab_size, dtype=torch.bool)
    unread[torch.cat([torch.from_numpy(ids) for ids in narrow.data.encoded.input_ids])] = False
    tables = (cast(nn.Embedding, trial.encoder.model.get_input_embeddings()).weight for trial in (narrow, whole))
    ours, others = (table.detach()[unread] for table in tables)
    apart = float((ours - others).abs().max())
    said = f"differ by {apart:.1g}: set `moves_every_word = True`, or say in `unread_words` what a step leaves of them"
    return apart < CLOSE, "" if apart < CLOSE else said


def added_parameters(name: str, folder: Path) -> tuple[bool | None, str]:
    """Parameters that the method adds are trained, and act in evaluation if they act in training."""
    trial, plain = Trial(name), Trial("vanilla")
    trial.fit(folder)
    parameters = dict(trial.encoder.model.named_parameters())
    for path, parameter in _parameters_in(vars(trial.method.methods[0]), "self"):
        if parameter.grad is not None and not any(parameter is p for p in parameters.values()):
            return False, f"{path} is no parameter of the model, so nothing trains it: add its module to the model"
    added = {key: p for key, p in parameters.items() if key not in plain.weights() and p.requires_grad}
    if not added:
        return None, "it adds none"
    batch, forward = trial.data.largest(), Forward(trial.encoder, trial.method.hooks(), trial.streams, Classification())
    trial.encoder.model.train()
    acting = _reached(forward(batch).logits, added)
    trial.encoder.model.eval()
    missing = sorted(acting - _reached(trial.encoder(batch.inputs).logits, added))
    if missing:
        return False, f"{missing[0]} acts only in training, as hooks do: let the model's own forward pass use it"
    return True, f"{len(added)} tensors"


def _reached(logits: Tensor, parameters: dict[str, nn.Parameter]) -> set[str]:
    """Names of the parameters that the logits depend on."""
    if not logits.requires_grad:
        return set()
    found = torch.autograd.grad(logits.square().sum(), list(parameters.values()), allow_unused=True)
    return {key for key, gradient in zip(parameters, found, strict=True) if gradient is not None and gradient.any()}


def _parameters_in(value: Any, path: str) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the parameters in an object, also inside mappings, lists and modules, each with its path."""
    match value:
        case nn.Parameter():
            yield path, value
        case nn.Module():
            yield from ((f"{path}.{key}", parameter) for key, parameter in value.named_parameters())
        case dict():
            for key, each in value.items():
                yield from _parameters_in(each, f"{path}.{key}")
        case list() | tuple():
            for place, each in enumerate(value):
                yield from _parameters_in(each, f"{path}[{place}]")
