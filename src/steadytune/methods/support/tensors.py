"""Tensor helpers for methods. Importing them does not import torch."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def is_weight(name: str, parameter: "nn.Parameter") -> bool:
    """Whether a parameter is a matrix that is not a bias (XLNet has two-dimensional query biases)."""
    return parameter.ndim >= 2 and not name.endswith("bias")


def at_least_single(tensor: "Tensor") -> "Tensor":
    """Convert half precision to fp32, in which losses and penalties are summed; return other types unchanged."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor
