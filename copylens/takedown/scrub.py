"""Removes a sub-dataset from JSON values: its keys, entries and sources."""

import re
from typing import Any


def scrubbed(value: Any, sub_dataset: str) -> Any:
    """A copy of JSON-like values without the sub-dataset.

    Removed are keys of its name with their values, and from lists its name, entries whose
    `sub_dataset` it is, and URIs named after it (`dist://NAME`, `.../NAME.jsonl`). Other texts are
    kept: a name may be a common word.
    """
    if isinstance(value, dict):
        return {k: scrubbed(v, sub_dataset) for k, v in value.items() if k != sub_dataset}
    if isinstance(value, list | tuple):
        return [scrubbed(v, sub_dataset) for v in value if not _its_own(v, sub_dataset)]
    return value


def names_place(uri: str, sub_dataset: str) -> bool:
    """True for a URI that has the sub-dataset's name as a component."""
    return sub_dataset in re.split(r"[/:?=&.#]", uri)


def _its_own(value: Any, sub_dataset: str) -> bool:
    if isinstance(value, str):
        return value == sub_dataset or names_place(value, sub_dataset)
    if isinstance(value, dict):
        uri = value.get("uri")
        mine = isinstance(uri, str) and names_place(uri, sub_dataset)
        return value.get("sub_dataset") == sub_dataset or mine
    return False
