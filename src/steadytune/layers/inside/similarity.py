"""How similar a layer makes the tokens of one text (HyPe, arXiv 2212.08853, Figure 4 and App. G.1).

    S_i^l = 2 / (n_i (n_i - 1)) * sum_{a<b} cos(h_a, h_b)

over the n_i tokens of example i at layer l, special tokens included. At 1, all tokens point in the same direction.
"""

from torch import Tensor
from torch.nn import functional


def token_similarity(hidden: Tensor, mask: Tensor) -> Tensor:
    """S of every example: `hidden` (B, T, d), `mask` (B, T) true at its tokens -> (B,) float64; NaN for one token.

    The sum over pairs follows from the norm of the sum of unit vectors, so no T x T matrix is needed.
    """
    directions = functional.normalize(hidden.double(), dim=-1) * mask[..., None]
    pairs = directions.sum(dim=1).square().sum(dim=-1) - directions.square().sum(dim=(1, 2))
    tokens = mask.sum(dim=1)
    return pairs / (tokens * (tokens - 1))
