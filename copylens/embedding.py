"""The embed stage, shard by shard: what a worker does, on a laptop or on a cluster."""

import hashlib
import heapq
from dataclasses import dataclass

from copylens import shards, storage
from copylens.config import RunConfig, fingerprint
from copylens.corpus import read_shard, shard_uris
from copylens.errors import CorpusError
from copylens.probe.lm import weight_hash
from copylens.probe.probe import Probe
from copylens.probe.readout_fit import fit_readout
from copylens.readout_files import (
    load_readout,
    publish_readout,
    readout_is_published,
    readout_sha256,
)
from copylens.records import SPLITS, Passage, SplitName

# Of the background only the words are used.
_EMBEDDED: tuple[SplitName, ...] = tuple(split for split in SPLITS if split != "background")


@dataclass(frozen=True)
class EmbedTask:
    """One corpus shard to read, the state shard to publish, and the key that pins both."""

    source: str
    target: str
    key: str

    @property
    def done(self) -> bool:
        """True when the state shard stands complete with this very key."""
        return shards.is_published(self.target, self.key)


@dataclass(frozen=True)
class ReadOutTask:
    """The read-out to fit before any shard is embedded, and the key that pins it."""

    output: str
    key: str

    @property
    def done(self) -> bool:
        """True when the read-out stands complete with this very key."""
        return readout_is_published(self.output, self.key)


def plan_readout(config: RunConfig) -> ReadOutTask | None:
    """What to fit; None where the read-out is off.

    Raises:
        CorpusError: the corpus has not been ingested.
        ProbeError: the LM is not there.
    """
    if not config.probe.readout:
        return None
    sources = shard_uris(config.output, "train")
    if not sources:
        raise CorpusError(f"'{config.output}' holds no corpus shards; run ingest first")
    contents = [storage.sha256(storage.read_bytes(source)) for source in sources]
    return ReadOutTask(config.output, fingerprint(*_settings(config), contents))


def fit_and_publish_readout(config: RunConfig, task: ReadOutTask) -> None:
    """Fits the read-out on a sample of the train split, once per run."""
    texts = [passage.text for passage in sample_passages(config)]
    publish_readout(
        task.output, task.key, fit_readout(Probe(config.probe, config.seed), texts, config.seed)
    )


def sample_passages(config: RunConfig) -> list[Passage]:
    """A random sample of train, the same however it is sharded; one shard in memory at a time."""

    def draw(passage: Passage) -> bytes:
        return hashlib.sha256(f"{config.seed}:{passage.id}".encode()).digest()

    sources = shard_uris(config.output, "train")
    passages = (passage for source in sources for passage in read_shard(source))
    return heapq.nsmallest(config.probe.readout_passages, passages, key=draw)


def plan(config: RunConfig) -> list[EmbedTask]:
    """One task per corpus shard, complete ones included. The read-out comes first.

    Raises:
        CorpusError: the corpus has not been ingested.
        ProbeError: the LM is not there.
    """
    settings = _settings(config)
    readout = readout_sha256(config.output) if config.probe.readout else ""
    tasks = []
    for split in _EMBEDDED:
        for source in shard_uris(config.output, split):
            target = shards.shard_uri(config.output, split, source)
            content = storage.sha256(storage.read_bytes(source))
            tasks.append(EmbedTask(source, target, fingerprint(*settings, readout, content)))
    if not tasks:
        raise CorpusError(f"'{config.output}' holds no corpus shards; run ingest first")
    return tasks


class ShardEmbedder:
    """Loads the LM once, then turns corpus shards into state shards."""

    def __init__(self, config: RunConfig):
        readout = load_readout(config.output) if config.probe.readout else None
        self._probe = Probe(config.probe, config.seed, readout=readout)

    def __call__(self, task: EmbedTask) -> int:
        """Publishes one state shard; returns the number of passages in it."""
        passages = read_shard(task.source)
        states = self._probe.states([passage.text for passage in passages])
        shards.publish(task.target, task.key, passages, states)
        return len(passages)


def _settings(config: RunConfig) -> tuple[dict[str, object], int, str]:
    """What states depend on besides the texts: settings, seed, the LM's weights."""
    # Where the work is done does not change what is computed.
    settings = config.probe.model_dump(mode="json", exclude={"device", "batch_tokens"})
    return settings, config.seed, weight_hash(config.probe)


def output_hash(tasks: list[EmbedTask]) -> str:
    """Hash over all state shards' bytes: equal for equal runs."""
    return fingerprint(
        [[task.target.rsplit("/", 2)[1:], shards.published_sha256(task.target)] for task in tasks]
    )
