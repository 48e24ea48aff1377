"""Public names: of LMs and lineages, without the paths of the machine they lie on."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def public_name(place: str) -> str:
    """The public name of an LM: a hub id as it is, of a path or URI the last part alone."""
    local = place.startswith(("/", ".", "~")) or place.count("/") > 1 or "\\" in place
    return PurePath(place.replace("\\", "/")).name if local else place


def public_lineage(lineage: Mapping[str, Any]) -> dict[str, Any]:
    """A lineage with public names alone."""
    return {key: _public(value) for key, value in lineage.items()}


def _public(value: Any) -> Any:
    if isinstance(value, Mapping):
        return public_lineage(value)
    return public_name(value) if isinstance(value, str) else value
