"""How noise at one layer grows or dies away in the layers above (LNSR, arXiv 2107.04835, Figure 1).

Gaussian noise is added to every token at the input of layer i, scaled to 5 % of the norm of the token's state. The
effect at layer j is the relative change ||h'_j - h_j|| / ||h_j||, averaged over tokens.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from steadytune.encoders.encoder import Encoder

SHARE = 0.05
"""Norm of the noise, as a share of the state's norm."""


def noise_propagation(
    encoder: "Encoder", hidden: tuple[Tensor, ...], mask: Tensor, generator: torch.Generator
) -> Tensor:
    """The relative change of hidden[j] after noise on hidden[i]: entry [:, i, j] of (B, L + 1, L + 1), float64.

    NaN for j < i; `SHARE` for j = i. For each i, only layers i..L-1 run again.

    Args:
        encoder: right after the pass that gave `hidden`, called with `resumable_from=0`.
        hidden: the L + 1 hidden states, each (B, T, d).
        mask: (B, T), true at the tokens to average over.
        generator: source of the noise, on the encoder's device.
    """
    size = len(hidden)
    change = torch.full((len(mask), size, size), torch.nan, dtype=torch.float64, device=mask.device)
    for start, state in enumerate(hidden):
        noise = torch.randn(state.shape, generator=generator, device=state.device)
        noised = state + noise * (SHARE * _norm(state) / _norm(noise))
        # Noise on the last output passes through no layer.
        later = encoder.resume(start, noised) if start < size - 1 else ()
        for layer, after in enumerate((noised, *later), start):
            relative = (_norm(after - hidden[layer]) / _norm(hidden[layer])).squeeze(-1).double()
            change[:, start, layer] = torch.where(mask.bool(), relative, 0).sum(dim=1) / mask.sum(dim=1)
    return change


def _norm(state: Tensor) -> Tensor:
    """(B, T, d) -> (B, T, 1)."""
    return state.norm(dim=-1, keepdim=True)
