"""The checks that a method must pass; each takes seconds, on tiny encoders."""

import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steadytune.encoders.batching import Batch
from steadytune.errors import SteadyTuneError
from steadytune.methods import registry
from steadytune.methods.support.forward import Forward
from steadytune.trials.declared import CLOSE
from steadytune.trials.trial import SameNoise, Shift, Trial, Watch

TIMED: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 4}
NO_DROPOUT: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
ROUNDS = 15
LEFT_BEHIND = (
    "`state` and `restore` must keep what a step leaves for the next; all draws must come from `streams.noise`"
)
DRAWN = "`prepare` must draw from `setup.streams.noise`, also the weights of new modules"

Check = Callable[[str, Path], tuple[bool | None, str]]
"""Takes a method's name and an empty folder; returns whether the method passes (None: does not apply), and a detail."""


def off_is_vanilla(name: str, folder: Path) -> tuple[bool | None, str]:
    """With the settings that its class declares as `off`, a method ends at vanilla's weights."""
    off = registry.methods()[name][0].off
    if off is None:
        return None, "the class declares no `off`"
    trials = Trial(name, off), Trial("vanilla")
    for trial, place in zip(trials, ("off", "plain"), strict=True):
        trial.fit(folder / place)
    same, detail = _equal(*(trial.weights() for trial in trials))
    return same, detail + ("" if same else _hint_on_words(*trials))


def _hint_on_words(ours: Trial, plain: Trial) -> str:
    """Advice if only the word embeddings differ: vanilla trains them only for words that some example reads."""
    table, mine, other = ours.encoder.model.get_input_embeddings().weight, ours.weights(), plain.weights()
    if not any(method.moves_every_word for method in ours.method.methods) or mine.keys() != other.keys():
        return ""
    (differing, *more) = [key for key, p in mine.items() if not torch.equal(p, other[key])]
    if more or ours.encoder.model.get_parameter(differing) is not table:
        return ""
    return "; `moves_every_word` can be False if, at these settings, words that no example reads do not matter"


def evaluation_is_plain(name: str, folder: Path) -> tuple[bool, str]:
    """Two evaluation passes agree bit for bit, and advance neither the method's generator nor dropout's."""
    trial = Trial(name)
    trial.fit(folder)
    trial.encoder.model.eval()
    batch = trial.data.largest()
    before = trial.streams.noise.get_state(), torch.get_rng_state()
    first, second = (trial.encoder(batch.inputs).logits for _ in range(2))
    after = trial.streams.noise.get_state(), torch.get_rng_state()
    if not all(map(torch.equal, before, after)):
        return False, "a pass in evaluation draws random numbers"
    return torch.equal(first, second), "" if torch.equal(first, second) else "two passes in evaluation differ"


def common_numbers(name: str, folder: Path) -> tuple[bool, str]:
    """Data order, initial head weights and the dropout of each step's first pass are vanilla's."""
    ours, plain, quiet = Trial(name), Trial("vanilla"), Trial(name, **NO_DROPOUT)
    shared = ours.head.keys() & plain.head.keys()
    if ours.order != plain.order:
        return False, "the order of the data differs from vanilla's"
    if not all(torch.equal(ours.head[key], plain.head[key]) for key in shared):
        return False, "the head's initial weights differ from vanilla's"
    for trial, place in ((ours, "ours"), (plain, "plain")):
        trial.first_passes.clear()
        trial.fit(folder / place)
    again = Trial(name, default_seed=1)
    again.fit(folder / "again")
    same, detail = _equal(ours.weights(), again.weights())
    if not same:
        return False, f"{detail} with the state of a global generator: {DRAWN}"
    step = quiet.stepper()
    quiet.streams.at_step(0)
    undrawn = torch.get_rng_state()
    step(0)
    if not torch.equal(torch.get_rng_state(), undrawn):
        return False, "a step draws from torch's default generator, dropout's, instead of `streams.noise`"
    other = [n for n, state in plain.first_passes.items() if not torch.equal(ours.first_passes.get(n, state), state)]
    if other:
        return False, f"step {other[0]}: the first pass has other dropout masks"
    return True, ""


def resumes(name: str, folder: Path) -> tuple[bool, str]:
    """A run killed in its last epoch and resumed ends at the same bits as an uninterrupted run."""
    whole, cut, again = Trial(name), Trial(name), Trial(name)
    whole.fit(folder / "whole")
    epochs = iter((False, True))

    def dies() -> dict[str, float]:
        if next(epochs):
            raise KeyboardInterrupt
        return {}

    try:
        cut.fit(folder / "cut", dies)
    except KeyboardInterrupt:
        fitted = again.fit(folder / "cut")
        if not fitted.resumed:
            return False, "the checkpoint was not continued"
    same, detail = _equal(whole.weights(), again.weights())
    return same, detail and f"{detail}; {LEFT_BEHIND}"


def parts_add_up(name: str, folder: Path) -> tuple[bool, str]:
    """Losses and gradients add up over the parts of a batch, in float64 without dropout."""

    def accumulated(parts: int) -> tuple[float, dict[str, Tensor]]:
        shift, watch = Shift(None), Watch(None)
        trial = Trial(name, also=(watch, shift), double=True, **NO_DROPOUT)
        of_part, noise = trial.method.loss, SameNoise(trial.streams.noise)

        def loss(forward: Forward, part: Batch) -> Tensor:
            # Restart shift and noise in every part.
            shift.begin(part)
            noise.draws = 0
            return of_part(forward, part)

        setattr(trial.method, "loss", loss)  # noqa: B010
        with noise:
            return trial.stepper(parts)(0).item(), watch.found

    whole, gradients = accumulated(1)
    for parts in (2, 4):
        loss, found = accumulated(parts)
        apart = max(abs(loss - whole), *(float((found[key] - g).abs().max()) for key, g in gradients.items()))
        if apart > CLOSE:
            return False, f"{parts} parts differ by {apart:.1g}: weigh what is no mean over examples by `Batch.whole`"
    return True, ""


def in_half_precision(name: str, folder: Path) -> tuple[bool, str]:
    """Losses and weights stay finite, and weights stay in fp32."""
    return _trains(Trial(name), folder, precision="bf16")


def on_layout(layout: str, name: str, folder: Path) -> tuple[bool | None, str]:
    """Losses and weights stay finite, or the method refuses the architecture in one line."""
    try:
        return _trains(Trial(name, layout=layout, epochs=1), folder)
    except SteadyTuneError as error:
        return None, f"refused: {error}"


def time_over_vanilla(name: str, folder: Path) -> tuple[bool, str]:
    """Median ratio of CPU seconds to vanilla's over alternating steps of 4 x 38 tokens; a method's own passes count."""
    steps = [Trial(each, longest=38, epochs=ROUNDS // 3, **TIMED).stepper() for each in ("vanilla", name)]
    ratios = []
    for number in range(ROUNDS):
        seconds = []
        for step in steps:
            start = time.process_time()
            step(number)
            seconds.append(time.process_time() - start)
        ratios.append(seconds[1] / seconds[0])
    return True, f"{statistics.median(ratios[2:]):.2f}"


def _trains(trial: Trial, folder: Path, **protocol: Any) -> tuple[bool, str]:
    fitted = trial.fit(folder, **protocol)
    if not all(math.isfinite(epoch["train_loss"]) for epoch in fitted.history):
        return False, "the loss is not finite"
    bad = [key for key, p in trial.weights().items() if not torch.isfinite(p).all() or p.dtype != torch.float32]
    return not bad, f"{bad[0]} is not finite, or not in fp32" if bad else ""


def _equal(ours: dict[str, Tensor], others: dict[str, Tensor]) -> tuple[bool, str]:
    if ours.keys() != others.keys():
        return False, f"other parameters: {sorted(ours.keys() ^ others.keys())[0]}"
    other = [key for key, p in ours.items() if not torch.equal(p, others[key])]
    return not other, f"{other[0]} differs" if other else ""
