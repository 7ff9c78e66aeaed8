"""R3F, R-Drop, SMART, NEFTune, SAM and FreeLB: perturbed or repeated passes over one batch."""

import math

import torch

from oracles.case import SEED, Case
from oracles.plain import PlainBert, cross_entropy, mean_squared_error
from steadytune.streams import derive


def kl(p_logits, q_logits):
    """KL(p || q) of each example, from logits."""
    p, q = (x - x.logsumexp(-1, keepdim=True) for x in (p_logits, q_logits))
    return (p.exp() * (p - q)).sum(-1)


def symmetric(case, first, second):
    """The symmetric KL divergence of each example; in regression, the squared difference."""
    if case.regression:
        return (first - second)[:, 0].square()
    return kl(first, second) + kl(second, first)


def hype_noise(case, generator, ids):
    """The noise that HyPe-N with sigma 0.1 adds in one pass, layer by layer."""
    return [torch.empty(*ids.shape, 8, dtype=torch.float64).normal_(0, 0.1, generator=generator) for _ in range(2)]


class R3F(Case):
    def __init__(self, noise, settings, off=None, regression=False, detach=False):
        super().__init__(settings, off, regression)
        self.kind, self.detach = noise, detach

    def loss(self, bert, ids, mask, labels, step):
        sigma, words = self.settings["sigma"], bert.words(ids)
        clean, _ = bert.forward(ids, mask)
        z = torch.empty(words.shape, dtype=torch.float64)
        z = z.normal_(0, sigma, generator=self.noise(step)) if self.kind == "normal" else (
            z.uniform_(-sigma, sigma, generator=self.noise(step)))  # fmt: skip
        noised, _ = bert.forward(ids, mask, words=(words.detach() if self.detach else words) + z)
        divergence = symmetric(self, noised, clean).mean()
        return self.task_loss(clean, labels) + self.settings["weight"] * divergence


class HyPeR3F(Case):
    """HyPe's noise in place of R3F's, on the layers of the second pass only."""

    settings = {"sigma": 0.1}

    def loss(self, bert, ids, mask, labels, step):
        clean, _ = bert.forward(ids, mask)
        noised, _ = bert.forward(ids, mask, noise=hype_noise(self, self.noise(step), ids))
        return self.task_loss(clean, labels) + symmetric(self, noised, clean).mean()


class DropoutBert(PlainBert):
    """Hidden dropout as BERT has it: on the embeddings, before each residual is added, and before the classifier."""

    rate = 0.2

    def dropped(self, x):
        kept = torch.empty_like(x).bernoulli_(1 - self.rate)
        return x * (kept / (1 - self.rate))

    def embed(self, input_ids, words=None):
        return self.dropped(super().embed(input_ids, words))

    def linear(self, name, x):
        if name == "classifier":
            return super().linear(name, self.dropped(x))
        projected = super().linear(name, x)
        return self.dropped(projected) if name.endswith("output.dense") else projected


class RDrop(Case):
    def __init__(self, settings, released=False, regression=False):
        super().__init__({"hidden_dropout": DropoutBert.rate, **settings}, None, regression)
        self.released = released

    def bert(self, leaves):
        return DropoutBert(leaves, 2, 2)

    def loss(self, bert, ids, mask, labels, step):
        torch.manual_seed(derive(SEED, "dropout", step))
        a, b = (bert.forward(ids, mask)[0] for _ in range(2))
        alpha, task = self.settings["alpha"], self.task_loss(a, labels) + self.task_loss(b, labels)
        if self.regression:
            apart = mean_squared_error(a, b[:, 0])
            return task + 2 * alpha * apart if self.released else task / 2 + alpha * apart
        apart = (kl(a, b) + kl(b, a)) / 2
        return task + alpha * apart.sum() if self.released else task / 2 + alpha * apart.mean()


class HyPeRDrop(Case):
    """HyPe in both passes: R-Drop without dropout."""

    settings = {"sigma": 0.1}

    def loss(self, bert, ids, mask, labels, step):
        generator = self.noise(step)
        a, b = (bert.forward(ids, mask, noise=hype_noise(self, generator, ids))[0] for _ in range(2))
        return (cross_entropy(a, labels) + cross_entropy(b, labels) + (kl(a, b) + kl(b, a)).mean()) / 2


class SMART(Case):
    def __init__(self, settings, off=None, regression=False):
        super().__init__(settings, off, regression)
        self.released = "proximal_weight" not in settings
        self.average = {}

    def loss(self, bert, ids, mask, labels, step):
        s, real = self.settings, mask[..., None]
        # Released: the embedding output is perturbed, and then passes through the embedding layer a second time.
        words = bert.embed(ids) if self.released else bert.words(ids)
        proximal = 0.0 if self.released else self.proximal(bert, ids, mask, step)
        clean, _ = bert.forward(ids, mask)
        total = self.task_loss(clean, labels) + s.get("proximal_weight", 0.0) * proximal
        delta = torch.empty(words.shape, dtype=torch.float64).normal_(0, s["sigma"], generator=self.noise(step)) * real
        for _ in range(s.get("steps", 1) if s["weight"] else 0):
            delta.requires_grad_()
            moved, _ = bert.forward(ids, mask, words=words.detach() + delta)
            (g,) = torch.autograd.grad(self.height(moved, clean.detach()), delta)
            delta = torch.stack([self.climbed(d, h) for d, h in zip(delta.detach(), g, strict=True)]) * real
        moved, _ = bert.forward(ids, mask, words=words + delta)
        if self.released and self.regression:
            pairs = [(c - m) ** 2 for c in clean[:, 0] for m in moved[:, 0]]
            return total + s["weight"] * sum(pairs) / len(pairs)
        if self.released:
            return total + s["weight"] * (kl(clean.detach(), moved) + kl(moved.detach(), clean)).mean()
        return total + s["weight"] * symmetric(self, moved, clean).mean()

    def proximal(self, bert, ids, mask, step):
        """Distance of the outputs from those of the averaged weights; the average starts at the initial weights."""
        beta, now = self.settings["momentum"], {name: value.detach() for name, value in bert.p.items()}
        before = self.average if step else now
        self.average = {name: beta * before[name] + (1 - beta) * now[name] for name in now}
        then, _ = PlainBert(self.average, 2, 2).forward(ids, mask)
        return symmetric(self, bert.forward(ids, mask)[0], then).mean()

    def height(self, moved, clean):
        if not self.released or self.regression:
            return symmetric(self, moved, clean).sum()
        p, q = moved.softmax(-1), clean.softmax(-1)
        log_odds = [-(1 / (x.detach() + 1e-6) - 1 + 1e-6).log() for x in (p, q)]
        return (2 * p * (log_odds[0] - log_odds[1])).sum()

    def climbed(self, delta, g):
        """Take one ascent step on one example's perturbation, of shape (T, d)."""
        eta, epsilon = self.settings["eta"], self.settings["epsilon"]
        if not self.released:
            return (delta + eta * g / g.abs().max()).clamp(-epsilon, epsilon)
        rows = delta + eta * g
        return torch.stack([row / (row.abs().max() + epsilon) for row in rows])


class HyPeSMART(Case):
    """The pass with averaged weights has the same noise as the clean one; every other pass draws its own."""

    settings = {"sigma": 0.1}

    def __init__(self):
        super().__init__()
        self.smart = SMART({"momentum": 0.99, "proximal_weight": 1.0, "weight": 1.0})

    def loss(self, bert, ids, mask, labels, step):
        generator, words, real = self.noise(step), bert.words(ids), mask[..., None]
        first = hype_noise(self, generator, ids)
        smart, now = self.smart, {name: value.detach() for name, value in bert.p.items()}
        before = smart.average if step else now
        smart.average = {name: 0.99 * before[name] + 0.01 * now[name] for name in now}
        then, _ = PlainBert(smart.average, 2, 2).forward(ids, mask, noise=first)
        clean, _ = bert.forward(ids, mask, noise=first)
        delta = torch.empty(words.shape, dtype=torch.float64).normal_(0, 1e-5, generator=generator) * real
        delta.requires_grad_()
        moved, _ = bert.forward(ids, mask, hype_noise(self, generator, ids), words.detach() + delta)
        (g,) = torch.autograd.grad(symmetric(self, moved, clean.detach()).sum(), delta)
        delta = (delta + 1e-3 * g / g.abs().amax((1, 2), keepdim=True)).clamp(-1e-5, 1e-5).detach() * real
        moved, _ = bert.forward(ids, mask, hype_noise(self, generator, ids), words + delta)
        terms = symmetric(self, clean, then).mean() + symmetric(self, moved, clean).mean()
        return self.task_loss(clean, labels) + terms


class NEFTune(Case):
    def loss(self, bert, ids, mask, labels, step):
        alpha, words = self.settings["alpha"], bert.words(ids)
        noise = torch.empty(words.shape, dtype=torch.float64).uniform_(-1, 1, generator=self.noise(step))
        for row, real in zip(noise, mask, strict=True):
            length = len(row) if self.settings.get("length") == "batch" else int(real.sum())
            row *= alpha / math.sqrt(length * row.shape[1])
        if self.settings.get("length") != "batch":
            noise = noise * mask[..., None]
        return self.task_loss(bert.forward(ids, mask, words=words + noise)[0], labels)


class NEFTuneAndRDrop(Case):
    """Each pass draws its own noise, which without dropout is the only difference between them."""

    settings = {"alpha": 3.0}

    def loss(self, bert, ids, mask, labels, step):
        generator, words = self.noise(step), bert.words(ids)
        sizes = 3.0 / (mask.sum(1) * 8).double().sqrt()
        a, b = (
            bert.forward(ids, mask, words=words + z * mask[..., None] * sizes[:, None, None])[0]
            for z in [torch.empty(words.shape, dtype=torch.float64).uniform_(-1, 1, generator=generator) for _ in "ab"]
        )
        return (self.task_loss(a, labels) + self.task_loss(b, labels) + (kl(a, b) + kl(b, a)).mean()) / 2


class SAM(Case):
    """The gradient at w + rho g / ||g||, with which the step then updates w; `loss` is the loss at w."""

    def loss(self, bert, ids, mask, labels, step):
        self.batch = ids, mask, labels
        return super().loss(bert, ids, mask, labels, step)

    def gradients(self, gradients, parameters, step):
        norm = math.sqrt(sum(float((g**2).sum()) for g in gradients.values()))
        there = {n: (parameters[n] + self.settings["rho"] * g / norm).requires_grad_() for n, g in gradients.items()}
        found = torch.autograd.grad(self.second(self.bert(there), step), list(there.values()))
        return dict(zip(gradients, found, strict=True))

    def second(self, bert, step):
        return super().loss(bert, *self.batch, step)


class SAMAndHyPe(SAM):
    """Both passes have the same noise."""

    settings = {"rho": 0.3}

    def loss(self, bert, ids, mask, labels, step):
        self.batch = ids, mask, labels
        return self.second(bert, step)

    def second(self, bert, step):
        ids, mask, labels = self.batch
        noise = [e * 1e-4 for e in hype_noise(self, self.noise(step), ids)]
        return self.task_loss(bert.forward(ids, mask, noise=noise)[0], labels)


class FreeLB(Case):
    def loss(self, bert, ids, mask, labels, step):
        s, words = self.settings, bert.words(ids)
        delta = torch.empty(words.shape, dtype=torch.float64).uniform_(-1, 1, generator=self.noise(step))
        sizes = [s["init_magnitude"] / math.sqrt(int(row.sum()) * 8) for row in mask]
        delta = delta * mask[..., None] * torch.tensor(sizes, dtype=torch.float64)[:, None, None]
        losses = []
        for _ in range(s["steps"]):
            delta = delta.detach().requires_grad_()
            losses.append(self.task_loss(bert.forward(ids, mask, words=words + delta)[0], labels))
            (g,) = torch.autograd.grad(losses[-1], delta, retain_graph=True)
            delta = torch.stack([self.climbed(d, h) for d, h in zip(delta, g, strict=True)])
        return sum(losses) / len(losses)

    def climbed(self, delta, g):
        """Take one ascent step on one example's perturbation, of shape (T, d)."""
        delta = delta + self.settings["adv_lr"] * g / g.square().sum().sqrt()
        size, bound = delta.square().sum().sqrt(), self.settings["max_norm"]
        return delta * bound / size if bound and size > bound else delta


OFF = {"weight": 0.0}
NOISED = {"sigma": 0.2, "weight": 0.7}
ASCENT = {"sigma": 0.05, "eta": 0.1, "epsilon": 0.08, "steps": 2, "weight": 2.0}
PROXIMAL = {"proximal_weight": 3.0, "momentum": 0.6}
SMART_OFF = {"weight": 0.0, "proximal_weight": 0.0}
RELEASED = {"sigma": 0.05, "eta": 0.5, "epsilon": 0.01, "weight": 2.0}
FREELB = {"steps": 3, "init_magnitude": 0.5, "adv_lr": 0.2, "max_norm": 0.3}

CASES = {
    "r3f": R3F("normal", NOISED, OFF),
    "r3f-u": R3F("uniform", NOISED, OFF),
    "r3f-released": R3F("uniform", NOISED, OFF, detach=True),
    "r3f/regression": R3F("normal", NOISED, regression=True),
    "hype-n+r3f": HyPeR3F(),
    "r-drop": RDrop({"alpha": 0.7}),
    "r-drop/regression": RDrop({"alpha": 0.7}, regression=True),
    "r-drop-released": RDrop({"alpha": 0.7}, released=True),
    "r-drop-released/regression": RDrop({"alpha": 0.7}, released=True, regression=True),
    "hype-n+r-drop": HyPeRDrop(),
    "smart": SMART({**ASCENT, **PROXIMAL}, SMART_OFF),
    "smart/smoothness": SMART({**ASCENT, **PROXIMAL, "proximal_weight": 0.0}, SMART_OFF),
    "smart/proximal": SMART({**ASCENT, **PROXIMAL, "weight": 0.0}, SMART_OFF),
    "smart/regression": SMART({**ASCENT, **PROXIMAL}, regression=True),
    "smart-released": SMART(RELEASED, OFF),
    "smart-released/two steps": SMART({**RELEASED, "steps": 2}),
    "smart-released/regression": SMART(RELEASED, regression=True),
    "hype-n+smart": HyPeSMART(),
    "neftune": NEFTune({"alpha": 3.0}, {"alpha": 0.0}),
    "neftune-released": NEFTune({"alpha": 3.0, "length": "batch"}, {"alpha": 0.0}),
    "neftune+r-drop": NEFTuneAndRDrop(),
    "sam": SAM({"rho": 0.3}, {"rho": 0.0}),
    "sam/regression": SAM({"rho": 0.3}, regression=True),
    "sam+hype-n": SAMAndHyPe(),
    "freelb": FreeLB(FREELB, {"steps": 0}),
    "freelb/the defaults": FreeLB({"steps": 4, "init_magnitude": 0.64, "adv_lr": 0.04, "max_norm": 0.4}),
    "freelb/one pass": FreeLB({**FREELB, "steps": 1}),
    "freelb/no bound": FreeLB({**FREELB, "max_norm": 0.0}),
    "freelb/regression": FreeLB(FREELB, regression=True),
}
