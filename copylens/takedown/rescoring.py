"""Which verdicts a takedown can change, and how the others are carried over.

A verdict can change where it names the removed sub-dataset: as a share, as the largest share of a
stretch of the timeline, or in the evidence. In every other verdict the removed entries, whose
shares are negligible, are dropped. What they had goes to the other sub-datasets in proportion, as
in a new verdict; `unregistered` stays, and with it the decision.
"""

from collections.abc import Mapping, Sequence
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
    named = {str(item.get("sub_dataset")) for item in row.get("evidence") or ()}
    return bool(gone & (_leading(row, change.least_share) | named))


def _leading(row: Mapping[str, Any], least_share: float) -> set[str]:
    """The sub-datasets with the largest share of a stretch.

    Of a stretch that is all but unregistered none has a share worth the name.
    """
    largest = [max(item["shares"].items(), key=lambda pair: pair[1]) for item in row["timeline"]]
    return {name for name, share in largest if share >= least_share}


def carried(row: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The verdict without what was removed, under the new version's name."""
    gone, _ = _removed(row, change)
    shares, unregistered = _shares_without(row["shares"], row["unregistered"], gone)
    timeline = [_stretch_without(item, row["unregistered"], gone) for item in row["timeline"]]
    evidence = row.get("evidence")
    if evidence is not None:
        evidence = [e for e in evidence if e.get("sub_dataset") not in gone]
    return {
        **row,
        **{key: name_of(row.get(key)) for key in ("id", "document")},
        "shares": shares,
        "unregistered": unregistered,
        "timeline": timeline,
        "abstain_reason": row.get("abstain_reason"),
        "evidence": evidence,
        "evidence_reason": row.get("evidence_reason", NOT_ASKED if evidence is None else None),
        "model": asdict(change.model),
        "carried_from": row.get("carried_from", change.since),
    }


def _shares_without(
    items: Sequence[Mapping[str, Any]], unregistered: float, gone: set[str]
) -> tuple[list[dict[str, Any]], float]:
    """What is left of a verdict's shares and of its `unregistered`; they sum to 1.

    What is quoted stays quoted. The upper ends of the intervals rise by all that was removed, since
    any of the others may have it.
    """
    kept = {i["sub_dataset"]: i["share"] for i in items if i["sub_dataset"] not in gone}
    removed = sum(item["share"] for item in items if item["sub_dataset"] in gone)
    scaled, unregistered = _summing_to_one(kept, unregistered)
    shares = [
        {
            **item,
            "basis": current_basis(item.get("basis")),
            "share": scaled[item["sub_dataset"]],
            "high": min(1.0, item["high"] + removed),
            "quoted": item.get("quoted", 0.0) * item["share"] / (scaled[item["sub_dataset"]] or 1),
        }
        for item in items
        if item["sub_dataset"] not in gone
    ]
    return shares, unregistered


def _stretch_without(item: Mapping[str, Any], of_text: float, gone: set[str]) -> dict[str, Any]:
    """What is left of a stretch of the time line.

    Args:
        of_text: the text's `unregistered`. Verdicts of earlier versions say nothing of that of a
            stretch: shares there are of what is registered, and sum to 1.
    """
    kept = {name: share for name, share in item["shares"].items() if name not in gone}
    shares, unregistered = _summing_to_one(kept, item.get("unregistered", of_text))
    return {**item, "shares": shares, "unregistered": unregistered}


def _summing_to_one(shares: Mapping[str, float], rest: float) -> tuple[dict[str, float], float]:
    """The shares in their proportions so that they and the rest sum to 1, and the rest.

    Where there is no share to scale, all is the rest's.
    """
    total = sum(shares.values())
    if total <= 0:
        return dict.fromkeys(shares, 0.0), 1.0
    scale = (1 - rest) / total
    return {name: share * scale for name, share in shares.items()}, rest


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
