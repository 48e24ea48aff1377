"""The embed stage, shard by shard: what a worker does, on a laptop or on a cluster."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from copylens.config.schema import RunConfig, fingerprint
from copylens.corpus import corpus_uri, load_manifest, read_shard
from copylens.corpus.quarantine import results_or_reasons
from copylens.probe.loading.identity import lm_hash
from copylens.probe.probe import OnPass, Probe, ignore_pass
from copylens.records import SPLITS, Passage, SplitName, States
from copylens.states import shards
from copylens.states.memory import bound_caches, release_memory
from copylens.states.sample import Sample
from copylens.store import storage
from copylens.store.markers import is_published

# Of the background only the words are used.
_EMBEDDED: tuple[SplitName, ...] = tuple(split for split in SPLITS if split != "background")


@dataclass(frozen=True)
class EmbedTask:
    """One corpus shard to read, the state shard to publish, and the key that pins both.

    Attributes:
        name: of the shard in the corpus, `split/part-NNNNN.parquet`.
        split: of its passages.
        sha256: of the corpus shard's bytes, by the manifest.
        passages: how many it holds.
        characters: that are to be read, about.
    """

    name: str
    split: SplitName
    source: str
    sha256: str
    passages: int
    characters: int
    target: str
    key: str

    @property
    def done(self) -> bool:
        """True when the state shard stands complete with this very key."""
        return is_published(self.target, self.key)


def plan(config: RunConfig) -> list[EmbedTask]:
    """One task per corpus shard, complete ones included.

    Raises:
        CorpusError: the corpus has not been ingested.
        ProbeError: the LM is not there.
    """
    pinned, sample = pinned_by(config), Sample.of(config)
    tasks = []
    for shard in load_manifest(config.output).shards:
        if shard.split in _EMBEDDED:
            drawn = shard.split == "train" and bool(sample.parts)
            source = corpus_uri(config.output, shard.path)
            task = EmbedTask(
                name=shard.path,
                split=shard.split,
                source=source,
                sha256=shard.sha256,
                passages=shard.passages,
                characters=round(shard.characters * (sample.share if drawn else 1)),
                target=shards.shard_uri(config.output, shard.split, source),
                key=fingerprint(pinned, shard.sha256, *([sample.parts] if drawn else [])),
            )
            tasks.append(task)
    return tasks


def pinned_by(config: RunConfig) -> str:
    """Fingerprint of all that states depend on besides the texts."""
    # Where the work is done does not change what is computed.
    settings = config.probe.model_dump(
        mode="json", exclude={"device", "batch_tokens", "max_passages"}
    )
    return fingerprint(settings, config.seed, lm_hash(config.probe))


class ShardEmbedder:
    """Loads the LM once, then turns corpus shards into state shards."""

    def __init__(self, config: RunConfig, on_pass: OnPass = ignore_pass):
        """`on_pass`: see `Probe.states`."""
        bound_caches()
        self._probe = Probe(config.probe, config.seed)
        self._sample = Sample.of(config)
        self._on_pass = on_pass

    def __call__(self, task: EmbedTask) -> shards.Published:
        """Publishes one state shard; one that was published meanwhile is left as it is.

        A passage that cannot be read goes to quarantine, with its reason, in the shard's marker.

        Raises:
            CorpusError: the corpus shard is damaged.
        """
        if task.done:
            return shards.published(task.target)
        held = read_shard(task.source, task.sha256)
        passages = [passage for passage in held if self._sample.reads(task.split, passage)]
        read = results_or_reasons(
            passages, lambda some: self._probe.states([p.text for p in some], self._on_pass)
        )
        results = [_checked(*pair) for pair in zip(passages, read)]
        kept = [(p, r) for p, r in zip(passages, results) if isinstance(r, States)]
        refused = [r for r in results if isinstance(r, shards.Rejected)]
        done = shards.publish(
            task.target,
            task.key,
            [p for p, _ in kept],
            [r for _, r in kept],
            refused,
            unread=len(held) - len(passages),
            layers=self._probe.layers,
            depth=len(self._probe.lm.architecture.blocks),
        )
        release_memory()
        return done


def _checked(passage: Passage, read: States | str) -> States | shards.Rejected:
    if isinstance(read, str):
        return shards.Rejected(passage.id, read)
    if np.isfinite(read.values).all():
        return read
    return shards.Rejected(passage.id, "the LM's states are not finite; try probe.dtype=float32")


def publish_quarantine(config: RunConfig, tasks: Sequence[EmbedTask]) -> int:
    """Gathers what the shards refused in `<output>/states/quarantine.jsonl`; how many there are."""
    refused = [
        {"shard": task.name, **asdict(item)}
        for task in tasks
        for item in shards.published(task.target).quarantined
    ]
    lines = [json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n" for entry in refused]
    storage.write_bytes(
        storage.join(config.output, "states", "quarantine.jsonl"), "".join(lines).encode()
    )
    return len(refused)


def shards_hash(tasks: Sequence[EmbedTask]) -> str:
    """Hash over all state shards' bytes: equal for equal runs."""
    return fingerprint([[task.name, shards.published(task.target).sha256] for task in tasks])
