"""States of a whole split in bounded memory: on the local disk, mapped, read where needed."""

import mmap
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import IO, Any

import numpy as np

from copylens.records import AnyArray, States
from copylens.states.shards import StateRow, read_states

_ALIGN = 8
_ARRAYS = tuple(field.name for field in fields(States) if field.name != "tokens")
_NOTHING: dict[str, Any] = {
    "values": np.zeros((0, 0), np.float16),
    "likelihood": np.zeros((0, 0), np.float16),
    "spans": np.zeros((0, 2), np.int32),
}


@dataclass(frozen=True)
class _Place:
    """Where an array lies in the file."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


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
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return [
        replace(row, states=States(**_views(mapped, places), tokens=row.states.tokens))
        for row, places in written
    ]


def _spilled(file: IO[bytes], row: StateRow) -> tuple[StateRow, dict[str, _Place]]:
    """Appends a row's arrays to the file; what is left in memory is the row without them."""
    places = {}
    for name in _ARRAYS:
        array: AnyArray = getattr(row.states, name)
        file.write(bytes(-file.tell() % _ALIGN))
        places[name] = _Place(file.tell(), array.shape, array.dtype)
        file.write(array.tobytes())
    return replace(row, states=States(**_NOTHING, tokens=row.states.tokens)), places


def _views(mapped: mmap.mmap, places: dict[str, _Place]) -> dict[str, Any]:
    return {
        name: np.frombuffer(
            mapped, place.dtype, int(np.prod(place.shape, dtype=np.int64)), place.offset
        ).reshape(place.shape)
        if np.prod(place.shape)
        else np.zeros(place.shape, place.dtype)
        for name, place in places.items()
    }
