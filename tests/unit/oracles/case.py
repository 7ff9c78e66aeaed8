"""Plain fine-tuning by a case's formula, whose result the package's training loop has to match."""

import torch

from oracles.plain import PlainAdamW, PlainBert, cross_entropy, mean_squared_error
from steadytune.streams import derive

SEED = 7


class Case:
    """A method by its formula; override what the method changes. This base class is plain fine-tuning.

    settings: the method's settings for this case, large enough to change the result by more than 1e-6.
    off: settings at which the method must equal vanilla bit for bit, or None if there are none.
    trained: whether a parameter of this name is trained (by default all).
    adds_parameters: whether the method adds parameters to the model; `run` then gets their initial values too.
    regression: the task is a regression (one output, float labels).
    perturbs_head: whether `prepare` changes the freshly initialised head.
    """

    settings: dict = {}
    off: dict | None = None
    adds_parameters = False
    regression = False
    perturbs_head = False

    def __init__(self, settings=None, off=None, regression=False):
        self.settings = self.settings if settings is None else settings
        self.off = self.off if off is None else off
        self.regression = regression

    def trained(self, name):
        return True

    def prepare(self, parameters, batches):
        """Change `parameters` in place before the first step. `batches` are the epoch's, in order."""

    def task_loss(self, logits, labels):
        return mean_squared_error(logits, labels) if self.regression else cross_entropy(logits, labels)

    def bert(self, leaves):
        """The model over its parameters."""
        return PlainBert(leaves, 2, 2)

    def loss(self, bert, ids, mask, labels, step):
        """The loss of one step; `bert` is over leaves that require gradients."""
        logits, _ = bert.forward(ids, mask)
        return self.task_loss(logits, labels)

    def gradients(self, gradients, parameters, step):
        """The gradients after the method has changed them, before clipping."""
        return gradients

    def step(self, adamw, gradients, rate, step):
        """Update `adamw.parameters` once, including the clipping."""
        adamw.step(gradients, rate)

    def noise(self, step):
        """The generator of a step's noise."""
        return torch.Generator().manual_seed(derive(SEED, "noise", step))


def run(case, parameters, batches, protocol):
    """Fine-tune a case over the batches, one step each, with linear decay and no warm-up.

    parameters: name -> float64 tensor, all of the model's. Returns the final parameters and the loss of each step.
    """
    case.prepare(parameters, batches)
    trained = {name: value for name, value in parameters.items() if case.trained(name)}
    frozen = {name: value for name, value in parameters.items() if name not in trained}
    adamw, losses = PlainAdamW(trained, protocol), []
    for step, (ids, mask, labels) in enumerate(batches):
        leaves = {name: value.clone().requires_grad_() for name, value in adamw.parameters.items()}
        loss = case.loss(case.bert({**frozen, **leaves}), ids, mask, labels, step)
        found = torch.autograd.grad(loss, list(leaves.values()))
        gradients = dict(zip(leaves, found, strict=True))
        gradients = case.gradients(gradients, adamw.parameters, step)
        case.step(adamw, gradients, protocol.learning_rate * (1 - step / len(batches)), step)
        losses.append(loss.item())
    return {**frozen, **adamw.parameters}, losses
