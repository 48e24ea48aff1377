"""Rescores a log after a takedown: verdicts that can change are scored again, others carried over.

A file of the log is a task, so that a killed call resumes and files can be processed in parallel.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from copylens.config.schema import fingerprint
from copylens.corpus.sources.opening import open_source
from copylens.errors import SettlementError
from copylens.records import Verdict
from copylens.settlement.log import log_files
from copylens.store import storage
from copylens.store.markers import facts_of, is_published, mark
from copylens.takedown.rescoring import Change, carried, could_change, difference

Score = Callable[[Sequence[str], bool], list[Verdict]]
"""Texts, and whether evidence is wanted -> one verdict a text."""


@dataclass(frozen=True)
class RescoreTask:
    """A file of the log and where its verdicts go; `asdict` is JSON.

    Attributes:
        source: the file.
        target, difference: of the new verdicts, and of what changed.
        key: hash of the file's content and of the change.
        verdicts: how many it holds.
        texts: of the verdicts that can change, by their hash; empty where the task is done.
        done: the new verdicts are published.
    """

    source: str
    target: str
    difference: str
    key: str
    verdicts: int
    texts: dict[str, str]
    done: bool


def rescore(
    log: str, target: str, change: Change, texts: str | None, score: Score
) -> dict[str, int]:
    """Plans and processes all files one after the other; returns counts; see `plan_rescoring`.

    Args:
        score: of the new version; called with the texts that can change and with no others.
    """
    tasks = plan_rescoring(log, target, change, texts)
    for task in tasks:
        rescore_file(task, change, score)
    return count_rescored(tasks)


def plan_rescoring(
    log: str, target: str, change: Change, texts: str | None
) -> tuple[RescoreTask, ...]:
    """One task a file: `target`/part-*.jsonl and `target`/difference/part-*.jsonl.

    Args:
        log: as `settlement.read_log` takes it.
        texts: where the texts of the log are (.jsonl[.gz], .parquet ...); needed if any verdict
            could change, since verdicts keep only their texts' hashes.

    Raises:
        SettlementError: a verdict is of another version, or texts are missing; nothing is written.
    """
    if storage.join(target, "x") == storage.join(log, "x"):
        raise SettlementError(
            "--output must be another folder than --log; delete the old log after"
        )
    planned = list(_files(log, target, change))
    found = _texts(texts, {sha for _, wanted in planned for sha in wanted})
    return tuple(
        replace(task, texts={sha: found[sha] for sha in wanted}) for task, wanted in planned
    )


def rescore_file(task: RescoreTask, change: Change, score: Score) -> None:
    """Publishes one file's new verdicts and what changed.

    Raises:
        SettlementError: the file has changed since it was planned.
    """
    if task.done:
        return
    ((_, content),) = log_files(task.source)
    if _key(content, change) != task.key:
        raise SettlementError(f"'{storage.shown(task.source)}' has changed meanwhile; ask again")
    rows = _rows(content)
    verdicts = _scored(rows, task, change, score)
    lines, differences, changed = [], [], 0
    for place, row in enumerate(rows):
        if place not in verdicts:
            lines.append(_line(carried(row, change)))
            continue
        named = verdicts[place].named(row.get("id"), row.get("document"))
        after = {key: row[key] for key in ("row",) if key in row} | named.to_dict()
        lines.append(_line(after))
        differences.append(_line(difference(row, after, change)))
        changed += row["decision"] != after["decision"]
    written = "".join(lines).encode()
    storage.write_bytes(task.difference, "".join(differences).encode())
    storage.write_bytes(task.target, written)
    hit = len(verdicts)
    counts = {"verdicts": len(rows), "rescored": hit, "carried": len(rows) - hit}
    mark(task.target, task.key, {"sha256": storage.sha256(written), **counts, "changed": changed})


def count_rescored(tasks: Sequence[RescoreTask]) -> dict[str, int]:
    """How many verdicts there are, were scored again and carried over, and how many decisions
    changed."""
    counts: Counter[str] = Counter()
    for task in tasks:
        facts = facts_of(task.target) or {}
        counts.update({key: facts[key] for key in ("verdicts", "rescored", "carried", "changed")})
    return dict(counts)


def _files(log: str, target: str, change: Change) -> Iterator[tuple[RescoreTask, set[str]]]:
    """Of each file the task without its texts, and the hashes of those that it needs."""
    for number, (source, content) in enumerate(log_files(log)):
        rows = _rows(content)
        for row in rows:
            if str(row["model"]["version"]) != change.since:
                raise SettlementError(
                    f"'{storage.shown(source)}' holds verdicts of version "
                    f"{row['model']['version']}, not {change.since}; name their version with "
                    "--since"
                )
        name, key = f"part-{number:05d}.jsonl", _key(content, change)
        place, changes = storage.join(target, name), storage.join(target, "difference", name)
        done = is_published(place, key)
        task = RescoreTask(source, place, changes, key, len(rows), {}, done)
        waiting = () if done else rows
        yield task, {row["text_sha256"] for row in waiting if could_change(row, change)}


def _scored(
    rows: Sequence[dict[str, Any]], task: RescoreTask, change: Change, score: Score
) -> dict[int, Verdict]:
    """The new verdicts by their place among the rows: of those that could change."""
    hit = [place for place, row in enumerate(rows) if could_change(row, change)]
    if not hit:
        return {}
    # A file whose verdicts have evidence keeps having it.
    evidence = any(row.get("evidence") is not None for row in rows)
    texts = [task.texts[rows[place]["text_sha256"]] for place in hit]
    return dict(zip(hit, score(texts, evidence), strict=True))


def _key(content: bytes, change: Change) -> str:
    return fingerprint(storage.sha256(content), change.to_dict())


def _rows(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines() if line.strip()]


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


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
