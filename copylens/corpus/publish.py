"""Passages <-> parquet shards. A corpus is complete once its manifest exists, written last."""

import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields

import pyarrow as pa
import pyarrow.parquet as pq

from copylens.corpus.checks import Quarantined
from copylens.corpus.manifest import MANIFEST, ShardRecord, corpus_uri, load_manifest
from copylens.corpus.sampling import shuffle_key
from copylens.errors import CorpusError, one_line
from copylens.records import SPLITS, Passage, SplitName
from copylens.store import storage

QUARANTINE = "quarantine.jsonl"
SCHEMA = pa.schema([(field.name, pa.string()) for field in fields(Passage)])


def shard_uris(output: str, split: SplitName) -> list[str]:
    """The published shards of a split, in order; [] where the split has no passages."""
    shards = load_manifest(output).shards
    return [corpus_uri(output, shard.path) for shard in shards if shard.split == split]


def read_shard(uri: str, sha256: str | None = None) -> list[Passage]:
    """The passages of one shard.

    Args:
        sha256: expected hash of its bytes; None: not checked.

    Raises:
        CorpusError: the shard is missing, damaged, or no shard of passages.
    """
    try:
        data = storage.read_bytes(uri)
        if sha256 is not None and storage.sha256(data) != sha256:
            raise CorpusError(f"shard '{uri}' is damaged (its sha256 differs); ingest again")
        table = pq.read_table(io.BytesIO(data), schema=SCHEMA)
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(
            f"shard '{uri}' cannot be read: {one_line(error)}; ingest again"
        ) from None
    return [Passage(**row) for row in table.to_pylist()]


def read_split(output: str, split: SplitName) -> list[Passage]:
    """All passages of a split, in the order of the shards."""
    return [passage for uri in shard_uris(output, split) for passage in read_shard(uri)]


def clear(output: str) -> None:
    """Removes what an earlier run left, the manifest first; files of others stay."""
    _remove(corpus_uri(output), MANIFEST)
    _remove(corpus_uri(output), QUARANTINE)
    for split in SPLITS:
        _remove(corpus_uri(output, split), r"part-\d+\.parquet")


def write_shards(
    output: str, passages: Sequence[Passage], shard_passages: int, seed: int
) -> tuple[ShardRecord, ...]:
    """Writes all splits. Train is shuffled, so that each of its shards is a mixture."""
    records = []
    for split in SPLITS:
        members = [passage for passage in passages if passage.split == split]
        if split == "train":
            members.sort(key=lambda passage: shuffle_key(seed, passage.id))
        for number, start in enumerate(range(0, len(members), shard_passages)):
            part = members[start : start + shard_passages]
            path = f"{split}/part-{number:05d}.parquet"
            data = encode(part)
            storage.write_bytes(corpus_uri(output, path), data)
            characters = sum(len(passage.text) for passage in part)
            records.append(ShardRecord(path, split, len(part), characters, storage.sha256(data)))
    return tuple(records)


def write_quarantine(output: str, entries: Iterable[Quarantined]) -> None:
    """Writes the refused rows as JSON lines, in reading order."""
    lines = [json.dumps(asdict(entry), sort_keys=True) + "\n" for entry in entries]
    storage.write_bytes(corpus_uri(output, QUARANTINE), "".join(lines).encode())


def encode(passages: Sequence[Passage]) -> bytes:
    """Passages as the bytes of a shard: the same passages, the same bytes."""
    table = pa.Table.from_pylist([asdict(passage) for passage in passages], schema=SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _remove(folder: str, expression: str) -> None:
    """Deletes files of a folder by name; a crash may also have left the temporary name."""
    name = re.compile(f"(?:{expression})(?:\\.[0-9a-f]+\\.tmp)?")
    for uri in storage.list_files(folder, ""):
        if name.fullmatch(storage.name_of(uri)):
            storage.remove_file(uri)
