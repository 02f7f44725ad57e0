"""After a model was loaded or taken away, between requests: what that left behind is cleared."""

import contextlib
import ctypes
import gc


def settle() -> None:
    """Hand memory that is free back to the system, and let the collector pass over what stands now and stays."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()  # Looking through it again and again would cost every request its share.
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
