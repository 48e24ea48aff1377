"""States of texts that are no passages of the corpus: shards of their own while they are read."""

from collections.abc import Sequence

from copylens.config.schema import RunConfig, fingerprint
from copylens.corpus.publish import encode
from copylens.errors import ModelError
from copylens.records import Passage, SplitName, States
from copylens.states.embed import EmbedTask, pinned_by
from copylens.states.shards import published, read_states
from copylens.store import storage

JOINED = "joined"
"""The folder of a run where texts joined of passages lie while they are read."""
# Each worker has to load the LM first: a few hundred texts are not worth many.
_SHARD_TEXTS = 200
_SPLIT: SplitName = "val"


def plan_texts(config: RunConfig, folder: str, texts: Sequence[str]) -> list[EmbedTask]:
    """Writes the texts as shards to a folder; one task per shard, complete ones included."""
    key = pinned_by(config)
    tasks = []
    for number, start in enumerate(range(0, len(texts), _SHARD_TEXTS)):
        some = texts[start : start + _SHARD_TEXTS]
        data = encode([_passage(start + place, text) for place, text in enumerate(some)])
        name = f"part-{number:05d}"
        source = storage.join(folder, f"{name}.texts.parquet")
        storage.write_bytes(source, data)
        digest = storage.sha256(data)
        tasks.append(
            EmbedTask(
                name=name,
                split=_SPLIT,
                source=source,
                sha256=digest,
                passages=len(some),
                characters=sum(map(len, some)),
                target=storage.join(folder, f"{name}.parquet"),
                key=fingerprint(key, digest),
            )
        )
    return tasks


def states_of(tasks: Sequence[EmbedTask]) -> list[States]:
    """The states of all texts, in order.

    Raises:
        ModelError: the LM could not read one of them.
    """
    for task in tasks:
        for refused in published(task.target).quarantined:
            raise ModelError(f"a text joined of val passages cannot be read: {refused.reason}")
    return [row.states for task in tasks for row in read_states(task.target)]


def _passage(number: int, text: str) -> Passage:
    return Passage(f"{number:06d}", text, "", "", "", "", "", "", _SPLIT)
