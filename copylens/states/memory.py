"""How workers that hold an LM allocate memory, and give it back."""

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


def share_one_heap() -> None:
    """Has processes that are started from here on use one heap for all their threads.

    Ray calls an actor of Ray Data in a thread that is not the first. The C library gives such a
    thread a heap of its own, out of 64 MiB parts: an LM's tensors make it map and unmap them all
    the time, which costs a fifth of the worker's CPU time (measured, benchmarks/embed.py). A value
    from outside holds.
    """
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
