"""States of a whole split in bounded memory: on the local disk, mapped, read where needed."""

import math
import mmap
import tempfile
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import IO, Any

import numpy as np

from copylens.records import AnyArray, States
from copylens.states.shards import StateRow, read_states

_ALIGN = 8
_ARRAYS = tuple(field.name for field in fields(States) if field.name != "tokens")
_NOTHING = np.zeros((0, 0))

# Where an array lies in the file: offset, shape, type.
_Place = tuple[int, tuple[int, ...], np.dtype[np.generic]]


def map_states(uris: Iterable[str]) -> list[StateRow]:
    """All rows of several shards, their arrays on the local disk instead of in memory.

    One shard at a time is held in memory. The arrays are read-only views of a file without a name,
    so that it is gone with the process, however that ends; of it the system's page cache keeps
    what fits. $TMPDIR says on which disk it lies.

    Raises:
        ModelError: a shard is damaged.
    """
    with tempfile.TemporaryFile() as file:
        written = [_spilled(file, row) for uri in uris for row in read_states(uri)]
        if not file.tell():
            return []
        file.flush()
        mapped = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    return [
        replace(row, states=replace(row.states, **_views(mapped, places)))
        for row, places in written
    ]


def _spilled(file: IO[bytes], row: StateRow) -> tuple[StateRow, dict[str, _Place]]:
    """Appends a row's arrays to the file; what is left in memory is the row without them."""
    places: dict[str, _Place] = {}
    for name in _ARRAYS:
        array: AnyArray = getattr(row.states, name)
        file.write(bytes(-file.tell() % _ALIGN))
        places[name] = (file.tell(), array.shape, array.dtype)
        file.write(array.tobytes())
    nothing: dict[str, Any] = dict.fromkeys(_ARRAYS, _NOTHING)
    return replace(row, states=replace(row.states, **nothing)), places


def _views(mapped: AnyArray, places: dict[str, _Place]) -> dict[str, Any]:
    views: dict[str, Any] = {}
    for name, (offset, shape, dtype) in places.items():
        size = math.prod(shape) * dtype.itemsize
        views[name] = mapped[offset : offset + size].view(dtype).reshape(shape)
    return views
