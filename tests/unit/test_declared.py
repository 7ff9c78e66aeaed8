"""`check-method` detects methods that differ from what their class, hooks or parameters declare."""

import re

import pytest

from steadytune.methods import registry
from steadytune.methods.support import outside
from steadytune.trials import checking, checks, declared
from steadytune.trials.trial import Trial

HEAD = """
import math

import torch

from steadytune.methods.base import Method


class Mine(Method):
    names = {"mine": {}}
"""
PERTURB = "def perturb(self, layer, hidden, streams): return "
LOSS = "def loss(self, forward, batch): return "
COUNTING = """\
def prepare(self, setup): self.number, self.steps = 0, setup.steps
def state(self): return {"number": torch.tensor(self.number)}
def restore(self, state): self.number = int(state["number"])
"""
LATE = (
    COUNTING
    + """\
def gradients(self, parameters, streams):
    self.number += 1
    for p in parameters.values() if self.number > 50 else ():
        p.grad.zero_()
"""
)
FADING = (
    COUNTING
    + """\
def loss(self, forward, batch):
    self.number += forward.first_part
    return super().loss(forward, batch) * (1 + math.sqrt(1 - self.number / self.steps))
"""
)
FROZEN = """\
def prepare(self, setup):
    setup.encoder.model.requires_grad_(False)
    for p in setup.encoder.head_parameters().values():
        p.requires_grad_(True)
"""
GATES = """\
def prepare(self, setup):
    self.gates = torch.nn.ParameterList([torch.ones(setup.encoder.width) for _ in setup.encoder.layers()])
    setup.encoder.model.add_module("gates", self.gates)
"""
IN_THE_MODEL = (
    GATES
    + """\
    for layer, gate in zip(setup.encoder.layers(), self.gates):
        layer.register_forward_pre_hook(lambda module, args, gate=gate: (args[0] * gate, *args[1:]))
"""
)
SHRINKING = """\
moves_every_word = False
def step(self, optimizer, update):
    optimizer.step()
    with torch.no_grad():
        for p in update.parameters.values():
            p.mul_(0.99)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A function that registers a method with the given body and returns its file."""
    monkeypatch.setattr(outside, "_files", {})

    def write(body):
        path = tmp_path / "mine.py"
        path.write_text(HEAD + "".join(f"    {line}\n" for line in body.splitlines()))
        registry.add(path)
        return path

    yield write
    monkeypatch.undo()
    registry.methods.cache_clear()


WRONG = {
    "does nothing": ("pass", declared.does_something, "6 steps end at vanilla's weights"),
    "begins too late": (LATE, declared.does_something, "begins later"),
    "freezes": (FROZEN, declared.says_what_it_changes, "set `selects_parameters = True`; no weight matrix"),
    "freezes all matrices": (FROZEN, declared.says_what_it_changes, "set `freezes_weights = True`"),
    "freezes none": ("freezes_weights = True", declared.says_what_it_changes, "set `freezes_weights = False`"),
    "moves pretrained values": (
        "def prepare(self, setup): next(setup.encoder.layers()[0].parameters()).data.mul_(1.1)",
        declared.says_what_it_changes, "set `changes_pretrained = True`"),
    "runs a second pass": (
        f"{LOSS}forward.task_loss(forward(batch), batch) + forward.task_loss(forward(batch), batch)",
        declared.passes_as_declared, "2 forward passes per step: `passes` says 1"),
    "declares too many passes": ("passes = (3, 3)", declared.passes_as_declared, "1 forward passes per step"),
    "moves words that no example reads": (SHRINKING, declared.unread_words_follow, "set `moves_every_word = True`"),
    "adds what acts in training alone": (
        f"{GATES}{PERTURB}hidden * self.gates[layer]",
        declared.added_parameters, "gates.0 acts only in training"),
    "adds what nothing trains": (
        f"{GATES.replace('setup.encoder.model.add', 'torch.nn.Module().add')}{PERTURB}hidden * self.gates[layer]",
        declared.added_parameters, "self.gates.0 is no parameter of the model"),
    "takes the mean of a batch": (
        f"{PERTURB}hidden - hidden.mean((0, 1))", checks.parts_add_up, "2 parts differ"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_method_contradicting_its_declarations_fails_the_check(what, mine):
    body, check, said = WRONG[what]
    mine(body)
    finding = checking.make("", check, "mine")
    assert finding.passed is False
    assert said in finding.detail


RIGHT = {
    "freezes and says so": (
        f"selects_parameters = freezes_weights = True\n{FROZEN}", declared.says_what_it_changes, True),
    "says what a step leaves of words": (
        f"{SHRINKING}def unread_words(self, *given): return 0.99 * super().unread_words(*given)",
        declared.unread_words_follow, True),
    "has the whole table trained": (
        SHRINKING.replace("False", "True"), declared.unread_words_follow, None),
    "adds to the model's own pass": (IN_THE_MODEL, declared.added_parameters, True),
    "adds nothing": (f"{PERTURB}2 * hidden", declared.added_parameters, None),
    "fades with the steps that there are": (FADING, checks.in_half_precision, True),
    "fades while it is timed": (FADING, checks.time_over_vanilla, True),
    "fades on every architecture": (FADING, lambda *given: checks.on_layout("llama", *given), True),
}  # fmt: skip


@pytest.mark.parametrize("what", RIGHT)
def test_method_matching_its_declarations_does_not_fail_the_check(what, mine):
    body, check, passed = RIGHT[what]
    mine(body)
    assert checking.make("", check, "mine").passed is passed


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (f"{PERTURB}None", "perturb returned None, expected a tensor of shape (4, "),
        (f"{PERTURB}hidden[..., :1]", "perturb returned a tensor of shape (4, "),
        (f"{LOSS}None", "loss returned None, expected a scalar that gradients come from"),
        (f"{LOSS}forward(batch).logits.sum(1)", "loss returned a tensor of shape (4,), expected a scalar"),
        (f"{LOSS}super().loss(forward, batch).detach()", "loss returned a scalar without gradient"),
        ("@torch.no_grad()\ndef state(self): return []", "state returned a list, expected tensors by name"),
        ('def state(self): return {"number": 3}', "state returned a mapping to int, expected tensors by name"),
    ],
)
def test_wrong_return_value_of_a_hook_is_reported_with_its_line(body, said, mine):
    path = mine(body)
    line = next(n for n, text in enumerate(path.read_text().splitlines(), start=1) if re.search("def |@torch", text))
    detail = checking.make("", checks.in_half_precision, "mine").detail
    assert detail.startswith(f"TypeError: mine.py line {line}: {said}")


def test_method_that_reads_the_selected_layer_gets_one(mine):
    mine("reads_selection = True\ndef prepare(self, setup): self.layer = setup.selected_layer")
    assert vars(Trial("mine").method.methods[0])["layer"] in (1, 2, 3)


@pytest.mark.parametrize("name", [name for name in registry.methods() if name != "vanilla"])
def test_project_methods_match_their_declarations(name, tmp_path):
    with checking._quiet():
        for check in (declared.unread_words_follow, declared.added_parameters, declared.says_what_it_changes,
                      declared.passes_as_declared, checks.parts_add_up):  # fmt: skip
            (folder := tmp_path / check.__name__).mkdir()
            assert check(name, folder)[0] is not False, check.__name__
        # By default layer-tune trains every layer, as vanilla does.
        assert declared.does_something(name, tmp_path)[0] is (name != "layer-tune")
