"""Removes a sub-dataset from the corpus and states of a run, shard by shard, in place.

Every step is idempotent: repeated after a kill it gives the same result.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

from copylens.config.schema import RunConfig
from copylens.corpus import corpus_uri, load_manifest, read_shard
from copylens.corpus.manifest import MANIFEST, Manifest, ShardRecord
from copylens.corpus.publish import QUARANTINE, encode
from copylens.records import Passage
from copylens.states import shards
from copylens.states.embed import EmbedTask, plan, publish_quarantine, shards_hash
from copylens.store import storage
from copylens.takedown.scrub import names_place


def corpus_without(output: str, sub_dataset: str) -> Manifest:
    """Removes its passages from every shard, its entries from manifest and quarantine."""
    manifest = load_manifest(output)
    if sub_dataset not in manifest.sub_datasets:
        return manifest
    kept = {record: _kept(output, record, sub_dataset) for record in manifest.shards}
    records = tuple(_rewritten(output, record, passages) for record, passages in kept.items())
    smaller = _smaller(manifest, sub_dataset, tuple(r for r in records if r is not None))
    _clean_quarantine(output, sub_dataset)
    storage.write_json(corpus_uri(output, MANIFEST), smaller.to_dict())
    for record, new in zip(manifest.shards, records):
        if new is None and storage.exists(corpus_uri(output, record.path)):
            storage.remove_file(corpus_uri(output, record.path))
    return smaller


def states_without(config: RunConfig) -> str:
    """Removes states of passages that left the corpus; returns the hash that embed would give.

    Raises:
        ModelError: a state shard is damaged; embed makes it again.
    """
    tasks = plan(config)
    for task in tasks:
        if not task.done:
            _shrink(task)
    publish_quarantine(config, tasks)
    _drop_orphans(config.output, tasks)
    return shards_hash(tasks)


def _kept(output: str, record: ShardRecord, sub_dataset: str) -> list[Passage]:
    uri = corpus_uri(output, record.path)
    # A killed takedown may have deleted the shard, or written it, before the manifest.
    passages = read_shard(uri) if storage.exists(uri) else []
    return [passage for passage in passages if passage.sub_dataset != sub_dataset]


def _rewritten(output: str, record: ShardRecord, passages: list[Passage]) -> ShardRecord | None:
    if not passages:
        return None
    if len(passages) == record.passages:
        return record
    data = encode(passages)
    storage.write_bytes(corpus_uri(output, record.path), data)
    return replace(record, passages=len(passages), sha256=storage.sha256(data))


def _smaller(manifest: Manifest, sub_dataset: str, records: tuple[ShardRecord, ...]) -> Manifest:
    left: Mapping[str, Mapping[str, int]] = {
        name: counts for name, counts in manifest.by_sub_dataset.items() if name != sub_dataset
    }
    gone = manifest.counts.passages - sum(record.passages for record in records)
    return replace(
        manifest,
        sub_datasets=tuple(name for name in manifest.sub_datasets if name != sub_dataset),
        rights=tuple(item for item in manifest.rights if item.sub_dataset != sub_dataset),
        by_sub_dataset=left,
        # Rows are counted as they were read; passages as they stand now.
        counts=replace(
            manifest.counts,
            passages=manifest.counts.passages - gone,
            passages_cut=manifest.counts.passages_cut - gone,
        ),
        sources=tuple(s for s in manifest.sources if not names_place(s.uri, sub_dataset)),
        shards=records,
    )


def _clean_quarantine(output: str, sub_dataset: str) -> None:
    """Quarantined rows have no sub-dataset: every row that mentions the name is removed."""
    uri = corpus_uri(output, QUARANTINE)
    if not storage.exists(uri):
        return
    lines = storage.read_bytes(uri).decode().splitlines(keepends=True)
    named = json.dumps(sub_dataset)[1:-1]
    storage.write_bytes(uri, "".join(line for line in lines if named not in line).encode())


def _shrink(task: EmbedTask) -> None:
    passages = {passage.id: passage for passage in read_shard(task.source, task.sha256)}
    rows = [row for row in shards.read_states(task.target) if row.id in passages]
    before = shards.published(task.target)
    refused = [item for item in before.quarantined if item.id in passages]
    kept = [passages[row.id] for row in rows]
    shards.publish(
        task.target,
        task.key,
        kept,
        [row.states for row in rows],
        refused,
        unread=len(passages) - len(kept) - len(refused),
        layers=before.layers,
        depth=before.depth,
    )


def _drop_orphans(output: str, tasks: list[EmbedTask]) -> None:
    """State shards whose corpus shard is gone."""
    live = {task.target for task in tasks}
    for folder in {target.rpartition("/")[0] for target in live}:
        for uri in storage.list_files(folder, ".parquet"):
            if uri not in live:
                storage.remove_file(uri)
                storage.remove_file(storage.beside(uri, ".done.json"))
