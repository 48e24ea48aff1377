"""The score stage, shard by shard: a log of texts -> staged rows -> verdicts.

A log is cut into numbered rows first, so that every worker reads only its own, whatever the
format, and a re-run finds the same shards. The staged texts are deleted when all is done.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from copylens.config.schema import fingerprint
from copylens.corpus.quarantine import results_or_reasons
from copylens.corpus.sources.opening import open_source
from copylens.corpus.sources.rows import Row
from copylens.errors import CorpusError
from copylens.records import Verdict, name_of
from copylens.store import storage
from copylens.store.markers import facts_of, is_published, mark
from copylens.verdict.scorer import Scorer

SHARD_ROWS = 256


@dataclass(frozen=True)
class ScoreTask:
    """Staged rows to read, the verdicts to publish, and the key that pins both."""

    source: str
    sha256: str
    rows: int
    target: str
    key: str

    @property
    def done(self) -> bool:
        """True when the verdicts stand complete with this very key."""
        return is_published(self.target, self.key)


def plan_scores(source: str, target: str, model: str, shard_rows: int) -> list[ScoreTask]:
    """Cuts the log into shards unless that was done before; one task per shard, done ones too.

    Args:
        source: .jsonl[.gz] or .parquet with a `text` a row, a folder or a glob of them: any URI.
        target: folder or URI of the verdicts.
        model: the scorer's version; another one makes every verdict stale.

    Raises:
        CorpusError: nothing is there, it cannot be read, or it holds no row.
    """
    opened = open_source(source)
    identity = fingerprint(source, opened.identity(), shard_rows)
    staged = _staged(target, identity)
    tasks = _tasks(staged, target, model)
    if not tasks or not all(task.done or storage.exists(task.source) for task in tasks):
        staged = list(_stage(opened.rows(), target, shard_rows))
        if not staged:
            raise CorpusError(f"'{source}' holds no row; give at least one text")
        _drop_beyond(target, len(staged))
        storage.write_json(_stage_uri(target), {"identity": identity, "shards": staged})
        tasks = _tasks(staged, target, model)
    return tasks


class ShardScorer:
    """Turns staged rows into published verdicts."""

    def __init__(self, scorer: Scorer, evidence: bool = False):
        """Raises ModelError where evidence is wanted and the scorer has no index of it."""
        if evidence:
            scorer.evidence.require()
        self._scorer, self._evidence = scorer, evidence

    def __call__(self, task: ScoreTask) -> None:
        """Publishes one shard; a row that cannot be scored goes into the marker with its reason."""
        if task.done:
            return
        data = storage.read_bytes(task.source)
        if storage.sha256(data) != task.sha256:
            raise CorpusError(f"'{task.source}' is damaged; delete it and score again")
        rows = [json.loads(line) for line in data.splitlines()]
        good = [row for row in rows if not row["problem"]]
        verdicts = results_or_reasons(good, self._verdicts)
        lines, refused = [], [_refused(row, row["problem"]) for row in rows if row["problem"]]
        for row, verdict in zip(good, verdicts):
            if isinstance(verdict, str):
                refused.append(_refused(row, verdict))
                continue
            named = verdict.named(row["id"], row["document"])
            line = {"row": row["row"]} | named.to_dict()
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        content = "".join(lines).encode()
        storage.write_bytes(task.target, content)
        facts = {"rows": len(lines), "quarantined": refused, "sha256": storage.sha256(content)}
        mark(task.target, task.key, facts)

    def _verdicts(self, rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        texts = [row["text"] for row in rows]
        return self._scorer.verdicts(texts, evidence=self._evidence)


def finish_scores(target: str, tasks: Sequence[ScoreTask]) -> dict[str, int]:
    """Counts what was published, gathers the refused rows, deletes the staged texts.

    Returns:
        rows_in = verdicts + quarantined.
    """
    published = [facts for task in tasks if (facts := facts_of(task.target)) is not None]
    refused = [entry for facts in published for entry in facts["quarantined"]]
    counts = {
        "rows_in": sum(task.rows for task in tasks),
        "verdicts": sum(facts["rows"] for facts in published),
        "quarantined": len(refused),
    }
    assert counts["rows_in"] == counts["verdicts"] + counts["quarantined"], counts
    lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in refused)
    storage.write_bytes(storage.join(target, "quarantine", "rows.jsonl"), lines.encode())
    storage.remove_tree(storage.join(target, "input"))
    return counts


def _tasks(staged: Sequence[dict[str, Any]], target: str, model: str) -> list[ScoreTask]:
    return [
        ScoreTask(
            source=storage.join(target, "input", f"part-{number:05d}.jsonl"),
            sha256=shard["sha256"],
            rows=shard["rows"],
            target=storage.join(target, f"part-{number:05d}.jsonl"),
            key=fingerprint(model, shard["sha256"]),
        )
        for number, shard in enumerate(staged)
    ]


def _stage(rows: Iterator[Row], target: str, shard_rows: int) -> Iterator[dict[str, Any]]:
    """Writes the rows in shards, one in memory at a time; yields their sizes and hashes."""
    numbered = enumerate(rows, start=1)
    number = 0
    while part := list(islice(numbered, shard_rows)):
        lines = [json.dumps(_plain(n, row), ensure_ascii=False) + "\n" for n, row in part]
        data = "".join(lines).encode("utf-8", "surrogatepass")
        storage.write_bytes(storage.join(target, "input", f"part-{number:05d}.jsonl"), data)
        yield {"rows": len(part), "sha256": storage.sha256(data)}
        number += 1


def _drop_beyond(target: str, shards: int) -> None:
    """Verdicts of a longer log that stood here before would be taken for this one's."""
    for uri in storage.list_files(target, ""):
        number = re.fullmatch(r"part-(\d+)\.jsonl(\.done\.json)?", storage.name_of(uri))
        if number and int(number[1]) >= shards:
            storage.remove_file(uri)


def _plain(number: int, row: Row) -> dict[str, Any]:
    """What is kept of a row; `problem` says why it cannot be scored, "" if it can."""
    text, problem = row.values.get("text"), row.problem
    if not problem:
        problem = _text_problem(text)
    return {
        "row": number,
        "line": row.line,
        "file": row.file,
        "id": name_of(row.values.get("id")),
        "document": name_of(row.values.get("document")),
        "text": "" if problem else text,
        "problem": problem,
    }


def _text_problem(text: Any) -> str:
    if not isinstance(text, str):
        return "no_text: the row has no string `text`"
    if not text.strip():
        return "blank: the text is empty or blank"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "not_utf8: the text holds half of a surrogate pair"
    return ""


def _refused(row: dict[str, Any], problem: str) -> dict[str, Any]:
    kept = {key: row[key] for key in ("row", "file", "line", "id")}
    return kept | {"reason": problem}


def _staged(target: str, identity: str) -> list[dict[str, Any]]:
    uri = _stage_uri(target)
    if not storage.exists(uri):
        return []
    staged = storage.read_json(uri)
    return list(staged["shards"]) if staged["identity"] == identity else []


def _stage_uri(target: str) -> str:
    return storage.join(target, "input.json")
