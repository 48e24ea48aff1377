"""State shards: one parquet file per corpus shard, published last with a marker.

A shard counts only once its marker stands beside it and carries the key of everything the shard
depends on. So a re-run after any crash skips what is complete, and ends with the same bytes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from copylens.errors import ModelError
from copylens.records import Passage, SplitName, States
from copylens.store import storage
from copylens.store.markers import facts_of, mark


@dataclass(frozen=True)
class StateRow:
    """The states of one passage with what training needs to know of it."""

    id: str
    sub_dataset: str
    split_group: str
    states: States


@dataclass(frozen=True)
class Rejected:
    """A passage that could not be embedded, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Published:
    """What the marker of a complete shard says: passages in = `rows` + `quarantined`.

    Attributes:
        layers: numbers of the LM's layers that were read.
        depth: how many layers the LM has.
    """

    rows: int
    quarantined: tuple[Rejected, ...]
    sha256: str
    layers: tuple[int, ...]
    depth: int


_NAMES = ("id", "sub_dataset", "split_group")
# Kept as raw bytes: the fastest column type both ways, and ragged for free.
_ARRAYS = {"values": np.float16, "spans": np.int32}
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _NAMES),
        ("tokens", pa.int32()),
        ("windows", pa.int32()),
        *((name, pa.large_binary()) for name in _ARRAYS),
    ]
)


def shard_uri(output: str, split: SplitName, corpus_shard: str) -> str:
    """Where the states of a corpus shard go: the same name under `states/`."""
    return storage.join(output, "states", split, storage.name_of(corpus_shard))


def published(uri: str) -> Published:
    """What a complete shard holds, without reading it.

    Raises:
        ModelError: the shard is not there, or not complete.
    """
    marker = facts_of(uri)
    if marker is None:
        raise ModelError(f"state shard '{uri}' is missing; run embed")
    refused = tuple(Rejected(**entry) for entry in marker["quarantined"])
    return Published(**marker | {"quarantined": refused, "layers": tuple(marker["layers"])})


def publish(
    uri: str,
    key: str,
    passages: Sequence[Passage],
    states: Sequence[States],
    quarantined: Sequence[Rejected] = (),
    layers: Sequence[int] = (),
    depth: int = 0,
) -> Published:
    """Writes a shard, then its marker, which also names the passages that were refused."""
    data = _encode(passages, states)
    storage.write_bytes(uri, data)
    refused = tuple(quarantined)
    result = Published(len(states), refused, storage.sha256(data), tuple(layers), depth)
    mark(uri, key, asdict(result))
    return result


def read_states(uri: str) -> list[StateRow]:
    """All rows of a shard, in the order of its corpus shard.

    Raises:
        ModelError: the shard is missing, or its bytes are not those its marker names.
    """
    expected = published(uri).sha256
    data = storage.read_bytes(uri)
    if storage.sha256(data) != expected:
        raise ModelError(f"state shard '{uri}' is damaged; delete it and run embed again")
    table = pq.read_table(pa.BufferReader(data))
    widths = {name.decode(): int(value) for name, value in (table.schema.metadata or {}).items()}
    return [_decode(row, widths) for row in table.to_pylist()]


def _encode(passages: Sequence[Passage], states: Sequence[States]) -> bytes:
    columns: dict[str, list[Any]] = {name: [getattr(p, name) for p in passages] for name in _NAMES}
    columns |= {"tokens": [s.tokens for s in states], "windows": [len(s.values) for s in states]}
    widths = {}
    for name, dtype in _ARRAYS.items():
        arrays = [getattr(s, name) for s in states]
        columns[name] = [array.astype(dtype).tobytes() for array in arrays]
        widths[name] = str(arrays[0].shape[1] if arrays else 0)
    del widths["spans"]  # always two
    table = pa.table(columns, schema=_SCHEMA.with_metadata(widths))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    return bytes(sink.getvalue())


def _decode(row: dict[str, Any], widths: dict[str, int]) -> StateRow:
    arrays: dict[str, Any] = {
        name: np.frombuffer(row[name], dtype).reshape(row["windows"], widths.get(name, 2))
        for name, dtype in _ARRAYS.items()
    }
    states = States(**arrays, tokens=row["tokens"])
    return StateRow(states=states, **{name: row[name] for name in _NAMES})
