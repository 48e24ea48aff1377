"""Mean states of passages: the second ranking of nearest passages, where states exist.

A passage's states are averaged over its windows and projected at random to 64 dimensions, which
keeps angles well enough to rank by (Johnson-Lindenstrauss) and needs no fit, so that a passage's
vector depends on itself and on the LM alone. The mean over all passages is subtracted when an index
is opened.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from copylens.config.schema import fingerprint
from copylens.evidence.shards import IndexShardRecord, passage_ids, passages_uri, states_uri
from copylens.records import FloatArray
from copylens.states.shards import read_states
from copylens.store import storage
from copylens.store.markers import facts_of, is_published, mark

WIDTH = 64

Vectors = npt.NDArray[np.float16]


def mean_state(values: FloatArray) -> Vectors:
    """[W, F] states of one text -> its vector, [WIDTH]."""
    mean = values.astype(np.float32).mean(axis=0)
    return np.asarray((mean @ _projection(len(mean))).astype(np.float16))


def publish_mean_states(source: str, target: str) -> int:
    """Vectors of one state shard, published beside the index until all are there.

    Returns:
        Passages of the shard.
    """
    from safetensors.numpy import save

    state = facts_of(source)
    assert state is not None
    key = fingerprint("mean states", WIDTH, state["sha256"])
    if not is_published(target, key):
        rows = [row for row in read_states(source) if len(row.states.values)]
        vectors = [mean_state(row.states.values) for row in rows]
        data = save({"vectors": np.array(vectors, dtype=np.float16).reshape(-1, WIDTH)})
        storage.write_bytes(target, data)
        mark(target, key, {"ids": [row.id for row in rows]})
    return int(state["rows"])


def gather(mean_states: Sequence[str]) -> dict[str, Vectors]:
    """Passage id -> vector, from what `publish_mean_states` left of each state shard."""
    from safetensors.numpy import load

    found: dict[str, Vectors] = {}
    for uri in mean_states:
        facts = facts_of(uri)
        assert facts is not None
        found |= dict(zip(facts["ids"], load(storage.read_bytes(uri))["vectors"], strict=True))
    return found


def write_vectors(folder: str, name: str, states: str, vectors: Mapping[str, Vectors]) -> None:
    """Publishes the vectors of a shard's passages, in their order; NaN where there is none.

    Args:
        states: hash of what embed left.
    """
    from safetensors.numpy import save

    uri = states_uri(folder, name)
    passages = facts_of(passages_uri(folder, name))
    assert passages is not None
    none = np.full(WIDTH, np.nan, dtype=np.float16)
    rows = np.array([vectors.get(id, none) for id in passage_ids(folder, name)])
    data = save({"vectors": np.ascontiguousarray(rows.reshape(-1, WIDTH))})
    storage.write_bytes(uri, data)
    facts = {"sha256": storage.sha256(data), "bytes": len(data)}
    mark(uri, vectors_key(states, passages["key"]), facts)


def vectors_key(states: str, passages_sha256: str) -> str:
    """The key of a shard's vectors."""
    return fingerprint("vectors", WIDTH, states, passages_sha256)


def has_vectors(records: Sequence[IndexShardRecord]) -> bool:
    """Whether every shard has vectors; without all of them passages could not be compared."""
    return bool(records) and all(record.states_sha256 for record in records)


class VectorRanking:
    """The vectors of all passages of an index, centred and scaled."""

    def __init__(self, shards: Sequence[Vectors]):
        vectors = np.concatenate(shards).astype(np.float32)
        known = ~np.isnan(vectors).any(axis=1)
        some = vectors[known] if known.any() else np.zeros((1, WIDTH), np.float32)
        self._mean, self._spread = some.mean(axis=0), np.maximum(some.std(axis=0), 1e-6)
        self._unit = np.zeros_like(vectors)
        self._unit[known] = self._normal(vectors[known])

    def scores(self, states: FloatArray) -> FloatArray:
        """[all passages] cosine to the mean state of a text; 0 where a passage has no vector.

        Args:
            states: [W, F] of the text, from the probe that embedded the passages.
        """
        query = self._normal(mean_state(states).astype(np.float32)[None])
        return np.asarray(self._unit @ query[0])

    def _normal(self, vectors: FloatArray) -> FloatArray:
        scaled = (vectors - self._mean) / self._spread
        norm = np.linalg.norm(scaled, axis=1, keepdims=True)
        return np.asarray(scaled / np.maximum(norm, 1e-6), dtype=np.float32)


@lru_cache(maxsize=4)
def _projection(features: int) -> FloatArray:
    """[F, WIDTH], the same everywhere."""
    drawn = np.random.default_rng(0).standard_normal((features, WIDTH))
    return np.asarray(drawn / np.sqrt(features), dtype=np.float32)
