"""State shards: what goes in comes out, published last, damage noticed."""

from pathlib import Path

import numpy as np
import pytest

from copylens.errors import CopyLensError, ModelError
from copylens.records import Passage, States
from copylens.states import shards
from copylens.store import storage
from copylens.store.markers import is_published


def sample(count: int):
    generator = np.random.default_rng(0)
    passages, states = [], []
    for i in range(count):
        W = 1 + i % 4
        passages.append(Passage(f"id{i}", "text", "a", "H", "L", "T", "U", f"g{i % 2}", "train"))
        states.append(
            States(
                generator.normal(size=(W, 5)).astype(np.float16),
                np.arange(2 * W, dtype=np.int32).reshape(W, 2),
                7 * W,
            )
        )
    return passages, states


def test_round_trip(tmp_path):
    passages, states = sample(6)
    uri = str(tmp_path / "states" / "train" / "part-00000.parquet")
    assert not is_published(uri, "k")
    shards.publish(uri, "k", passages, states)
    assert is_published(uri, "k")
    assert not is_published(uri, "other")
    rows = shards.read_states(uri)
    assert [row.id for row in rows] == [p.id for p in passages]
    for row, expected in zip(rows, states):
        # Half a step of 1/127 of a feature's largest value, and what fp16 rounds.
        step = np.abs(np.concatenate([s.values for s in states])).max(axis=0) / 127
        assert (np.abs(row.states.values - expected.values) <= 0.51 * step + 2e-3).all()
        np.testing.assert_array_equal(row.states.spans, expected.spans)
        assert row.states.tokens == expected.tokens


def test_same_input_same_bytes(tmp_path):
    for name in ("a", "b"):
        shards.publish(str(tmp_path / f"{name}.parquet"), "k", *sample(4))
    first, second = (Path(tmp_path / f"{n}.parquet").read_bytes() for n in ("a", "b"))
    assert first == second
    assert shards.published(str(tmp_path / "a.parquet")).sha256 == storage.sha256(first)


def test_a_shard_without_its_marker_does_not_count(tmp_path):
    uri = str(tmp_path / "x.parquet")
    shards.publish(uri, "k", *sample(2))
    Path(f"{uri}.done.json").unlink()
    assert not is_published(uri, "k")


@pytest.mark.parametrize("damage", ["one bit", "cut short", "made longer", "empty"])
def test_a_damaged_shard_is_named(tmp_path, damage):
    uri = str(tmp_path / "x.parquet")
    shards.publish(uri, "k", *sample(2))
    data = Path(uri).read_bytes()
    damaged = {
        "one bit": data[:20] + bytes([data[20] ^ 1]) + data[21:],
        "cut short": data[:-10],
        "made longer": data + b"\0",
        "empty": b"",
    }
    Path(uri).write_bytes(damaged[damage])
    with pytest.raises(ModelError, match=f"{uri}.* is damaged; delete it"):
        shards.read_states(uri)


def test_storage_by_uri_and_by_path_are_the_same(tmp_path):
    storage.write_json(f"file://{tmp_path}/a/b.json", {"z": 1, "a": "é"})
    assert storage.read_json(str(tmp_path / "a" / "b.json")) == {"z": 1, "a": "é"}
    assert storage.list_files(str(tmp_path / "a"), ".json") == [str(tmp_path / "a" / "b.json")]
    assert storage.list_files(str(tmp_path / "nowhere"), ".json") == []
    assert not [p for p in (tmp_path / "a").iterdir() if p.suffix == ".tmp"]
    storage.remove_tree(str(tmp_path / "a"))
    assert not storage.exists(str(tmp_path / "a"))
    with pytest.raises(CopyLensError, match="no usable location"):
        storage.resolve("nonsense://x")
