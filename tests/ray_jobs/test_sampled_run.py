"""A run whose LM reads a sample of the training passages, and the words of all of them."""

import pytest

from copylens.corpus import load_manifest
from copylens.fit.data import load_texts
from copylens.store import storage
from copylens.store.stages import stages_of
from copylens.verdict.scorer import Scorer
from ray_jobs.pipeline import run_stages
from tests.pipeline_samples import WORDS, tiny_config, write_corpus

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def sampled(cluster, tmp_path_factory, lm_folder):
    """(config, summaries by stage)."""
    folder = tmp_path_factory.mktemp("sampled")
    write_corpus(folder, per_class=60)
    changes = {"probe.max_passages": 20, "evaluation.studies": ["controls", "in_corpus"]}
    config = tiny_config(folder, lm_folder("gpt_neox"), **changes)
    return config, {s["stage"]: s for s in run_stages(config, stages_of(config))}


def test_embed_counts_what_it_did_not_read(sampled):
    config, summaries = sampled
    embed = summaries["embed"]
    assert 0 < embed["unread"] < embed["passages_in"] / 2
    assert embed["passages_in"] == embed["states_out"] + embed["quarantined"] + embed["unread"]
    train = load_texts(config, "train", load_manifest(config.output).sub_datasets)
    assert len(train) - len(train.read) == embed["unread"]


def test_words_are_learned_from_all_and_everything_is_measured(sampled):
    config, summaries = sampled
    report = storage.read_json(storage.join(config.output, "report.json"))
    assert report["channels"]["lexical"]["accuracy"] > 0.9
    assert report["channels"]["attention"]["accuracy"] is not None
    for name in ("linear_probe", "mahalanobis_on_features"):
        assert report["baselines"][name]["auroc"] is not None
    assert report["controls"]["random_init"]["accuracy"] is not None
    assert report["in_corpus"]["n"] > 0
    assert summaries["evaluate"]["accuracy"] > 0.9


def test_a_verdict_reads_all_of_a_text(sampled):
    config, _ = sampled
    scorer = Scorer.load(storage.join(config.output, "model"))
    text = " ".join(["The ship and its crew and the mast of the harbour."] * 12)
    shares = {item.sub_dataset: item.share for item in scorer.verdicts([text])[0].shares}
    assert set(shares) == set(WORDS) and max(shares, key=lambda name: shares[name]) == "sea"
