"""Which verdicts a takedown can change, and how the others are carried over.

A verdict can change where it names the removed sub-dataset: as a share, as the largest share of a
stretch of the timeline, or in the evidence. In every other verdict the removed entries, whose
shares are negligible, are dropped, and the rest is scaled to sum to 1 again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from copylens.corpus.tombstones import name_hash
from copylens.records import NOT_ASKED, ModelIdentity, name_of
from copylens.settlement.log import current_basis

LEAST_SHARE = 0.01
"""Below it, and without a stretch or evidence of its own, a removed sub-dataset had no part."""

_NAMES = ("row", "id", "document")
"""The fields that identify a row of a log."""


@dataclass(frozen=True)
class Change:
    """A change of versions.

    Attributes:
        since: version that judged the log.
        removed: hashed names of the sub-datasets by whose removal alone the versions differ; None:
            they differ in other ways too.
        model: the new version.
        least_share: see `LEAST_SHARE`.
    """

    since: str
    removed: frozenset[str] | None
    model: ModelIdentity
    least_share: float = LEAST_SHARE

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values; equal for equal changes."""
        removed = None if self.removed is None else sorted(self.removed)
        return {**asdict(self), "removed": removed}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Change":
        """The inverse of `to_dict`."""
        removed = None if values["removed"] is None else frozenset(values["removed"])
        model = ModelIdentity(**values["model"])
        return cls(values["since"], removed, model, values["least_share"])


def could_change(row: Mapping[str, Any], change: Change) -> bool:
    """Whether what was removed had a part in this verdict."""
    if change.removed is None:
        return True
    gone, share = _removed(row, change)
    if share >= change.least_share:
        return True
    leading = {max(item["shares"], key=item["shares"].get) for item in row["timeline"]}
    named = {str(item.get("sub_dataset")) for item in row.get("evidence") or ()}
    return bool(gone & (leading | named))


def carried(row: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The verdict without what was removed, under the new version's name."""
    gone, share = _removed(row, change)
    left = 1 - share
    ends = ("share", "low", "high")
    shares = [
        {
            **item,
            "basis": current_basis(item.get("basis")),
            **{end: min(1.0, item[end] / left) for end in ends},
        }
        for item in row["shares"]
        if item["sub_dataset"] not in gone
    ]
    timeline = []
    for item in row["timeline"]:
        kept = {name: share for name, share in item["shares"].items() if name not in gone}
        total = sum(kept.values()) or 1.0
        timeline.append({**item, "shares": {name: s / total for name, s in kept.items()}})
    evidence = row.get("evidence")
    if evidence is not None:
        evidence = [e for e in evidence if e.get("sub_dataset") not in gone]
    return {
        **row,
        **{key: name_of(row.get(key)) for key in ("id", "document")},
        "shares": shares,
        "unregistered": row["unregistered"] / left,
        "timeline": timeline,
        "evidence": evidence,
        "evidence_reason": row.get("evidence_reason", NOT_ASKED if evidence is None else None),
        "model": asdict(change.model),
        "carried_from": row.get("carried_from", change.since),
    }


def _removed(row: Mapping[str, Any], change: Change) -> tuple[set[str], float]:
    """The names that a verdict has of what was removed, and their total share."""
    shares = {item["sub_dataset"]: item["share"] for item in row["shares"]}
    gone = {name for name in shares if name_hash(name) in (change.removed or ())}
    return gone, sum(shares[name] for name in gone)


def difference(row: Mapping[str, Any], after: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The verdict before and after; of removed sub-datasets only their total share."""
    gone, removed = _removed(row, change)
    return {
        **{key: row[key] for key in _NAMES if key in row},
        "text_sha256": row["text_sha256"],
        "removed_share": removed,
        "before": _short(row, gone),
        "after": _short(after, gone),
    }


def _short(row: Mapping[str, Any], gone: set[str]) -> dict[str, Any]:
    shares = {i["sub_dataset"]: i["share"] for i in row["shares"] if i["sub_dataset"] not in gone}
    return {
        "decision": row["decision"],
        "p_value": row["p_value"],
        "unregistered": row["unregistered"],
        "shares": shares,
    }
