"""The embed stage without a cluster."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from copylens.corpus import ingest_corpus, load_manifest, read_shard
from copylens.errors import ConfigError, CorpusError
from copylens.fit.data import check_size, load_texts
from copylens.states import shards
from copylens.states.embed import ShardEmbedder, plan, publish_quarantine, shards_hash
from tests.pipeline_samples import tiny_config, write_corpus


@pytest.fixture
def config(tmp_path, lm_folder):
    write_corpus(tmp_path, per_class=20)
    config = tiny_config(tmp_path, lm_folder("gpt_neox"))
    ingest_corpus(config)
    return config


def test_same_run_same_shards(config):
    hashes = []
    for _ in range(2):
        tasks = plan(config)
        for task in tasks:
            ShardEmbedder(config)(task)
        hashes.append(shards_hash(tasks))
        shutil.rmtree(Path(config.output) / "states")
    assert hashes[0] == hashes[1]


def test_another_setting_makes_shards_stale(config):
    probe = config.probe.model_copy(update={"window": 4})
    changed = config.model_copy(update={"probe": probe})
    assert not {task.key for task in plan(config)} & {task.key for task in plan(changed)}


def test_a_bad_passage_goes_to_quarantine_and_costs_no_other(config, monkeypatch):
    task = plan(config)[0]
    victim = read_shard(task.source)[3]
    embedder = ShardEmbedder(config)
    states = embedder._probe.states

    def failing(texts, on_pass):
        if victim.text in texts:
            raise RuntimeError("CUDA out of memory")
        return states(texts)

    monkeypatch.setattr(embedder._probe, "states", failing)
    published = embedder(task)
    assert published.quarantined == (shards.Rejected(victim.id, "CUDA out of memory"),)
    assert published.rows == task.passages - 1
    monkeypatch.undo()
    for other in plan(config)[1:]:
        ShardEmbedder(config)(other)
    names = load_manifest(config.output).sub_datasets
    loaded = load_texts(config, "train", names)
    assert len(loaded) == sum(t.passages for t in plan(config) if "/train/" in t.target) - 1
    assert victim.text not in loaded.texts
    assert publish_quarantine(config, plan(config)) == 1


def test_states_that_are_not_finite_are_refused(config, monkeypatch):
    embedder = ShardEmbedder(config)
    states = embedder._probe.states

    def overflown(texts, on_pass):
        first, *rest = states(texts)
        first.values[0, 0] = np.nan
        return [first, *rest]

    monkeypatch.setattr(embedder._probe, "states", overflown)
    task = plan(config)[0]
    assert "not finite" in embedder(task).quarantined[0].reason


def test_a_shard_that_was_published_meanwhile_is_left_alone(config, monkeypatch):
    task = plan(config)[0]
    first = ShardEmbedder(config)(task)
    second = ShardEmbedder(config)
    monkeypatch.setattr(second._probe, "states", None)
    assert second(task) == first


def test_a_damaged_corpus_shard_is_named(config):
    task = plan(config)[0]
    Path(task.source).write_bytes(Path(task.source).read_bytes()[:-3])
    with pytest.raises(CorpusError, match="is damaged"):
        ShardEmbedder(config)(task)


def test_more_passages_than_the_kernels_take_are_refused_at_once(config, monkeypatch):
    check_size(config)
    monkeypatch.setattr("copylens.fit.data.MOST_PASSAGES", 10)
    with pytest.raises(ConfigError, match=r"at most 10; set corpus\.max_passages"):
        check_size(config)


def test_no_corpus_is_refused(tmp_path, lm_folder):
    with pytest.raises(CorpusError, match="ingest"):
        plan(tiny_config(tmp_path, lm_folder("gpt_neox")))
