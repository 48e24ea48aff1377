"""What stays of a removed sub-dataset: that it was removed, by the hash of its name."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from copylens.store import storage


@dataclass(frozen=True)
class Removed:
    """One takedown. Whoever knows the name can prove it; the record does not tell it.

    Attributes:
        sub_dataset_sha256: of its name.
        arrays_before: hash of the model's arrays that still had it: names the parent version.
        corpus_before: manifest hash of the corpus that still had it.
    """

    sub_dataset_sha256: str
    arrays_before: str
    corpus_before: str


def name_hash(sub_dataset: str) -> str:
    """How a removed sub-dataset is named."""
    return hashlib.sha256(sub_dataset.encode()).hexdigest()


def read_record(output: str) -> tuple[Removed, ...]:
    """The takedowns of a run, oldest first; () where there was none."""
    uri = _uri(output)
    if not storage.exists(uri):
        return ()
    return tuple(Removed(**entry) for entry in storage.read_json(uri)["removed"])


def add_to_record(output: str, removed: Removed) -> tuple[Removed, ...]:
    """Writes a takedown down, once, and gives all of them."""
    known = read_record(output)
    if removed.sub_dataset_sha256 not in {entry.sub_dataset_sha256 for entry in known}:
        known = (*known, removed)
        storage.write_json(_uri(output), {"removed": [asdict(entry) for entry in known]})
    return known


def removed_hashes(output: str) -> frozenset[str]:
    """Names, hashed, that ingest must not bring back."""
    return frozenset(entry.sub_dataset_sha256 for entry in read_record(output))


def removed_since(lineage: dict[str, Any], arrays_sha256: str) -> frozenset[str] | None:
    """Names, hashed, by whose removal alone a version differs from an earlier one.

    Args:
        lineage: of the later version.
        arrays_sha256: hash of the earlier version's arrays.

    Returns:
        None where the later version does not come from the earlier one by takedowns alone.
    """
    entries = [Removed(**entry) for entry in lineage.get("removed", [])]
    for place, entry in enumerate(entries):
        if entry.arrays_before == arrays_sha256:
            return frozenset(later.sub_dataset_sha256 for later in entries[place:])
    return None


def _uri(output: str) -> str:
    return storage.join(output, "removed.json")
