"""Memory that is free is given back, so that a long job needs no more than a short one."""

import contextlib
import ctypes
import os

import pyarrow as pa


def release_memory() -> None:
    """Has Arrow and the C library return their free pages; where they cannot, nothing happens.

    Batches of ever other shapes leave holes in its heap: without this a worker grows by half over
    its first hundred shards (measured, benchmarks/embed.py).
    """
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def bound_caches() -> None:
    """Keeps oneDNN, below torch, from holding a compiled kernel for each of 1,024 batch shapes.

    To be called before the first tensor is computed with; a value from outside holds.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
