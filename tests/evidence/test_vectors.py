"""Mean states of passages: from state shards to the second ranking of nearest passages."""

import numpy as np
import pytest

from copylens.evidence.building import (
    add_vectors,
    build_task,
    lacks_vectors,
    plan_index,
    publish_index,
    remove,
)
from copylens.evidence.index import EvidenceIndex
from copylens.evidence.vectors import publish_mean_states
from copylens.records import States
from copylens.states import shards
from tests.evidence.evidence_samples import corpus, files

W, F = 6, 40


def states_of(direction: np.ndarray, rng: np.random.Generator) -> States:
    """Six windows around a direction."""
    return States(
        values=(direction + 0.5 * rng.standard_normal((W, F))).astype(np.float16),
        spans=np.zeros((W, 2), np.int32),
        tokens=W * 16,
    )


@pytest.fixture
def embedded(tmp_path):
    """(folder, directions): an index with vectors; all passages but one have states."""
    rng = np.random.default_rng(1)
    passages = corpus(each=8)
    directions = {p.id: rng.standard_normal(F) for p in passages}
    folder, mean_states = str(tmp_path / "index"), []
    for number, start in enumerate(range(0, len(passages) - 1, 6)):
        some = passages[start : min(start + 6, len(passages) - 1)]
        uri = str(tmp_path / f"part-{number}.parquet")
        shards.publish(uri, "key", some, [states_of(directions[p.id], rng) for p in some])
        mean_states.append(str(tmp_path / "mean_states" / f"{number}.safetensors"))
        assert publish_mean_states(uri, mean_states[-1]) == len(some)
    tasks = plan_index(folder, passages, 5)
    for task in tasks:
        build_task(task)
    assert lacks_vectors(tasks, "embed-1")
    add_vectors(tasks, "embed-1", mean_states)
    assert not lacks_vectors(tasks, "embed-1") and lacks_vectors(tasks, "embed-2")
    publish_index(folder, tasks, "", 5, "embed-1")
    return folder, directions


def test_states_find_their_passage_where_words_say_nothing(embedded):
    folder, directions = embedded
    index = EvidenceIndex.open(folder)
    rng = np.random.default_rng(2)
    last = corpus(each=8)[-1].id
    for id, direction in directions.items():
        found = index.nearest("unheard words", states_of(direction, rng).values)
        assert (found[0].passage_id == id) == (id != last)
        assert last not in {item.passage_id for item in found}
    assert index.nearest("unheard words") == []


def test_both_rankings_count(embedded):
    folder, directions = embedded
    index = EvidenceIndex.open(folder)
    one, other = corpus(each=8)[3], corpus(each=8)[12]
    states = states_of(directions[other.id], np.random.default_rng(3)).values
    items = index.nearest(one.text, states)
    assert {item.passage_id for item in items[:2]} == {one.id, other.id}
    both = index.nearest(other.text, states)[0]
    assert both.passage_id == other.id and both.score == pytest.approx(2 / 61)


def test_vectors_go_with_their_sub_dataset(embedded, tmp_path):
    folder, _ = embedded
    before = files(tmp_path / "index")
    remove(folder, "beta")
    left = files(tmp_path / "index")
    assert set(left) == {name for name in before if not name.startswith("beta-")}
    assert all(left[name] == before[name] for name in left if name != "manifest.json")
    assert EvidenceIndex.open(folder).manifest.states == "embed-1"


def test_an_index_without_states_takes_no_notice_of_vectors_that_are_left(embedded):
    folder, directions = embedded
    tasks = plan_index(folder, corpus(each=8), 5)
    publish_index(folder, tasks, "", 5)
    values = states_of(next(iter(directions.values())), np.random.default_rng(4)).values
    assert EvidenceIndex.open(folder).nearest("unheard words", values) == []
