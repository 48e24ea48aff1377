"""Completion markers: a file is complete once its marker exists, with key, hash and counts."""

from typing import Any

from copylens.store import storage


def mark(uri: str, key: str, facts: dict[str, Any]) -> None:
    """Marks a file that has been written as complete.

    Args:
        key: fingerprint of everything the file depends on.
        facts: JSON values about the file, such as its sha256 and counts.
    """
    storage.write_json(_marker(uri), {**facts, "key": key})


def is_published(uri: str, key: str) -> bool:
    """True when the file is complete and was made from exactly these inputs and settings."""
    found = facts_of(uri)
    return found is not None and bool(found["key"] == key)


def facts_of(uri: str) -> dict[str, Any] | None:
    """The marker's facts and its key; None where the file is not complete."""
    marker = _marker(uri)
    if not storage.exists(marker):
        return None
    facts: dict[str, Any] = storage.read_json(marker)
    return facts


def _marker(uri: str) -> str:
    return storage.beside(uri, ".done.json")
