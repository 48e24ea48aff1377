"""A log of verdicts after a takedown: what could change is scored again, the rest is carried over.

A verdict could change where the removed sub-dataset had a part in it: a share of its own, the
largest share of some stretch, or a piece of evidence. Its text is read and scored by the new
version. Every other verdict loses the removed entries, which held next to nothing, and the rest
is scaled to sum to 1 again.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from copylens import storage
from copylens.config import fingerprint
from copylens.corpus.sources import open_source
from copylens.errors import SettlementError
from copylens.markers import facts_of, is_published, mark
from copylens.records import ModelIdentity, Verdict
from copylens.removed import name_hash
from copylens.settlement.log import log_files

LEAST_SHARE = 0.01
"""Below it, and without a stretch or evidence of its own, a removed sub-dataset had no part."""

_NAMES = ("row", "id", "document")
Score = Callable[[Sequence[str]], list[Verdict]]


@dataclass(frozen=True)
class Change:
    """From one version to the next.

    Attributes:
        since: version that judged the log.
        removed: names, hashed, by whose removal alone the versions differ; None = otherwise too.
        model: the new version.
        least_share: see `LEAST_SHARE`.
    """

    since: str
    removed: frozenset[str] | None
    model: ModelIdentity
    least_share: float = LEAST_SHARE


@dataclass(frozen=True)
class _Shard:
    """A file of the log: its rows, which of them could change, and where its verdicts go."""

    rows: list[dict[str, Any]]
    affected: list[bool]
    target: str
    difference: str
    key: str

    @property
    def wanted(self) -> set[str]:
        return {r["text_sha256"] for r, hit in zip(self.rows, self.affected) if hit}


def rescore(
    log: str, target: str, change: Change, texts: str | None, score: Score
) -> dict[str, int]:
    """Writes `target`/part-*.jsonl and `target`/difference/part-*.jsonl; complete shards stay.

    Args:
        log: as `settlement.read_log` takes it.
        texts: where the texts of the log are (.jsonl[.gz], .parquet ...); needed if any verdict
            could change, since verdicts keep only their texts' hashes.
        score: the new version; called with the texts that could change and with no others.

    Returns:
        How many verdicts there are, were scored again and carried over, and how many decisions
        changed.

    Raises:
        SettlementError: a verdict is of another version, or texts are missing; nothing is written.
    """
    if storage.join(target, "x") == storage.join(log, "x"):
        raise SettlementError(
            "--output must be another folder than --log; delete the old log after"
        )
    shards = list(_shards(log, target, change))
    pending = [shard for shard in shards if not is_published(shard.target, shard.key)]
    found = _texts(texts, {sha for shard in pending for sha in shard.wanted})
    for shard in pending:
        _publish(shard, change, found, score)
    counts: Counter[str] = Counter()
    for shard in shards:
        facts = facts_of(shard.target) or {}
        counts.update({key: facts[key] for key in ("verdicts", "rescored", "carried", "changed")})
    return dict(counts)


def could_change(row: Mapping[str, Any], change: Change) -> bool:
    """Whether what was removed had a part in this verdict."""
    if change.removed is None:
        return True
    gone = _gone(row, change.removed)
    if sum(item["share"] for item in row["shares"] if item["sub_dataset"] in gone) >= (
        change.least_share
    ):
        return True
    leading = {max(item["shares"], key=item["shares"].get) for item in row["timeline"]}
    named = {str(item.get("sub_dataset")) for item in row.get("evidence") or ()}
    return bool(gone & (leading | named))


def carried(row: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The verdict without what was removed, under the new version's name."""
    gone = _gone(row, change.removed or frozenset())
    left = 1 - sum(item["share"] for item in row["shares"] if item["sub_dataset"] in gone)
    ends = ("share", "low", "high")
    shares = [
        {**item, **{end: min(1.0, item[end] / left) for end in ends}}
        for item in row["shares"]
        if item["sub_dataset"] not in gone
    ]
    timeline = []
    for item in row["timeline"]:
        kept = {name: share for name, share in item["shares"].items() if name not in gone}
        total = sum(kept.values()) or 1.0
        timeline.append({**item, "shares": {name: s / total for name, s in kept.items()}})
    evidence = [e for e in row.get("evidence") or () if e.get("sub_dataset") not in gone]
    return {
        **row,
        "shares": shares,
        "unregistered": row["unregistered"] / left,
        "timeline": timeline,
        "evidence": evidence,
        "model": asdict(change.model),
        "carried_from": row.get("carried_from", change.since),
    }


def _gone(row: Mapping[str, Any], removed: frozenset[str]) -> set[str]:
    names = {item["sub_dataset"] for item in row["shares"]}
    return {name for name in names if name_hash(name) in removed}


def _shards(log: str, target: str, change: Change) -> Iterator[_Shard]:
    for number, (file, content) in enumerate(log_files(log)):
        rows = [json.loads(line) for line in content.splitlines() if line.strip()]
        for row in rows:
            if str(row["model"]["version"]) != change.since:
                raise SettlementError(
                    f"'{storage.shown(file)}' holds verdicts of version {row['model']['version']}, "
                    f"not {change.since}; name their version with --since"
                )
        removed = None if change.removed is None else sorted(change.removed)
        settings = (asdict(change.model), change.since, removed, change.least_share)
        name = f"part-{number:05d}.jsonl"
        yield _Shard(
            rows,
            [could_change(row, change) for row in rows],
            storage.join(target, name),
            storage.join(target, "difference", name),
            fingerprint(storage.sha256(content), *settings),
        )


def _texts(source: str | None, wanted: set[str]) -> dict[str, str]:
    """The wanted texts by their hash; an error where one is missing."""
    found: dict[str, str] = {}
    for row in open_source(source).rows() if source is not None and wanted else ():
        text = row.values.get("text")
        if isinstance(text, str):
            sha = storage.sha256(text.encode("utf-8", "replace"))
            if sha in wanted:
                found[sha] = text
    if missing := len(wanted - found.keys()):
        place = "at hand; name their source with --texts"
        raise SettlementError(
            f"{missing:,} of {len(wanted):,} texts whose verdicts could change are not "
            + (f"in '{storage.shown(source)}'" if source else place)
        )
    return found


@dataclass
class _Written:
    lines: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    changed: int = 0


def _publish(shard: _Shard, change: Change, texts: Mapping[str, str], score: Score) -> None:
    hit = [row for row, affected in zip(shard.rows, shard.affected) if affected]
    verdicts = iter(score([texts[row["text_sha256"]] for row in hit]))
    written = _Written()
    for row, affected in zip(shard.rows, shard.affected):
        if affected:
            after = {k: row[k] for k in _NAMES if k in row} | next(verdicts).to_dict()
            written.differences.append(_line(_difference(row, after, change)))
            written.changed += row["decision"] != after["decision"]
        else:
            after = carried(row, change)
        written.lines.append(_line(after))
    content = "".join(written.lines).encode()
    storage.write_bytes(shard.difference, "".join(written.differences).encode())
    storage.write_bytes(shard.target, content)
    facts = {
        "sha256": storage.sha256(content),
        "verdicts": len(shard.rows),
        "rescored": len(hit),
        "carried": len(shard.rows) - len(hit),
        "changed": written.changed,
    }
    mark(shard.target, shard.key, facts)


def _difference(row: Mapping[str, Any], after: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Before and after; of what was removed only how much it was."""
    gone = _gone(row, change.removed or frozenset())
    removed = sum(item["share"] for item in row["shares"] if item["sub_dataset"] in gone)
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


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
