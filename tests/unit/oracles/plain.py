"""Plain computations that tests compare the package with: BERT, its losses and AdamW, written from their formulas.

Nothing here calls the package, and only `tiny_bert` calls transformers, whose parameter names are used throughout.
"""

import math

import torch


def tiny_bert(**changes):
    """A two-layer float64 BERT classifier without dropout, weights drawn wide enough to be far from linear."""
    from transformers import BertConfig, BertForSequenceClassification

    values = {
        "vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
        "max_position_embeddings": 16, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_labels": 3,
    } | changes  # fmt: skip
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(**values)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


class PlainBert:
    """BERT's forward pass over a dictionary of parameters."""

    def __init__(self, parameters: dict[str, torch.Tensor], layers: int, heads: int) -> None:
        self.p, self.layers, self.heads = parameters, layers, heads

    def linear(self, name, x):
        return x @ self.p[f"{name}.weight"].T + self.p[f"{name}.bias"]

    def norm(self, name, x):
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
        return scaled * self.p[f"{name}.weight"] + self.p[f"{name}.bias"]

    def words(self, input_ids):
        return self.p["bert.embeddings.word_embeddings.weight"][input_ids]

    def embed(self, input_ids, words=None):
        """The embedding output, computed from the word embeddings `words` (B, T, d) if given."""
        prefix = "bert.embeddings"
        positions = torch.arange(input_ids.shape[1])
        total = self.words(input_ids) if words is None else words
        total = total + self.p[f"{prefix}.position_embeddings.weight"][positions]
        total = total + self.p[f"{prefix}.token_type_embeddings.weight"][0]
        return self.norm(f"{prefix}.LayerNorm", total)

    def layer(self, number, x, mask):
        return self.feed_forward(number, self.attention(number, x, mask))

    def attention(self, number, x, mask):
        prefix = f"bert.encoder.layer.{number}"
        size = x.shape[-1] // self.heads

        def split(name):
            projected = self.linear(f"{prefix}.attention.self.{name}", x)
            return projected.reshape(*x.shape[:2], self.heads, size).transpose(1, 2)

        scores = split("query") @ split("key").transpose(-1, -2) / math.sqrt(size)
        scores = scores.masked_fill(mask[:, None, None, :] == 0, -math.inf)
        attended = (scores.softmax(-1) @ split("value")).transpose(1, 2).reshape(x.shape)
        projected = self.linear(f"{prefix}.attention.output.dense", attended)
        return self.norm(f"{prefix}.attention.output.LayerNorm", x + projected)

    def feed_forward(self, number, x):
        prefix = f"bert.encoder.layer.{number}"
        inner = self.linear(f"{prefix}.intermediate.dense", x)
        inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        return self.norm(f"{prefix}.output.LayerNorm", x + self.linear(f"{prefix}.output.dense", inner))

    def head(self, x):
        return self.linear("classifier", self.linear("bert.pooler.dense", x[:, 0]).tanh())

    def forward(self, input_ids, mask, noise=None, words=None):
        """Logits (B, C) and the L + 1 hidden states, with `noise[l]` added to the input of layer l."""
        hidden = [self.embed(input_ids, words)]
        for number in range(self.layers):
            entering = hidden[-1] if noise is None else hidden[-1] + noise[number]
            hidden.append(self.layer(number, entering, mask))
        return self.head(hidden[-1]), hidden


def cross_entropy(logits, labels):
    return -(logits - logits.logsumexp(-1, keepdim=True))[torch.arange(len(labels)), labels].mean()


def mean_squared_error(logits, labels):
    return (logits[:, 0] - labels).square().mean()


class PlainAdamW:
    """AdamW with bias correction, decoupled decay on matrices, gradient clipping, and a rate given at each step.

    `transformers-4`: epsilon is added to the root of the uncorrected moment, and the updated parameter is decayed.
    """

    def __init__(self, parameters, protocol) -> None:
        self.parameters, self.protocol, self.t = parameters, protocol, 0
        self.m = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.v = {name: torch.zeros_like(p) for name, p in parameters.items()}

    def clipped(self, gradients):
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients.values()))
        scale = min(1.0, self.protocol.gradient_clip / (norm + 1e-6)) if self.protocol.gradient_clip else 1.0
        return {name: g * scale for name, g in gradients.items()}

    def step(self, gradients, rate):
        q = self.protocol
        self.t += 1
        gradients = self.clipped(gradients)
        for name, p in self.parameters.items():
            g = gradients[name]
            self.m[name] = q.beta1 * self.m[name] + (1 - q.beta1) * g
            self.v[name] = q.beta2 * self.v[name] + (1 - q.beta2) * g * g
            decay = q.weight_decay if p.ndim >= 2 else 0.0
            moved = p - rate * self.direction(name)
            self.parameters[name] = (moved - rate * decay * (moved if q.adamw == "transformers-4" else p)).detach()

    def direction(self, name):
        """The last step's update of a parameter, before the rate and without the decay."""
        q, corrected = self.protocol, math.sqrt(1 - self.protocol.beta2**self.t)
        m = self.m[name] / (1 - q.beta1**self.t)
        if q.adamw == "transformers-4":
            return corrected * m / (self.v[name].sqrt() + q.epsilon)
        return m / (self.v[name].sqrt() / corrected + q.epsilon)
