"""Which training passages the LM reads, and that everything else stays as it is."""

import numpy as np
import pytest

from copylens.corpus import ingest_corpus, load_manifest, read_split
from copylens.fit.data import load_texts
from copylens.records import SPLITS
from copylens.states.embed import ShardEmbedder, plan
from copylens.states.sample import Sample
from copylens.states.shards import published
from copylens.takedown.data import corpus_without, states_without
from tests.pipeline_samples import tiny_config, write_corpus

MOST, PER_CLASS = 20, 100
EMBEDDED = tuple(split for split in SPLITS if split != "background")


def embedded(config):
    embedder = ShardEmbedder(config)
    return [embedder(task) for task in plan(config)]


@pytest.fixture(scope="module")
def configs(tmp_path_factory, lm_folder):
    """The same corpus, read as a whole and in part."""
    found = []
    for most in (None, MOST):
        folder = tmp_path_factory.mktemp("sample")
        write_corpus(folder, per_class=PER_CLASS)
        config = tiny_config(folder, lm_folder("gpt_neox"), **{"probe.max_passages": most})
        ingest_corpus(config)
        embedded(config)
        found.append(config)
    return found


def test_about_so_many_of_each_sub_dataset_are_read_and_all_that_is_not_for_training(configs):
    whole, part = configs
    names = load_manifest(part.output).sub_datasets
    train = load_texts(part, "train", names)
    counts = np.bincount(train.labels[train.read])
    # Three standard deviations of a binomial.
    assert (np.abs(counts - MOST) < 3 * np.sqrt(MOST)).all() and counts.sum() < len(train)
    for split in EMBEDDED:
        some = load_texts(part, split, names)
        assert some.texts == load_texts(whole, split, names).texts
        assert split == "train" or len(some.read) == len(some)


def test_what_is_read_is_read_as_before_and_the_rest_has_its_windows_alone(configs):
    whole, part = configs
    names = load_manifest(part.output).sub_datasets
    every, some = (load_texts(config, "train", names) for config in (whole, part))
    read = set(some.read)
    for place, (mine, theirs) in enumerate(zip(some.states, every.states)):
        if place in read:
            np.testing.assert_allclose(mine.values, theirs.values, atol=0.05)
            np.testing.assert_array_equal(mine.spans, theirs.spans)
        else:
            assert mine.values.shape == (len(mine.spans), 0)
            assert mine.spans[-1, 1] <= len(some.texts[place])


def test_passages_in_are_rows_quarantined_and_unread(configs):
    for config in configs:
        for task in plan(config):
            done = published(task.target)
            assert task.done
            assert done.rows + len(done.quarantined) + done.unread == task.passages
    assert sum(published(task.target).unread for task in plan(configs[1])) > 0


def test_the_estimate_of_what_is_to_be_read_follows_the_share(configs):
    whole, part = (sum(t.characters for t in plan(c) if t.split == "train") for c in configs)
    assert part / whole == pytest.approx(Sample.of(configs[1]).share, abs=0.001)


def test_a_bound_above_what_there_is_makes_no_state_stale(configs):
    whole, _ = configs
    above = whole.probe.model_copy(update={"max_passages": 10 * PER_CLASS})
    changed = whole.model_copy(update={"probe": above})
    assert all(task.done for task in plan(changed))
    assert Sample.of(changed).share == 1


def test_what_is_drawn_depends_on_neither_order_nor_the_other_sub_datasets(configs):
    _, config = configs
    passages = read_split(config.output, "train")
    sample = Sample.of(config)
    fewer = Sample({"sea": sample.parts["sea"]}, 1.0)
    for passage in reversed(passages):
        if passage.sub_dataset == "sea":
            assert sample.reads("train", passage) == fewer.reads("train", passage)
        else:
            assert fewer.reads("train", passage)


def test_a_takedown_leaves_what_was_read_of_the_others(configs):
    _, config = configs
    names = load_manifest(config.output).sub_datasets
    before = load_texts(config, "train", names)
    kept = {text for text, label in zip(before.texts, before.labels) if names[label] != "law"}
    read = kept & {before.texts[i] for i in before.read}
    corpus_without(config.output, "law")
    states_without(config)
    after = load_texts(config, "train", load_manifest(config.output).sub_datasets)
    assert set(after.texts) == kept
    assert {after.texts[i] for i in after.read} == read
    assert all(published(task.target).layers for task in plan(config))
