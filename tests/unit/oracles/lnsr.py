"""LNSR: the squared change that noise at one layer causes in the layers above."""

import torch

from oracles.case import Case


class LNSR(Case):
    def __init__(self, noise, settings, off):
        super().__init__(settings, off)
        self.kind = noise
        self.start = settings.get("layer", 1)

    def loss(self, bert, ids, mask, labels, step):
        sigma, generator = self.settings["sigma"], self.noise(step)
        logits, hidden = bert.forward(ids, mask)
        x = hidden[self.start]
        if self.kind == "gaussian":
            eps = torch.empty(x.shape, dtype=torch.float64).normal_(0, sigma, generator=generator)
        else:
            z = torch.empty(len(x), 1, 1, dtype=torch.float64).normal_(0, sigma, generator=generator)
            others = [(i - 1) % len(x) for i in range(len(x))]
            eps = z * (x[others] - x).detach() * mask[others][..., None]
        noised, penalty = x + eps * mask[..., None], 0.0
        for layer in range(self.start, 2):
            noised = bert.layer(layer, noised, mask)
            for b, t in mask.nonzero().tolist():
                penalty = penalty + (noised[b, t] - hidden[layer + 1][b, t]).square().sum()
        return self.task_loss(logits, labels) + self.settings["weight"] * penalty / mask.sum()


class HyPeLNSR(Case):
    """LNSR at its defaults, with HyPe adding the same noise to both passes: one draw for each place."""

    def loss(self, bert, ids, mask, labels, step):
        generator, where = self.noise(step), self.settings.get("where", "input")

        def draw(sigma):
            return torch.empty(*ids.shape, 8, dtype=torch.float64).normal_(0, sigma, generator=generator)

        x = bert.embed(ids)
        before, after = [], []
        for layer in range(2):
            middle = x
            before.append(draw(0.1) if where != "attention" else 0.0)
            y = bert.attention(layer, x + before[-1], mask)
            after.append(draw(0.1) if where != "input" else 0.0)
            x = bert.feed_forward(layer, y + after[-1])
        noised = middle + draw(0.01) * mask[..., None]
        noised = bert.feed_forward(1, bert.attention(1, noised + before[1], mask) + after[1])
        penalty = sum((noised[b, t] - x[b, t]).square().sum() for b, t in mask.nonzero().tolist()) / mask.sum()
        return self.task_loss(bert.head(x), labels) + 0.1 * penalty


CASES = {
    "hype-n+lnsr": HyPeLNSR({"sigma": 0.1}),
    "hype-n+lnsr/both": HyPeLNSR({"sigma": 0.1, "where": "both"}),
    "lnsr": LNSR("gaussian", {"sigma": 0.2, "weight": 0.5, "layer": 0}, {"weight": 0.0}),
    "lnsr/no noise": LNSR("gaussian", {"sigma": 0.2, "weight": 0.5}, {"sigma": 0.0}),
    "lnsr-in-manifold": LNSR("in-manifold", {"sigma": 0.9, "weight": 2.0}, {"sigma": 0.0}),
}
