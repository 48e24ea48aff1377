"""The embed stage, shard by shard: what a worker does, on a laptop or on a cluster."""

from dataclasses import dataclass

from copylens import shards, storage
from copylens.config import RunConfig, fingerprint
from copylens.corpus import read_shard, shard_uris
from copylens.errors import CorpusError
from copylens.probe.lm import weight_hash
from copylens.probe.probe import Probe
from copylens.records import SPLITS, SplitName

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


def plan(config: RunConfig) -> list[EmbedTask]:
    """One task per corpus shard, complete ones included.

    Raises:
        CorpusError: the corpus has not been ingested.
        ProbeError: the LM is not there.
    """
    weights = weight_hash(config.probe)
    # Where the work is done does not change what is computed.
    settings = config.probe.model_dump(mode="json", exclude={"device", "batch_tokens"})
    tasks = []
    for split in _EMBEDDED:
        for source in shard_uris(config.output, split):
            target = shards.shard_uri(config.output, split, source)
            content = storage.sha256(storage.read_bytes(source))
            tasks.append(
                EmbedTask(source, target, fingerprint(settings, config.seed, weights, content))
            )
    if not tasks:
        raise CorpusError(f"'{config.output}' holds no corpus shards; run ingest first")
    return tasks


class ShardEmbedder:
    """Loads the LM once, then turns corpus shards into state shards."""

    def __init__(self, config: RunConfig):
        self._probe = Probe(config.probe, config.seed)

    def __call__(self, task: EmbedTask) -> int:
        """Publishes one state shard; returns the number of passages in it."""
        passages = read_shard(task.source)
        states = self._probe.states([passage.text for passage in passages])
        shards.publish(task.target, task.key, passages, states)
        return len(passages)


def output_hash(tasks: list[EmbedTask]) -> str:
    """Hash over all state shards' bytes: equal for equal runs."""
    return fingerprint(
        [[task.target.rsplit("/", 2)[1:], shards.published_sha256(task.target)] for task in tasks]
    )
