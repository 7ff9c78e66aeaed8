"""HyPe: fresh noise on the input of the layers or on the output of their self-attention, or both."""

import torch

from oracles.case import Case

OFF = {"sigma": 0.0, "hidden_dropout": None}


class HyPe(Case):
    def __init__(self, noise, settings=None, layers=(0, 1)):
        super().__init__({"sigma": 0.1, **(settings or {})}, OFF)
        self.kind, self.layers = noise, layers

    def loss(self, bert, ids, mask, labels, step):
        generator, sigma = self.noise(step), 0.1
        low = {"uniform": -sigma, "uniform-released": 0.0}.get(self.kind)

        def draw(layer):
            if layer not in self.layers:
                return 0.0
            eps = torch.empty(*ids.shape, 8, dtype=torch.float64)
            if low is None:
                return eps.normal_(0, sigma, generator=generator)
            return eps.uniform_(low, sigma, generator=generator)

        where = self.settings.get("where", "input")
        x = bert.embed(ids)
        for layer in range(2):
            x = x + draw(layer) if where != "attention" else x
            y = bert.attention(layer, x, mask)
            y = y + draw(layer) if where != "input" else y
            x = bert.feed_forward(layer, y)
        return self.task_loss(bert.head(x), labels)


CASES = {
    "vanilla": Case(),
    "vanilla/regression": Case(regression=True),
    "hype-n": HyPe("normal"),
    "hype-u": HyPe("uniform"),
    "hype-u-released": HyPe("uniform-released"),
    "hype-n/attention": HyPe("normal", {"where": "attention"}),
    "hype-n/both": HyPe("normal", {"where": "both"}),
    "hype-n/upper": HyPe("normal", {"layers": "upper"}, layers=(1,)),
    "hype-n/lower": HyPe("normal", {"layers": "lower"}, layers=(0,)),
}
