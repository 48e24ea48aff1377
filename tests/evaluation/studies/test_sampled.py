"""A run whose LM reads a sample of the training passages, and the words of all of them."""

import pytest

from copylens.evaluation.measure import measure
from tests.evaluation.studies.conftest import run_in_process
from tests.pipeline_samples import WORDS, tiny_config, write_corpus

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sampled(tmp_path_factory, lm_folder):
    """(config, scorer)."""
    folder = tmp_path_factory.mktemp("sampled")
    write_corpus(folder, per_class=60)
    changes = {"probe.max_passages": 20, "evaluation.studies": ["controls", "in_corpus"]}
    config = tiny_config(folder, lm_folder("gpt_neox"), **changes)
    return config, run_in_process(config)


def test_words_are_learned_from_all_and_everything_is_measured(sampled):
    report, _ = measure(*sampled)
    assert report["attribution"]["accuracy"] > 0.9
    assert report["channels"]["lexical"]["accuracy"] > 0.9
    assert report["channels"]["attention"]["accuracy"] is not None
    for name in ("linear_probe", "mahalanobis_on_features"):
        assert report["baselines"][name]["auroc"] is not None
    assert report["controls"]["random_init"]["accuracy"] is not None
    assert report["in_corpus"]["n"] > 0


def test_a_verdict_reads_all_of_a_text(sampled):
    _, scorer = sampled
    text = " ".join(["The ship and its crew and the mast of the harbour."] * 12)
    shares = {item.sub_dataset: item.share for item in scorer.verdicts([text])[0].shares}
    assert set(shares) == set(WORDS) and max(shares, key=lambda name: shares[name]) == "sea"
