"""Memory that a step frees is kept for the next one, instead of being given back and asked for again."""

import ctypes

# mallopt's parameters, from glibc's malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Raise glibc's thresholds for this process; elsewhere nothing happens.

    Every step of a training allocates the same gradients and activations anew. By default glibc maps each large one
    afresh, and the kernel clears its pages one fault at a time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, 2**30)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
