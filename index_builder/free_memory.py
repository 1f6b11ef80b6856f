"""Free memory goes back to the system: glibc keeps the holes between its blocks, ever more of them."""

import ctypes
from collections.abc import Callable
from functools import cache


def give_back_free_memory() -> None:
    """Give it back, where the C library can."""
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    """Glibc's `malloc_trim`; what does nothing where another C library is."""
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda _pad: None
    return trim
