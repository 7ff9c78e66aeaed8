"""Muon compared with PyTorch's, and its orthogonalisation with the singular value decomposition."""

import pytest
import torch
from torch import nn

from steadytune.pretraining.muon import Muon, orthogonalise

SHAPES = (6, 4), (4, 6), (5, 5)


def matrices(dtype=torch.float32):
    draw = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(shape, generator=draw, dtype=dtype)) for shape in SHAPES]


def test_bf16_muon_equals_pytorchs_bit_for_bit():
    ours, theirs = matrices(), matrices()
    optimisers = (
        Muon(ours, 0.1, torch.bfloat16),
        torch.optim.Muon(theirs, lr=0.0, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    draw = torch.Generator().manual_seed(5)
    for rate in (0.02, 0.03, 0.01):
        for pair in zip(ours, theirs, strict=True):
            gradient = torch.randn(pair[0].shape, generator=draw)
            for matrix in pair:
                matrix.grad = gradient.clone()
        for optimiser in optimisers:
            optimiser.param_groups[0]["lr"] = rate
            optimiser.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
    states = [optimiser.state_dict()["state"] for optimiser in optimisers]
    assert states[0].keys() == states[1].keys()
    for number, state in states[0].items():
        assert torch.equal(state["momentum_buffer"], states[1][number]["momentum_buffer"])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_orthogonalise_keeps_singular_vectors_and_moves_values_near_1(shape, dtype):
    """Expected: s <- 3.4445 s - 4.775 s^3 + 2.0315 s^5, five times, on the singular values divided by their norm."""
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(7), dtype=dtype)
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    values = values / values.norm()
    for _ in range(5):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    assert (values > 0.6).all() and (values < 1.3).all()
    expected = left @ torch.diag(values) @ right
    torch.testing.assert_close(
        orthogonalise(matrix, dtype).double(), expected, atol=1e-4 if dtype == torch.float32 else 1e-10, rtol=0
    )


def test_first_muon_step_by_hand():
    """The gradient is diag(3, 4). The momentum takes a twentieth of it; only its direction counts, not its norm."""
    (matrix,) = [nn.Parameter(torch.full((2, 2), 2.0, dtype=torch.float64))]
    optimiser = Muon([matrix], 0.5, torch.float64)
    optimiser.param_groups[0]["lr"] = 0.1
    matrix.grad = torch.diag(torch.tensor([3.0, 4.0], dtype=torch.float64))
    optimiser.step()
    update = orthogonalise(torch.diag(torch.tensor([0.6, 0.8], dtype=torch.float64)), torch.float64)
    expected = 2.0 * (1 - 0.1 * 0.5) - 0.1 * 0.2 * 2**0.5 * update
    torch.testing.assert_close(matrix.detach(), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(optimiser.state[matrix]["momentum_buffer"], 0.05 * matrix.grad)
