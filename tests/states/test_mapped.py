"""Mapped states equal the published ones, and cost no memory of their own."""

import numpy as np
import pytest

from copylens.errors import ModelError
from copylens.records import Passage, States
from copylens.states import shards
from copylens.states.mapped import map_states


def publish(folder, counts, width=5):
    generator = np.random.default_rng(1)
    uris = []
    for number, count in enumerate(counts):
        passages, states = [], []
        for i in range(count):
            W = int(generator.integers(1, 6))
            name = f"{number}-{i}"
            passages.append(Passage(name, "text", "a", "H", "L", "T", "U", name, "train"))
            states.append(
                States(
                    generator.normal(size=(W, width)).astype(np.float16),
                    np.arange(2 * W, dtype=np.int32).reshape(W, 2),
                    7 * W,
                )
            )
        uris.append(str(folder / f"part-{number:05d}.parquet"))
        shards.publish(uris[-1], "k", passages, states)
    return uris


def test_the_same_arrays_in_the_same_order(tmp_path):
    uris = publish(tmp_path, (3, 0, 5))
    expected = [row for uri in uris for row in shards.read_states(uri)]
    mapped = map_states(uris)
    assert [row.id for row in mapped] == [row.id for row in expected]
    for row, other in zip(mapped, expected):
        assert row.states.tokens == other.states.tokens
        for name in ("values", "spans"):
            got, want = getattr(row.states, name), getattr(other.states, name)
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)


def test_nothing_gives_nothing(tmp_path):
    assert map_states([]) == []
    assert map_states(publish(tmp_path, (0,))) == []


def test_views_cannot_be_written(tmp_path):
    row = map_states(publish(tmp_path, (1,)))[0]
    with pytest.raises(ValueError, match="read-only"):
        row.states.values[0, 0] = 1


def test_a_missing_shard_is_named(tmp_path):
    with pytest.raises(ModelError, match="missing; run embed"):
        map_states([str(tmp_path / "part-00000.parquet")])


def test_the_arrays_lie_on_disk_not_in_memory(tmp_path):
    """What Python allocates while 40 MB of states are mapped stays far below them."""
    import tracemalloc

    uris = publish(tmp_path, (40,) * 20, width=8000)
    tracemalloc.start()
    rows = map_states(uris)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    total = sum(row.states.values.nbytes for row in rows)
    assert total > 30e6
    assert held < total / 10
