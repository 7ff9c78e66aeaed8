"""Plain fine-tuning: the task loss, the checkpoint's own dropout, every parameter trained."""

from steadytune.methods.base import Method


class Vanilla(Method):
    """The baseline of all three papers."""

    names = {"vanilla": {}}
    source = "Devlin et al. 2019, sec. 4.1"
