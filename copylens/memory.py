"""Memory that is free is given back, so that a long job needs no more than a short one."""

import contextlib
import ctypes

import pyarrow as pa


def release_memory() -> None:
    """Has Arrow and the C library return their free pages; where they cannot, nothing happens.

    Batches of ever other shapes leave holes in its heap: without this a worker grows by half over
    its first hundred shards (measured, benchmarks/embed.py).
    """
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
