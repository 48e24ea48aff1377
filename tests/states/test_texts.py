"""Texts that are no passages: read by the embedder as shards of their own."""

import numpy as np
import pytest

from copylens.errors import ModelError
from copylens.probe.probe import Probe
from copylens.states import texts as module
from copylens.states.embed import ShardEmbedder
from copylens.states.texts import plan_texts, states_of
from tests.pipeline_samples import tiny_config

TEXTS = [f"the {n}th ship lay in the harbour, and the captain wrote a letter" for n in range(7)]


@pytest.fixture
def config(tmp_path, lm_folder):
    return tiny_config(tmp_path, lm_folder("gpt_neox"))


def test_states_come_back_in_order(config, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SHARD_TEXTS", 3)
    tasks = plan_texts(config, str(tmp_path / "joined"), TEXTS)
    assert [task.passages for task in tasks] == [3, 3, 1]
    embedder = ShardEmbedder(config)
    for task in reversed(tasks):
        embedder(task)
    assert all(task.done for task in plan_texts(config, str(tmp_path / "joined"), TEXTS))
    expected = Probe(config.probe, config.seed).states(TEXTS)
    for mine, other in zip(states_of(tasks), expected, strict=True):
        np.testing.assert_array_equal(mine.spans, other.spans)
        assert mine.tokens == other.tokens
        # One byte a feature: steps of 1/127 of the largest value.
        step = np.abs(other.values.astype(np.float32)).max() / 127
        np.testing.assert_allclose(mine.values, other.values, atol=float(step))


def test_other_texts_are_other_shards(config, tmp_path):
    folder = str(tmp_path / "joined")
    (before,) = plan_texts(config, folder, TEXTS)
    ShardEmbedder(config)(before)
    (after,) = plan_texts(config, folder, TEXTS[::-1])
    assert before.done and not after.done


def test_a_text_that_cannot_be_read_is_named(config, tmp_path):
    (task,) = plan_texts(config, str(tmp_path / "joined"), ["fine", " "])
    ShardEmbedder(config)(task)
    with pytest.raises(ModelError, match=r"a text joined of val passages cannot be read: .*empty"):
        states_of([task])
