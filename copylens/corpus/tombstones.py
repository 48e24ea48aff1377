"""Tombstones: hashed names of sub-datasets that were taken down."""

from dataclasses import asdict, dataclass
from typing import Any

from copylens.store import storage


@dataclass(frozen=True)
class Tombstone:
    """One takedown. Whoever knows the name can check it; the tombstone does not reveal it.

    Attributes:
        sub_dataset_sha256: of its name.
        arrays_before: hash of the model's arrays that still had it: names the parent version.
        corpus_before: manifest hash of the corpus that still had it.
    """

    sub_dataset_sha256: str
    arrays_before: str
    corpus_before: str


def name_hash(sub_dataset: str) -> str:
    """The name of a sub-dataset as tombstones hold it: its sha256."""
    return storage.sha256(sub_dataset.encode())


def read_tombstones(output: str) -> tuple[Tombstone, ...]:
    """The takedowns of a run, oldest first; () where there was none."""
    uri = _uri(output)
    if not storage.exists(uri):
        return ()
    return tuple(Tombstone(**entry) for entry in storage.read_json(uri)["removed"])


def add_tombstone(output: str, tombstone: Tombstone) -> tuple[Tombstone, ...]:
    """Adds a tombstone unless it is there already; returns all of the run."""
    known = read_tombstones(output)
    if tombstone.sub_dataset_sha256 not in {entry.sub_dataset_sha256 for entry in known}:
        known = (*known, tombstone)
        storage.write_json(_uri(output), {"removed": [asdict(entry) for entry in known]})
    return known


def removed_hashes(output: str) -> frozenset[str]:
    """Hashed names of the sub-datasets that ingest must not take in again."""
    return frozenset(entry.sub_dataset_sha256 for entry in read_tombstones(output))


def removed_since(lineage: dict[str, Any], arrays_sha256: str) -> frozenset[str] | None:
    """Hashed names of the sub-datasets by whose removal alone two versions of a model differ.

    Args:
        lineage: of the later version.
        arrays_sha256: hash of the earlier version's arrays.

    Returns:
        None where the later version does not come from the earlier one by takedowns alone.
    """
    entries = [Tombstone(**entry) for entry in lineage.get("removed", [])]
    for place, entry in enumerate(entries):
        if entry.arrays_before == arrays_sha256:
            return frozenset(later.sub_dataset_sha256 for later in entries[place:])
    return None


def _uri(output: str) -> str:
    return storage.join(output, "removed.json")
