"""The manifest of an evidence index: sub-datasets, shards, counts, one hash."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from copylens.config.schema import fingerprint
from copylens.errors import CorpusError
from copylens.evidence.arrays import LAYOUT
from copylens.evidence.shards import IndexShardRecord
from copylens.store import storage

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class IndexedSubDataset:
    """A sub-dataset's folder in the index, and its shards."""

    name: str
    folder: str
    shards: tuple[IndexShardRecord, ...]


@dataclass(frozen=True)
class EvidenceManifest:
    """A finished index, by its sub-datasets, sorted by name.

    Attributes:
        corpus_manifest: hash of the corpus it was made from; "" where it came from elsewhere.
        part_passages: passages in one shard, at most; named as in the config.
        states: hash of what embed left; "" where the index has no mean states.
        layout: version of the arrays; another one means that the index has to be built anew.
    """

    sub_datasets: tuple[IndexedSubDataset, ...]
    corpus_manifest: str
    part_passages: int
    states: str = ""
    layout: tuple[int, ...] = tuple(LAYOUT)

    @property
    def hash(self) -> str:
        """Hash of all of it, the hashes of all files included: the index in a lineage."""
        return fingerprint(self._values())

    def summary(self) -> dict[str, Any]:
        """Counts over all shards."""
        shards = [shard for entry in self.sub_datasets for shard in entry.shards]
        return {
            "sub_datasets": len(self.sub_datasets),
            "passages": sum(shard.passages for shard in shards),
            "words": sum(shard.words for shard in shards),
            "bytes": sum(shard.bytes for shard in shards),
            "hash": self.hash,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values, with `hash`."""
        return self._values() | {"hash": self.hash}

    def _values(self) -> dict[str, Any]:
        # `parts` is the shards' name in the file, and in the hashes of registered versions.
        entries = [
            {"name": e.name, "folder": e.folder, "parts": [asdict(shard) for shard in e.shards]}
            for e in self.sub_datasets
        ]
        return asdict(self) | {"sub_datasets": entries}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "EvidenceManifest":
        """The manifest that `to_dict` gave; raises KeyError or TypeError where it is none."""
        return EvidenceManifest(
            sub_datasets=tuple(map(_indexed, values["sub_datasets"])),
            corpus_manifest=values["corpus_manifest"],
            part_passages=values["part_passages"],
            states=values["states"],
            layout=tuple(values["layout"]),
        )


def _indexed(entry: Mapping[str, Any]) -> IndexedSubDataset:
    shards = tuple(IndexShardRecord(**shard) for shard in entry["parts"])
    return IndexedSubDataset(entry["name"], entry["folder"], shards)


def folder_name(sub_dataset: str) -> str:
    """A sub-dataset's folder: its name in characters that every file system takes, and its hash."""
    plain = re.sub(r"[^a-z0-9]+", "-", sub_dataset.lower()).strip("-")[:40]
    return f"{plain or 'sub-dataset'}-{storage.sha256(sub_dataset.encode())[:8]}"


def find_manifest(folder: str) -> EvidenceManifest | None:
    """The manifest of an index; None where there is none.

    Raises:
        CorpusError: it is damaged.
    """
    uri = storage.join(folder, MANIFEST)
    if not storage.exists(uri):
        return None
    try:
        values = storage.read_json(uri)
        manifest = EvidenceManifest.from_dict(values)
        intact = manifest.hash == values["hash"]
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise CorpusError(f"'{storage.shown(uri)}' is damaged; run `copylens index` again")
    return manifest


def write_manifest(folder: str, manifest: EvidenceManifest) -> None:
    """Publishes the index."""
    storage.write_json(storage.join(folder, MANIFEST), manifest.to_dict())
