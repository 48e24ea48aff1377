"""The files of one shard of an index: its passages as parquet, its arrays as safetensors, mapped.

`part-00000.parquet` is written first, and the other files are built from it.
`part-00000.safetensors` is complete once its marker exists. `part-00000.states.safetensors`, the
mean states, exists where embed has left states. Local files are memory-mapped, others read whole.
"""

import io
import json
import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from copylens.config.schema import fingerprint
from copylens.errors import CorpusError
from copylens.evidence.arrays import LAYOUT, ShardArrays, build_arrays
from copylens.evidence.words import word_ids
from copylens.records import AnyArray, Passage
from copylens.store import storage
from copylens.store.markers import facts_of, is_published, mark

_COLUMNS = ("id", "text", "title", "source_url", "holder", "license", "split_group")
_SCHEMA = pa.schema([(name, pa.string()) for name in _COLUMNS])
# A passage is read with its row group: small ones are quick, very small ones do not pack.
_GROUP = 32
_LEVEL = 9


@dataclass(frozen=True)
class IndexShardRecord:
    """One shard in the manifest; file names begin with `name`."""

    name: str
    passages: int
    words: int
    passages_sha256: str
    arrays_sha256: str
    states_sha256: str
    bytes: int


@dataclass(frozen=True)
class PassageRow:
    """A passage with the fields that a citation names."""

    id: str
    text: str
    title: str
    source_url: str
    holder: str
    license: str
    split_group: str


def passages_uri(folder: str, name: str) -> str:
    """Where a shard's passages are."""
    return storage.join(folder, f"{name}.parquet")


def arrays_uri(folder: str, name: str) -> str:
    """Where a shard's arrays are."""
    return storage.join(folder, f"{name}.safetensors")


def states_uri(folder: str, name: str) -> str:
    """Where the vectors of a shard's passages are, if there are any."""
    return storage.join(folder, f"{name}.states.safetensors")


def passage_ids(folder: str, name: str) -> list[str]:
    """The ids of a shard's passages, in their order."""
    data = storage.read_bytes(passages_uri(folder, name))
    ids: list[str] = pq.read_table(io.BytesIO(data), columns=["id"])["id"].to_pylist()
    return ids


def write_passages(folder: str, name: str, passages: Sequence[Passage]) -> str:
    """Writes a shard's passages unless they stand there already; returns their hash."""
    rows = [{column: getattr(p, column) for column in _COLUMNS} for p in passages]
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows, schema=_SCHEMA),
        sink,
        compression="zstd",
        compression_level=_LEVEL,
        row_group_size=_GROUP,
        write_statistics=False,
    )
    data, uri = sink.getvalue(), passages_uri(folder, name)
    sha256 = storage.sha256(data)
    if not is_published(uri, sha256):
        storage.write_bytes(uri, data)
        mark(uri, sha256, {"passages": len(passages), "bytes": len(data)})
    return sha256


def arrays_key(passages_sha256: str) -> str:
    """The key of a shard's arrays: everything they depend on."""
    return fingerprint("evidence", LAYOUT, passages_sha256)


def build_shard(folder: str, name: str, passages_sha256: str) -> None:
    """Passages -> arrays, published last; nothing to do where they are complete.

    Raises:
        CorpusError: the passages are not those that were planned.
    """
    from safetensors.numpy import save

    uri, key = arrays_uri(folder, name), arrays_key(passages_sha256)
    if is_published(uri, key):
        return
    data = storage.read_bytes(passages_uri(folder, name))
    if storage.sha256(data) != passages_sha256:
        raise CorpusError(f"'{passages_uri(folder, name)}' is damaged; run `copylens index` again")
    table = pq.read_table(io.BytesIO(data), columns=["text", "split_group"])
    names, groups = np.unique(table["split_group"].to_pylist(), return_inverse=True)
    arrays = build_arrays([word_ids(text) for text in table["text"].to_pylist()], groups.tolist())
    packed = save({key: np.ascontiguousarray(array) for key, array in arrays.to_dict().items()})
    storage.write_bytes(uri, packed)
    words = len(arrays.words) - len(groups)
    facts = {"sha256": storage.sha256(packed), "bytes": len(packed), "words": words}
    mark(uri, key, facts | {"groups": len(names)})


def shard_record(folder: str, name: str) -> IndexShardRecord:
    """What the markers of a complete shard say."""
    passages = facts_of(passages_uri(folder, name))
    arrays, states = facts_of(arrays_uri(folder, name)), facts_of(states_uri(folder, name))
    assert passages is not None and arrays is not None
    return IndexShardRecord(
        name=name,
        passages=passages["passages"],
        words=arrays["words"],
        passages_sha256=passages["key"],
        arrays_sha256=arrays["sha256"],
        states_sha256=states["sha256"] if states else "",
        bytes=sum(facts["bytes"] for facts in (passages, arrays, states) if facts),
    )


class IndexShard:
    """An opened shard: its arrays are memory-mapped."""

    def __init__(self, folder: str, record: IndexShardRecord):
        self.arrays = ShardArrays(**mapped_arrays(arrays_uri(folder, record.name)))
        self._folder, self._record = folder, record
        self._rows = lru_cache(maxsize=64)(self._read_group)

    def passage(self, number: int) -> PassageRow:
        """The passage with this number in the shard."""
        return self._rows(number // _GROUP)[number % _GROUP]

    def vectors(self) -> AnyArray:
        """[passages, width] mean states, read whole."""
        from safetensors.numpy import load

        vectors = load(storage.read_bytes(states_uri(self._folder, self._record.name)))["vectors"]
        return np.asarray(vectors)

    def _read_group(self, group: int) -> list[PassageRow]:
        uri = passages_uri(self._folder, self._record.name)
        table = _open_parquet(uri, self._record.passages_sha256).read_row_group(group)
        return [PassageRow(**row) for row in table.to_pylist()]


def mapped_arrays(uri: str) -> dict[str, AnyArray]:
    """The arrays of a safetensors file, read-only: views of the mapped file where it is local.

    The library itself would copy them (format: 8 bytes length, JSON header, arrays).

    Raises:
        CorpusError: the file is missing or no such file.
    """
    with _mapped(uri) as buffer:
        size = int.from_bytes(buffer[:8], "little")
        header = json.loads(bytes(buffer[8 : 8 + size]))
        return {
            name: _view(buffer, 8 + size, entry)
            for name, entry in header.items()
            if name != "__metadata__"
        }


_DTYPES = {"U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "F16": np.float16}


def _view(buffer: Any, start: int, entry: dict[str, Any]) -> AnyArray:
    low, high = entry["data_offsets"]
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    count = (high - low) // dtype.itemsize
    return np.frombuffer(buffer, dtype, count, start + low).reshape(entry["shape"])


@contextmanager
def _mapped(uri: str) -> Iterator[Any]:
    """The bytes of a file, mapped where it is local; what cannot be made of them is an error."""
    try:
        if storage.is_local(uri):
            with Path(storage.resolve(uri)[1]).open("rb") as file:
                yield mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        else:
            yield storage.read_bytes(uri)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise CorpusError(
            f"'{storage.shown(uri)}' is missing or damaged ({error}); run `copylens index` again"
        ) from None


# Few of an index's files are open at a time: there may be more shards than a process may open.
@lru_cache(maxsize=64)
def _open_parquet(uri: str, sha256: str) -> pq.ParquetFile:
    """The hash is only a cache key: a file may be replaced by another at the same URI."""
    with _mapped(uri) as buffer:
        return pq.ParquetFile(pa.BufferReader(buffer))
