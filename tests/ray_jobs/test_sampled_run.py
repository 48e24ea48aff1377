"""The embed stage where the LM reads a sample of the training passages."""

import pytest

from copylens.corpus import load_manifest
from copylens.fit.data import load_texts
from ray_jobs.pipeline import run_stages
from tests.pipeline_samples import tiny_config, write_corpus

pytestmark = pytest.mark.ray


def test_embed_counts_what_it_did_not_read(cluster, tmp_path, lm_folder):
    write_corpus(tmp_path, per_class=60)
    config = tiny_config(tmp_path, lm_folder("gpt_neox"), **{"probe.max_passages": 20})
    _, embed = run_stages(config, ("ingest", "embed"))
    assert 0 < embed["unread"] < embed["passages_in"] / 2
    assert embed["passages_in"] == embed["states_out"] + embed["quarantined"] + embed["unread"]
    train = load_texts(config, "train", load_manifest(config.output).sub_datasets)
    assert len(train) - len(train.read) == embed["unread"]
