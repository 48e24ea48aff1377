"""State shards: one parquet file per corpus shard, published last with a marker.

A shard counts only once its marker stands beside it and carries the key of everything the shard
depends on. So a re-run after any crash skips what is complete, and ends with the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from copylens import storage
from copylens.errors import ModelError
from copylens.records import Passage, SplitName, States


@dataclass(frozen=True)
class StateRow:
    """The states of one passage with what training needs to know of it."""

    id: str
    sub_dataset: str
    split_group: str
    states: States


_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("sub_dataset", pa.string()),
        ("split_group", pa.string()),
        ("tokens", pa.int32()),
        ("windows", pa.int32()),
        # Raw fp16 and int32 bytes: the fastest column type both ways, and ragged for free.
        ("values", pa.large_binary()),
        ("likelihood", pa.large_binary()),
        ("spans", pa.large_binary()),
        ("codes", pa.large_binary()),
    ]
)


def shard_uri(output: str, split: SplitName, corpus_shard: str) -> str:
    """Where the states of a corpus shard go: the same name under `states/`."""
    return storage.join(output, "states", split, storage.name_of(corpus_shard))


def is_published(uri: str, key: str) -> bool:
    """True when the shard is complete and was made from exactly these inputs and settings."""
    marker = _marker_uri(uri)
    return storage.exists(marker) and storage.read_json(marker)["key"] == key


def published_sha256(uri: str) -> str:
    """Hash of a complete shard's bytes, from its marker."""
    return str(storage.read_json(_marker_uri(uri))["sha256"])


def publish(uri: str, key: str, passages: Sequence[Passage], states: Sequence[States]) -> int:
    """Writes a shard, then its marker; returns the number of bytes."""
    data = _encode(passages, states)
    storage.write_bytes(uri, data)
    marker = {"key": key, "rows": len(states), "sha256": storage.sha256(data)}
    storage.write_json(_marker_uri(uri), marker)
    return len(data)


def read_states(uri: str) -> list[StateRow]:
    """All rows of a shard, in the order of its corpus shard.

    Raises:
        ModelError: the file's bytes are not those its marker names.
    """
    data = storage.read_bytes(uri)
    if storage.sha256(data) != published_sha256(uri):
        raise ModelError(f"state shard '{uri}' is damaged; delete it and run embed again")
    table = pq.read_table(pa.BufferReader(data))
    widths = {name.decode(): int(value) for name, value in (table.schema.metadata or {}).items()}
    return [_decode(row, widths) for row in table.to_pylist()]


def state_shards(output: str, split: SplitName) -> list[str]:
    """URIs of a split's state shards, sorted."""
    return storage.list_files(storage.join(output, "states", split), ".parquet")


def read_split_states(output: str, split: SplitName) -> list[StateRow]:
    """All state rows of a split, in corpus order."""
    return [row for uri in state_shards(output, split) for row in read_states(uri)]


def _encode(passages: Sequence[Passage], states: Sequence[States]) -> bytes:
    table = pa.table(
        {
            "id": [p.id for p in passages],
            "sub_dataset": [p.sub_dataset for p in passages],
            "split_group": [p.split_group for p in passages],
            "tokens": [s.tokens for s in states],
            "windows": [len(s.values) for s in states],
            "values": [s.values.astype(np.float16).tobytes() for s in states],
            "likelihood": [s.likelihood.astype(np.float16).tobytes() for s in states],
            "spans": [s.spans.astype(np.int32).tobytes() for s in states],
            "codes": [s.codes.astype(np.int16).tobytes() for s in states],
        },
        schema=_SCHEMA.with_metadata(
            {
                "values": str(states[0].values.shape[1] if states else 0),
                "likelihood": str(states[0].likelihood.shape[1] if states else 0),
                "codes": str(states[0].codes.shape[1] if states else 0),
            }
        ),
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    return bytes(sink.getvalue())


def _decode(row: dict[str, Any], widths: dict[str, int]) -> StateRow:
    W = row["windows"]
    states = States(
        values=np.frombuffer(row["values"], np.float16).reshape(W, widths["values"]),
        likelihood=np.frombuffer(row["likelihood"], np.float16).reshape(W, widths["likelihood"]),
        spans=np.frombuffer(row["spans"], np.int32).reshape(W, 2),
        codes=np.frombuffer(row["codes"], np.int16).reshape(W, widths["codes"]),
        tokens=row["tokens"],
    )
    return StateRow(row["id"], row["sub_dataset"], row["split_group"], states)


def _marker_uri(uri: str) -> str:
    return storage.beside(uri, ".done.json")
