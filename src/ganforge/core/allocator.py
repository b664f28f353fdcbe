"""How the C library manages memory while a processor trains."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of mallopt, from malloc.h of glibc."""
MOST = 32 * 2**20
"""The largest block that glibc lets come from its heap."""


def keep_freed(device: str) -> bool:
    """Let glibc keep what is freed, for training on a CPU; returns whether that is now so. Elsewhere nothing is done.

    Every step frees activations and asks for the same sizes again. glibc hands large blocks back to the system at once, so that each
    step would fault all their pages in anew, and the kernel would zero them. Kept, they are reused; the most in use stays the same.
    """
    if device != "cpu" or not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl and others have no such options
        return False
    return bool(library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1) and library.mallopt(M_MMAP_THRESHOLD, MOST))
