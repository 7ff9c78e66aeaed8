"""Methods that keep the model near its pretrained weights, or mask its gradient."""

import math

import numpy as np
import torch

from oracles.case import Case
from oracles.plain import PlainBert
from steadytune.encoders.masks import draw_mask


def in_head(name):
    return name.startswith("classifier.")


def kept(like, p, generator):
    """The package's mask for a tensor of this shape: 0 with probability p, else 1. test_speed.py tests the draws."""
    return draw_mask(like.detach(), p, generator).select(torch.ones_like(like))


class Anchored(Case):
    """Remembers the weights before training."""

    def prepare(self, parameters, batches):
        self.first = {name: value.clone() for name, value in parameters.items()}

    def covered(self, name, value):
        return self.settings.get("covers", "all") == "all" or value.ndim == 2


class L2SP(Anchored):
    def gradients(self, gradients, parameters, step):
        alpha, beta = self.settings["weight"], self.settings["head_weight"]
        leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
        penalty = sum(
            beta / 2 * (p**2).sum() if in_head(name) else alpha / 2 * ((p - self.first[name]) ** 2).sum()
            for name, p in leaves.items()
            if self.covered(name, p)
        )
        penalty.backward()
        return {name: g + (0 if leaves[name].grad is None else leaves[name].grad) for name, g in gradients.items()}


class PriorDecay(Anchored):
    def step(self, adamw, gradients, rate, step):
        pulled = {}
        for name, p in adamw.parameters.items():
            if self.covered(name, p) and (self.settings.get("head") or not in_head(name)):
                pulled[name] = p - rate * self.settings["weight"] * (p - self.first[name])
        adamw.parameters.update(pulled)
        super().step(adamw, gradients, rate, step)
        if self.settings.get("replaces_decay", True):
            for name, p in pulled.items():
                decayed = rate * adamw.protocol.weight_decay * p if p.ndim == 2 else 0.0
                adamw.parameters[name] = adamw.parameters[name] + decayed


class RecAdam(Anchored):
    def step(self, adamw, gradients, rate, step):
        q, before = adamw.protocol, dict(adamw.parameters)
        super().step(adamw, gradients, rate, step)
        share = 1 / (1 + math.exp(-self.settings["k"] * (step + 1 - self.settings["t0"])))
        for name, p in before.items():
            if in_head(name):
                continue
            adam = adamw.direction(name)
            decay = q.weight_decay if p.ndim == 2 else 0.0
            pull = self.settings["gamma"] * (p - self.first[name])
            adamw.parameters[name] = p - rate * (decay * p + share * adam + (1 - share) * pull)


class RecAdamReleased(Anchored):
    """Adam's update, then the pull on its result, then weight decay on the result of both."""

    def step(self, adamw, gradients, rate, step):
        q, before = adamw.protocol, dict(adamw.parameters)
        super().step(adamw, gradients, rate, step)
        share = 1 / (1 + math.exp(-self.settings["k"] * (step + 1 - self.settings["t0"])))
        for name, p in before.items():
            adam = adamw.direction(name)
            if in_head(name):
                p = p - rate * adam
            else:
                p = p - rate * share * adam
                p = p - rate * (1 - share) * self.settings["gamma"] * (p - self.first[name])
            adamw.parameters[name] = p - rate * (q.weight_decay if p.ndim == 2 else 0.0) * p


class MixedBert(PlainBert):
    """BERT whose linear layers mix their weights at each call."""

    def __init__(self, parameters, case, step):
        super().__init__(parameters, 2, 2)
        self.case, self.generator = case, case.noise(step)

    def mixed(self, name):
        w, w0, p = self.p[name], self.case.first[name], self.case.settings["p"]
        columns = self.case.settings.get("mask") == "columns"
        m = kept(w[0] if columns and w.ndim == 2 else w, p, self.generator).expand(w.shape)
        value = ((1 - m) * w0 + m * w - p * w0) / (1 - p)
        if self.case.settings.get("unscaled_gradient"):
            return value.detach() + m * (w - w.detach())
        return value

    def linear(self, name, x):
        if in_head(f"{name}.weight") and not self.case.settings.get("head"):
            return super().linear(name, x)
        weight, bias = self.mixed(f"{name}.weight"), self.p[f"{name}.bias"]
        return x @ weight.T + (self.mixed(f"{name}.bias") if self.case.settings.get("biases") else bias)


class Mixout(Anchored):
    def loss(self, bert, ids, mask, labels, step):
        logits, _ = MixedBert(bert.p, self, step).forward(ids, mask)
        return self.task_loss(logits, labels)


class MixoutAndHyPe(Mixout):
    """HyPe's noise on a layer's input is drawn before the layer's masks; sigma is HyPe's default."""

    def loss(self, bert, ids, mask, labels, step):
        mixed = MixedBert(bert.p, self, step)
        x = mixed.embed(ids)
        for layer in range(2):
            eps = torch.empty(x.shape, dtype=torch.float64).normal_(0, 1e-5, generator=mixed.generator)
            x = mixed.layer(layer, x + eps, mask)
        return self.task_loss(mixed.head(x), labels)


class ChildTuningF(Case):
    """Words in no batch have no gradient to mask, so no mask is drawn for them; padding counts as a word."""

    def prepare(self, parameters, batches):
        self.words = torch.cat([torch.zeros(1, dtype=torch.int64), *(ids.flatten() for ids, *_ in batches)]).unique()

    def gradients(self, gradients, parameters, step):
        p, generator = self.settings["p"], self.noise(step)
        masked = {}
        for name, g in gradients.items():
            rows = self.words if "word_embeddings" in name else slice(None)
            masked[name] = torch.zeros_like(g)
            masked[name][rows] = g[rows] * kept(g[rows], 1 - p, generator) / p
        return masked


class ChildTuningD(Case):
    def prepare(self, parameters, batches):
        by_batch = self.settings.get("fisher") == "batches"
        if not by_batch:
            batches = [
                (ids[i : i + 1, : mask[i].sum()], mask[i : i + 1, : mask[i].sum()], labels[i : i + 1])
                for ids, mask, labels in batches
                for i in range(len(ids))
            ]
        names = [n for n in parameters if "layer" in n or (self.settings.get("scope") != "layers" and not in_head(n))]
        squares = []
        for ids, mask, labels in batches[: self.settings.get("fisher_examples")]:
            leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
            logits, _ = self.bert(leaves).forward(ids, mask)
            self.task_loss(logits, labels).backward()
            found = [leaves[name].grad for name in names]
            if by_batch:
                found = [g if g.norm() <= 1 else g / g.norm() for g in found]
            squares.append(torch.cat([g.flatten() ** 2 for g in found]))
        fisher = torch.stack(squares).mean(0)
        kept = torch.zeros_like(fisher)
        if by_batch:
            kept[fisher >= np.percentile(fisher.numpy(), (1 - self.settings["p"]) * 100)] = 1
        else:
            kept[fisher.argsort(descending=True)[: round(self.settings["p"] * len(fisher))]] = 1
        shapes = [parameters[name].shape for name in names]
        parts = kept.split([shape.numel() for shape in shapes])
        self.masks = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}

    def gradients(self, gradients, parameters, step):
        return {name: g * self.masks.get(name, 1) for name, g in gradients.items()}


class ChildTuningDAndHyPe(ChildTuningD):
    """The Fisher information is estimated without HyPe's noise."""

    def loss(self, bert, ids, mask, labels, step):
        generator = self.noise(step)
        noise = [torch.empty(*ids.shape, 8, dtype=torch.float64) for _ in range(2)]
        for eps in noise:
            eps.normal_(0, 1e-5, generator=generator)
        return self.task_loss(bert.forward(ids, mask, noise=noise)[0], labels)


NO_PENALTY = {"weight": 0.0, "head_weight": 0.0}
NO_PULL = {"weight": 0.0, "replaces_decay": False}
RECALL = {"gamma": 20.0, "k": 0.5, "t0": 1.0}
AT_ONCE = {"t0": -1e6}
UNMIXED = {"p": 0.0, "dropout": None}
RELEASED_MIX = {"mask": "columns", "unscaled_gradient": True, "head": True}
RELEASED_FISHER = {"fisher": "batches", "scope": "layers"}
WHOLE = {"p": 1.0}

CASES = {
    "l2-sp": L2SP({"weight": 3.0, "head_weight": 0.5}, NO_PENALTY),
    "l2-sp/weights": L2SP({"weight": 3.0, "head_weight": 0.5, "covers": "weights"}, NO_PENALTY),
    "l2-sp/regression": L2SP({"weight": 3.0, "head_weight": 0.5}, NO_PENALTY, regression=True),
    "prior-decay": PriorDecay({"weight": 20.0}, NO_PULL),
    "prior-decay/both decays": PriorDecay({"weight": 20.0, "replaces_decay": False}, NO_PULL),
    "prior-decay-released": PriorDecay({"weight": 20.0, "covers": "weights", "head": True}, NO_PULL),
    "recadam": RecAdam(RECALL, AT_ONCE),
    "recadam/constant": RecAdam({"gamma": 20.0, "k": 0.0, "t0": 0.0}),
    "recadam/regression": RecAdam(RECALL, AT_ONCE, regression=True),
    "recadam-released": RecAdamReleased(RECALL, AT_ONCE),
    "recadam-released/constant": RecAdamReleased({"gamma": 20.0, "k": 0.0, "t0": 0.0}),
    "mixout": Mixout({"p": 0.7}, UNMIXED),
    "mixout/biases": Mixout({"p": 0.4, "biases": True}, UNMIXED),
    "mixout/regression": Mixout({"p": 0.7}, UNMIXED, regression=True),
    "mixout-released": Mixout({"p": 0.7, **RELEASED_MIX}, UNMIXED),
    "mixout+hype-n": MixoutAndHyPe({"p": 0.7}),
    "child-tuning-f": ChildTuningF({"p": 0.3}, WHOLE),
    "child-tuning-d": ChildTuningD({"p": 0.3}, WHOLE),
    "child-tuning-d/four examples": ChildTuningD({"p": 0.3, "fisher_examples": 4}),
    "child-tuning-d/regression": ChildTuningD({"p": 0.1}, WHOLE, regression=True),
    "child-tuning-d-released": ChildTuningD({"p": 0.2, **RELEASED_FISHER}, WHOLE),
    "child-tuning-d+hype-n": ChildTuningDAndHyPe({"p": 0.3}),
}
