"""The embed stage without a cluster: the read-out comes first, and the shards depend on it."""

from pathlib import Path

import numpy as np
import pytest

from copylens.corpus import ingest_corpus, load_manifest, read_shard, shard_uris
from copylens.errors import ConfigError, CorpusError, ModelError
from copylens.fit.networks import check_size, load_texts
from copylens.states import shards
from copylens.states.embed import (
    ShardEmbedder,
    fit_and_publish_readout,
    output_hash,
    plan,
    plan_readout,
    publish_quarantine,
    sample_passages,
)
from copylens.states.readout_files import load_readout, readout_sha256
from tests.pipeline_samples import tiny_config, write_corpus


@pytest.fixture
def config(tmp_path, lm_folder):
    write_corpus(tmp_path, per_class=20)
    config = tiny_config(tmp_path, lm_folder("gpt_neox"), **{"probe.readout_passages": 12})
    ingest_corpus(config)
    return config


def test_the_sample_does_not_depend_on_the_shards(config, tmp_path):
    corpus = config.corpus.model_copy(update={"shard_passages": 3})
    other = config.model_copy(update={"corpus": corpus, "output": str(tmp_path / "other")})
    ingest_corpus(other)
    assert len(shard_uris(other.output, "train")) > 2
    first, second = ([p.id for p in sample_passages(c)] for c in (config, other))
    assert first == second
    assert len(set(first)) == 12


def test_same_run_same_readout_and_same_shards(config):
    hashes = []
    for _ in range(2):
        task = plan_readout(config)
        fit_and_publish_readout(config, task)
        assert plan_readout(config).done
        tasks = plan(config)
        for item in tasks:
            ShardEmbedder(config)(item)
        hashes.append((readout_sha256(config.output), output_hash(tasks)))
    assert hashes[0] == hashes[1]
    states = shards.read_states(plan(config)[0].target)[0].states
    assert states.codes.shape == (len(states.values), 8)


def test_another_readout_makes_shards_stale(config):
    fit_and_publish_readout(config, plan_readout(config))
    before = [task.key for task in plan(config)]
    fewer = config.probe.model_copy(update={"readout_passages": 6})
    changed = config.model_copy(update={"probe": fewer})
    assert not plan_readout(changed).done
    fit_and_publish_readout(changed, plan_readout(changed))
    assert not set(before) & {task.key for task in plan(config)}


def test_without_a_readout_no_codes_are_made(config):
    off = config.model_copy(update={"probe": config.probe.model_copy(update={"readout": False})})
    assert plan_readout(off) is None
    task = plan(off)[0]
    ShardEmbedder(off)(task)
    assert shards.read_states(task.target)[0].states.codes.shape[1] == 0
    with pytest.raises(ModelError, match="run embed"):
        load_readout(off.output)


def test_a_bad_passage_goes_to_quarantine_and_costs_no_other(config, monkeypatch):
    fit_and_publish_readout(config, plan_readout(config))
    task = plan(config)[0]
    victim = read_shard(task.source)[3]
    embedder = ShardEmbedder(config)
    states = embedder._probe.states

    def failing(texts):
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
    loaded = load_texts(config.output, "train", names)
    assert len(loaded) == sum(t.passages for t in plan(config) if "/train/" in t.target) - 1
    assert victim.text not in loaded.texts
    assert publish_quarantine(config, plan(config)) == 1


def test_states_that_are_not_finite_are_refused(config, monkeypatch):
    fit_and_publish_readout(config, plan_readout(config))
    embedder = ShardEmbedder(config)
    states = embedder._probe.states

    def overflown(texts):
        first, *rest = states(texts)
        first.values[0, 0] = np.nan
        return [first, *rest]

    monkeypatch.setattr(embedder._probe, "states", overflown)
    task = plan(config)[0]
    assert "not finite" in embedder(task).quarantined[0].reason


def test_a_shard_that_was_published_meanwhile_is_left_alone(config, monkeypatch):
    fit_and_publish_readout(config, plan_readout(config))
    task = plan(config)[0]
    first = ShardEmbedder(config)(task)
    second = ShardEmbedder(config)
    monkeypatch.setattr(second._probe, "states", None)
    assert second(task) == first


def test_a_damaged_corpus_shard_is_named(config):
    fit_and_publish_readout(config, plan_readout(config))
    task = plan(config)[0]
    Path(task.source).write_bytes(Path(task.source).read_bytes()[:-3])
    with pytest.raises(CorpusError, match="is damaged"):
        ShardEmbedder(config)(task)


def test_more_passages_than_the_kernels_take_are_refused_at_once(config, monkeypatch):
    check_size(config)
    monkeypatch.setattr("copylens.fit.networks.MOST_PASSAGES", 10)
    with pytest.raises(ConfigError, match=r"at most 10; set corpus\.max_passages"):
        check_size(config)


def test_no_corpus_is_refused(tmp_path, lm_folder):
    with pytest.raises(CorpusError, match="ingest"):
        plan_readout(tiny_config(tmp_path, lm_folder("gpt_neox")))
