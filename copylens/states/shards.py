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
from copylens.records import FloatArray, Passage, SplitName, States
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
    """What the marker of a complete shard says: passages in = `rows` + `quarantined` + `unread`.

    Attributes:
        unread: passages that the LM was not to read.
        layers: numbers of the LM's layers that were read.
        depth: how many layers the LM has.
    """

    rows: int
    quarantined: tuple[Rejected, ...]
    sha256: str
    unread: int
    layers: tuple[int, ...]
    depth: int


_NAMES = ("id", "sub_dataset", "split_group")
# Kept as raw bytes: the fastest column type both ways, and ragged for free.
_ARRAYS = ("values", "spans")
_STEPS = b"steps"
_LEVELS = 127
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
    # Shards that earlier versions wrote were read as a whole.
    unread, layers = marker.get("unread", 0), tuple(marker["layers"])
    return Published(marker["rows"], refused, marker["sha256"], unread, layers, marker["depth"])


def publish(
    uri: str,
    key: str,
    passages: Sequence[Passage],
    states: Sequence[States],
    quarantined: Sequence[Rejected] = (),
    unread: int = 0,
    layers: Sequence[int] = (),
    depth: int = 0,
) -> Published:
    """Writes a shard, then its marker, which also names the passages that were refused."""
    data = _encode(passages, states)
    storage.write_bytes(uri, data)
    refused = tuple(quarantined)
    digest = storage.sha256(data)
    result = Published(len(states), refused, digest, unread, tuple(layers), depth)
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
    steps = np.frombuffer((table.schema.metadata or {})[_STEPS], np.float32)
    return [_decode(row, steps) for row in table.to_pylist()]


def _encode(passages: Sequence[Passage], states: Sequence[States]) -> bytes:
    """Values as one byte each, in steps of 1/127 of a feature's largest value in the shard."""
    columns: dict[str, list[Any]] = {name: [getattr(p, name) for p in passages] for name in _NAMES}
    columns |= {"tokens": [s.tokens for s in states], "windows": [len(s.values) for s in states]}
    largest = [np.abs(s.values).max(axis=0) for s in states] or [np.zeros(0)]
    steps = (np.max(largest, axis=0) / _LEVELS).astype(np.float32)
    divisor = np.where(steps > 0, steps, 1)
    columns["values"] = [np.rint(s.values / divisor).astype(np.int8).tobytes() for s in states]
    columns["spans"] = [s.spans.astype(np.int32).tobytes() for s in states]
    table = pa.table(columns, schema=_SCHEMA.with_metadata({_STEPS: steps.tobytes()}))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    return bytes(sink.getvalue())


def _decode(row: dict[str, Any], steps: FloatArray) -> StateRow:
    W = row["windows"]
    values = np.frombuffer(row["values"], np.int8).reshape(W, len(steps)) * steps
    spans = np.frombuffer(row["spans"], np.int32).reshape(W, 2)
    states = States(values.astype(np.float16), spans, tokens=row["tokens"])
    return StateRow(states=states, **{name: row[name] for name in _NAMES})
