"""Keep the memory that a training step frees for the next step, instead of returning it to the system."""

import ctypes

# mallopt's parameters, from glibc's malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Raise glibc's thresholds for returning memory, for this process; without glibc, do nothing.

    Every training step allocates the same gradients and activations again. By default glibc maps new memory for each
    large one, and the kernel zeroes its pages one page fault at a time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, 2**30)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
