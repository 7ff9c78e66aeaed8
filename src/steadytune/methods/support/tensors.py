"""What methods ask of a tensor. Free of torch until it is called."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def is_weight(name: str, parameter: "nn.Parameter") -> bool:
    """Whether a parameter is a matrix that is not a bias (XLNet has two-dimensional query biases)."""
    return parameter.ndim >= 2 and not name.endswith("bias")


def at_least_single(tensor: "Tensor") -> "Tensor":
    """Half-precision values as fp32, in which losses and penalties are summed; others as they are."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor
