"""Check that a model of an untested type works as its layout says, before it is used."""

import torch

from steadytune.encoders.encoder import Encoder
from steadytune.errors import SteadyTuneError

TOLERANCE = 1e-4


def try_out(encoder: Encoder, where: str) -> None:
    """Run a few tokens through an encoder in evaluation mode, and check what its hooks see and change.

    Hidden states must be those that transformers returns. A changed layer input must reach the next layer, a changed
    attention output the logits. Running the layers again must give the same states. Padding must not change the logits.
    The token that the head reads must fit the direction of attention.

    Raises:
        SteadyTuneError: one of these checks fails.
    """
    size, pad, left = encoder.model.config.vocab_size, encoder.padding.token, encoder.padding.left
    ids = torch.tensor([[token for token in range(size) if token != pad][-6:]], device=encoder.device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    sides = (2, 0) if left else (0, 2)
    padded = {
        "input_ids": torch.nn.functional.pad(ids, sides, value=pad),
        "attention_mask": torch.nn.functional.pad(inputs["attention_mask"], sides),
    }
    try:
        with torch.no_grad():
            expected = encoder.model(**inputs, output_hidden_states=True)
            plain = encoder(inputs, keep_hidden=True, resumable_from=0)
            again = encoder.resume(0, plain.hidden[0])
            # Not a constant, which a LayerNorm would remove.
            ramp = torch.linspace(-1, 1, encoder.width, device=encoder.device)
            changed = encoder(inputs, on_layer_input=lambda layer, hidden: hidden + layer * ramp, keep_hidden=True)
            outputs = encoder(inputs, on_attention_output=lambda _, hidden: hidden + ramp).logits
            longer = encoder(padded).logits
            last_changed = ids.index_fill(1, torch.tensor([ids.shape[1] - 1], device=ids.device), int(ids[0, 0]))
            other = encoder(inputs | {"input_ids": last_changed}, keep_hidden=True)
    except Exception as error:
        raise SteadyTuneError(_said(encoder, where, f"{type(error).__name__}: {error}".splitlines()[0])) from error
    last = encoder.num_layers
    causal = _close(other.hidden[-1][:, 0], plain.hidden[-1][:, 0])
    checks = {
        "it reads from left to right, and its attention does not say so": causal == (encoder.sentence_token == -1),
        "its hidden states are not those of its layers": len(plain.hidden) == last + 1
        and all(map(_close, plain.hidden[:last], expected.hidden_states[:last])),
        "its layers cannot be run again": all(map(_close, again, plain.hidden[1:])),
        "its layers do not read what is given to them": last == 1 or not _close(changed.hidden[2], plain.hidden[2]),
        "its attention's output is not where it seems": not _close(outputs, plain.logits),
        "padding changes its outputs": _close(longer, plain.logits),
    }
    for problem, holds in checks.items():
        if not holds:
            raise SteadyTuneError(_said(encoder, where, problem))


def _close(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.shape == second.shape and torch.allclose(first, second, atol=TOLERANCE, rtol=TOLERANCE)


def _said(encoder: Encoder, where: str, problem: str) -> str:
    return f"{where}: model_type '{encoder.model.config.model_type}' is not supported: {problem}"
