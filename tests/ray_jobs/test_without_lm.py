"""A run whose channels read no LM: nothing is embedded, and everything that words give works."""

import json
from pathlib import Path

import numpy as np
import pytest

from copylens.config.load import build_config
from copylens.errors import ConfigError, ProbeError
from copylens.registry.reader import load_scorer
from copylens.store.stages import stages_of
from ray_jobs import embed
from ray_jobs.pipeline import run_stages
from tests.pipeline_samples import WORDS, tiny_config, write_corpus

pytestmark = pytest.mark.ray
MIXED = " ".join(["The ship and its crew and the mast of the harbour."] * 12) + (
    " ".join(["A judge of the court and the counsel of the plaintiff."] * 12)
)


@pytest.fixture(scope="module")
def words_run(cluster, tmp_path_factory):
    """(config, summaries by stage, scorer) of a run with `probe.model: null`."""
    folder = tmp_path_factory.mktemp("words")
    write_corpus(folder)
    without = {"probe.model": None, "channels": {"attention": False}, "evaluation.encoder": None}
    config = tiny_config(folder, Path("nowhere"), **without)
    summaries = {s["stage"]: s for s in run_stages(config, stages_of(config))}
    uri = f"models:/{config.tracking.model_name}/{summaries['promote']['version']}"
    return config, summaries, load_scorer(uri, str(config.tracking.uri))


def test_no_stage_embeds_and_train_says_what_is_missing(words_run):
    config, summaries, _ = words_run
    assert list(summaries) == ["ingest", "index", "train", "evaluate", "promote"]
    assert "no generation" in summaries["train"]["without_lm"]
    assert not (Path(config.output) / "states").exists()
    with pytest.raises(ConfigError, match=r"channels\.attention=false"):
        embed.run(config)
    assert all(s["skipped"] for s in run_stages(config, stages_of(config)))


def test_a_verdict_names_no_lm_and_finds_both_sources(words_run):
    _, _, scorer = words_run
    verdict = scorer.verdicts([MIXED], evidence=True)[0]
    assert verdict.model.probe is None and verdict.model.probe_revision is None
    shares = {item.sub_dataset: item.share for item in verdict.shares}
    assert set(shares) == set(WORDS)
    assert sum(shares.values()) + verdict.unregistered == pytest.approx(1)
    assert min(shares["sea"], shares["law"]) > 3 * shares["code"]
    # Half of the text is one source's: the time line changes about there.
    tops = [max(item.shares, key=lambda name: item.shares[name]) for item in verdict.timeline]
    change = verdict.timeline[tops.index("law")].start
    assert abs(change - len(MIXED) / 2) < 200
    assert verdict.timeline[0].start == 0 and verdict.timeline[-1].end == len(MIXED)


def test_a_text_does_not_depend_on_those_beside_it(words_run):
    _, _, scorer = words_run
    texts = [MIXED, "The court of the judge.", "船长什么也没说。" * 30]
    together = scorer.verdicts(texts)
    for text, verdict in zip(texts, together):
        alone = scorer.verdicts([text])[0]
        got, want = ([s.share for s in v.shares] for v in (verdict, alone))
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_the_report_holds_what_words_give_and_null_for_the_rest(words_run):
    config, _, _ = words_run
    report = json.loads((Path(config.output) / "report.json").read_text())
    figures = ("accuracy", "difference", "difference_ci95", "auroc")
    assert report["channels"]["attention"] == dict.fromkeys(figures)
    lexical = report["channels"]["lexical"]
    assert lexical["accuracy"] == report["attribution"]["accuracy"] > 0.8
    assert lexical["difference"] == 0
    assert report["baselines"]["linear_probe"]["accuracy"] is None
    assert report["lineage"]["probe_weights"] is None


def test_the_model_refuses_what_needs_an_lm(words_run):
    _, _, scorer = words_run
    assert not scorer.can_write
    with pytest.raises(ProbeError, match="trained without an LM"):
        _ = scorer.probe


def test_the_attention_channel_without_an_lm_is_refused_before_anything_is_written(tmp_path):
    write_corpus(tmp_path)
    settings = tiny_config(tmp_path, Path("x")).model_dump(mode="json")
    settings["probe"]["model"] = None
    config = build_config(settings)
    with pytest.raises(ProbeError, match=r"probe\.model names no LM"):
        list(run_stages(config, stages_of(config)))
    assert not Path(config.output).exists()
