"""A corpus -> an evidence index: planned here, built shard by shard, published last.

Every sub-dataset has a folder of its own, built from its passages alone. So a new or changed one is
built without touching the others, a takedown deletes its folder, and the result does not depend on
the order in which sub-datasets were added: the same corpus gives the same bytes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from copylens.corpus import load_manifest, read_shard
from copylens.corpus.manifest import corpus_uri
from copylens.corpus.sampling import grouped
from copylens.errors import CopyLensError
from copylens.evidence.manifest import (
    EvidenceManifest,
    IndexedSubDataset,
    find_manifest,
    folder_name,
    write_manifest,
)
from copylens.evidence.shards import (
    arrays_key,
    arrays_uri,
    build_shard,
    shard_record,
    states_uri,
    write_passages,
)
from copylens.evidence.vectors import gather, vectors_key, write_vectors
from copylens.records import REGISTERED_SPLITS, Passage
from copylens.store import storage
from copylens.store.markers import is_published

FOLDER = "evidence"
MEAN_STATES = "mean_states"
"""Folder in an index where the mean states of each state shard lie until every index shard has
those of its own passages."""


@dataclass(frozen=True)
class ShardTask:
    """One shard whose passages are written: build its arrays."""

    sub_dataset: str
    folder: str
    name: str
    passages: int
    passages_sha256: str

    @property
    def done(self) -> bool:
        """True when the arrays stand complete, made from these very passages."""
        return is_published(arrays_uri(self.folder, self.name), arrays_key(self.passages_sha256))


def evidence_uri(output: str) -> str:
    """The index of a run."""
    return storage.join(output, FOLDER)


def registered_passages(output: str) -> list[Passage]:
    """All registered passages of a run's corpus, held-out ones too: they are registered although no
    model was fitted on them, and no measured figure depends on evidence.
    """
    shards = [s for s in load_manifest(output).shards if s.split in REGISTERED_SPLITS]
    return [p for s in shards for p in read_shard(corpus_uri(output, s.path), s.sha256)]


def plan_index(folder: str, passages: Iterable[Passage], part_passages: int) -> list[ShardTask]:
    """Writes each sub-dataset's passages in shards; one task per shard, done ones too."""
    by_name = grouped(passages, lambda passage: passage.sub_dataset)
    tasks = []
    for sub_dataset in sorted(by_name):
        # An order of its own, which depends on nothing else in the corpus, nor on the split.
        members = sorted(by_name[sub_dataset], key=lambda p: (p.split_group, p.id))
        place = storage.join(folder, folder_name(sub_dataset))
        for number, start in enumerate(range(0, len(members), part_passages)):
            some, name = members[start : start + part_passages], f"part-{number:05d}"
            sha256 = write_passages(place, name, some)
            tasks.append(ShardTask(sub_dataset, place, name, len(some), sha256))
    return tasks


def build_task(task: ShardTask) -> None:
    """Builds one shard, unless it is complete."""
    build_shard(task.folder, task.name, task.passages_sha256)


def lacks_vectors(tasks: Iterable[ShardTask], states: str) -> bool:
    """Whether a shard lacks the vectors of these states."""
    return any(
        not is_published(states_uri(t.folder, t.name), vectors_key(states, t.passages_sha256))
        for t in tasks
    )


def add_vectors(tasks: Iterable[ShardTask], states: str, mean_states: Sequence[str]) -> None:
    """Writes every shard's vectors, from the mean states of all state shards."""
    vectors = gather(mean_states)
    for task in tasks:
        write_vectors(task.folder, task.name, states, vectors)


def publish_index(
    folder: str,
    tasks: Iterable[ShardTask],
    corpus_manifest: str,
    part_passages: int,
    states: str = "",
) -> EvidenceManifest:
    """Writes the manifest once every shard is complete, and deletes what it no longer names.

    Args:
        corpus_manifest, part_passages, states: as in EvidenceManifest.
    """
    shards = grouped(tasks, lambda task: task.sub_dataset)
    entries = [
        IndexedSubDataset(
            name, folder_name(name), tuple(shard_record(t.folder, t.name) for t in shards[name])
        )
        for name in sorted(shards)
    ]
    before = find_manifest(folder)
    manifest = EvidenceManifest(tuple(entries), corpus_manifest, part_passages, states)
    write_manifest(folder, manifest)
    _delete_stale(folder, before, manifest)
    return manifest


def build_index(
    folder: str, passages: Iterable[Passage], part_passages: int = 16_000
) -> EvidenceManifest:
    """Builds, or brings up to date, an index in this process; what is complete is kept."""
    tasks = plan_index(folder, passages, part_passages)
    for task in tasks:
        build_task(task)
    return publish_index(folder, tasks, "", part_passages)


def remove(folder: str, sub_dataset: str, corpus_manifest: str = "") -> EvidenceManifest:
    """Takes a sub-dataset out of an index: first from the manifest, then its files.

    Args:
        corpus_manifest: hash of the corpus without it; "" where that is not known, so that the
            next `copylens index` compares all shards with the corpus.

    Raises:
        CopyLensError: there is no index, or it has no such sub-dataset.
    """
    manifest = find_manifest(folder)
    if manifest is None:
        raise CopyLensError(f"'{storage.shown(folder)}' holds no evidence index; nothing to remove")
    names = [entry.name for entry in manifest.sub_datasets]
    if sub_dataset not in names:
        raise CopyLensError(
            f"the evidence index has no sub-dataset '{sub_dataset}'; it has {', '.join(names)}"
        )
    left = tuple(entry for entry in manifest.sub_datasets if entry.name != sub_dataset)
    smaller = replace(manifest, sub_datasets=left, corpus_manifest=corpus_manifest)
    write_manifest(folder, smaller)
    remove_files(folder, sub_dataset)
    return smaller


def remove_files(folder: str, sub_dataset: str) -> None:
    """Its folder and the mean states, once the manifest no longer names them."""
    for name in (folder_name(sub_dataset), MEAN_STATES):
        storage.remove_tree(storage.join(folder, name))


def _delete_stale(folder: str, before: EvidenceManifest | None, manifest: EvidenceManifest) -> None:
    kept = {(entry.folder, shard.name) for entry in manifest.sub_datasets for shard in entry.shards}
    folders = {place for place, _ in kept}
    for entry in before.sub_datasets if before else ():
        place = storage.join(folder, entry.folder)
        if entry.folder not in folders:
            storage.remove_tree(place)
            continue
        gone = {shard.name for shard in entry.shards if (entry.folder, shard.name) not in kept}
        for uri in storage.list_files(place, ""):
            if storage.name_of(uri).partition(".")[0] in gone:
                storage.remove_file(uri)
