"""Methods that change or choose the parameters once, before training."""

import math

import torch

from oracles.case import SEED, Case
from oracles.plain import PlainBert
from steadytune.streams import Streams


def inside(name):
    """Whether a parameter belongs to the pretrained encoder (the tiny BERT's pooler does)."""
    return not name.startswith("classifier.")


class NoisyTune(Case):
    def __init__(self, intensity, *, head, regression=False):
        super().__init__({"intensity": intensity}, {"intensity": 0.0}, regression)
        self.intensity, self.perturbs_head = intensity, head

    def prepare(self, parameters, batches):
        generator = Streams(SEED).noise
        for name, w in parameters.items():
            if w.numel() == 1 or not (self.perturbs_head or inside(name)):
                continue
            std = math.sqrt(float((w - w.mean()).square().sum()) / (w.numel() - 1))
            eps = torch.empty(w.shape, dtype=torch.float64)
            eps.uniform_(-self.intensity / 2, self.intensity / 2, generator=generator)
            parameters[name] = w + eps * std


class TopK(Case):
    def __init__(self, settings, frozen, off=None):
        super().__init__(settings, off)
        self.frozen = frozen

    def trained(self, name):
        return not any(part in name for part in self.frozen)


class BitFit(Case):
    def __init__(self, settings, ends):
        super().__init__(settings)
        self.ends = ends

    def trained(self, name):
        return name.endswith(self.ends) or not inside(name)


class WithUpdates(PlainBert):
    """A BERT in which `change(self, name, x, output)` may change the output of a linear map."""

    def __init__(self, parameters, change):
        super().__init__(parameters, 2, 2)
        self.change = change

    def linear(self, name, x):
        return self.change(self, name, x, super().linear(name, x))


class Adapters(Case):
    """Bottlenecks after the sublayers of `layers`, before the residual is added."""

    adds_parameters = True

    def __init__(self, settings, activation, layers=(0, 1)):
        super().__init__(settings)
        self.activation, self.layers = activation, layers

    def trained(self, name):
        layered = name.startswith(tuple(f"bert.encoder.layer.{layer}." for layer in self.layers))
        return not inside(name) or (layered and ("LayerNorm" in name or "_adapter." in name))

    def bert(self, leaves):
        return WithUpdates(leaves, self.change)

    def change(self, bert, name, x, output):
        for layer in self.layers:
            prefix = f"bert.encoder.layer.{layer}"
            for end, adapter in (("attention.output.dense", "attention"), ("output.dense", "feed_forward")):
                if name == f"{prefix}.{end}":
                    place = f"{prefix}.{adapter}_adapter"
                    inner = self.activation(bert.linear(f"{place}.down", output))
                    return output + bert.linear(f"{place}.up", inner)
        return output


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def relu(x):
    return x * (x > 0)


class LoRA(Case):
    """Low-rank updates of the query and value projections, under peft's parameter names."""

    adds_parameters = True

    def trained(self, name):
        return ".lora_" in name or not inside(name)

    def bert(self, leaves):
        return WithUpdates(leaves, self.change)

    def change(self, bert, name, x, output):
        if not name.endswith((".query", ".value")):
            return output
        a, b = (bert.p[f"{name}.lora_{part}.default.weight"] for part in "AB")
        return output + (self.settings["alpha"] / self.settings["rank"]) * (x @ a.T @ b.T)


class WithHyPe(Case):
    """A method with HyPe's noise at its default scale; after `prepare`, neither method affects the other."""

    def loss(self, bert, ids, mask, labels, step):
        generator = self.noise(step)
        noise = [torch.empty(*ids.shape, 8, dtype=torch.float64).normal_(0, 1e-5, generator=generator) for _ in "01"]
        logits, _ = bert.forward(ids, mask, noise=noise)
        return self.task_loss(logits, labels)


class NoisyTuneAndHyPe(WithHyPe, NoisyTune):
    def __init__(self, intensity):
        super().__init__(intensity, head=False)
        # With NoisyTune off, HyPe remains: it never equals vanilla.
        self.off = None


class AdaptersAndHyPe(WithHyPe, Adapters):
    pass


class LoRAAndHyPe(WithHyPe, LoRA):
    pass


EMBEDDINGS, LAYER_0, LAYERS = "bert.embeddings.", "bert.encoder.layer.0.", "bert.encoder."
# Weights far from 0, so that the bottlenecks are far from linear.
WIDE = {"initial_std": 0.5}
CASES = {
    "noisytune": NoisyTune(0.15, head=False),
    "noisytune/strong": NoisyTune(1.0, head=False),
    "noisytune-released": NoisyTune(0.15, head=True),
    "noisytune-released/regression": NoisyTune(0.15, head=True, regression=True),
    "noisytune+hype-n": NoisyTuneAndHyPe(0.15),
    "top-k": TopK({"k": 1}, (EMBEDDINGS, LAYER_0), {"k": 2, "embeddings": True}),
    "top-k/head": TopK({"k": 0}, (EMBEDDINGS, LAYERS)),
    "top-k/all layers": TopK({"k": 2}, (EMBEDDINGS,)),
    "top-k/embeddings": TopK({"k": 1, "embeddings": True}, (LAYER_0,)),
    "bitfit": BitFit({}, "bias"),
    "bitfit/subset": BitFit({"subset": "query-and-feedforward"}, ("query.bias", "intermediate.dense.bias")),
    "houlsby": Adapters({"size": 3, **WIDE}, gelu),
    "houlsby/small": Adapters({}, gelu),
    "adapter-sequential": Adapters({"size": 4, "layer": 2, "count": 1, **WIDE}, relu, layers=(1,)),
    "adapter-sequential/all layers": Adapters({"size": 4, **WIDE}, relu),
    "houlsby+hype-n": AdaptersAndHyPe({"size": 3, **WIDE}, gelu),
    "lora": LoRA({"rank": 3, "alpha": 12.0}),
    "lora/normal": LoRA({"rank": 1, "alpha": 5.0, "initial": "normal"}),
    "lora+hype-n": LoRAAndHyPe({"rank": 3, "alpha": 12.0}),
}
