"""Texts read on Ray's workers: the states that the probe gives, in order, and nothing left over."""

from pathlib import Path

import numpy as np
import pytest

from copylens.probe.probe import Probe
from copylens.states import texts as module
from copylens.states.words import word_states
from ray_jobs.reading import read_texts
from tests.pipeline_samples import tiny_config

TEXTS = [f"the {n}th ship lay in the harbour, and the captain wrote a letter" for n in range(7)]


@pytest.mark.ray
def test_workers_read_what_the_probe_reads(cluster, tmp_path, lm_folder, monkeypatch):
    monkeypatch.setattr(module, "_SHARD_TEXTS", 2)
    config = tiny_config(tmp_path, lm_folder("gpt_neox"))
    found = read_texts(config, TEXTS)
    for mine, other in zip(found, Probe(config.probe, config.seed).states(TEXTS), strict=True):
        np.testing.assert_array_equal(mine.spans, other.spans)
        step = float(np.abs(other.values.astype(np.float32)).max()) / 127
        np.testing.assert_allclose(mine.values, other.values, atol=2 * step)
    assert not (Path(config.output) / "joined").exists()


def test_without_an_lm_words_are_enough(tmp_path, lm_folder):
    changes = {"channels.attention": False, "probe.model": None}
    config = tiny_config(tmp_path, lm_folder("gpt_neox"), **changes)
    for mine, other in zip(read_texts(config, TEXTS), word_states(TEXTS, config.probe.window)):
        np.testing.assert_array_equal(mine.spans, other.spans)
        assert mine.values.shape == other.values.shape
    assert not (Path(config.output) / "joined").exists()
