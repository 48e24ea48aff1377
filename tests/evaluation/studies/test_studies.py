"""Whole studies on a small run: what they see, what they leave, what the report says of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from copylens.config.load import build_config
from copylens.errors import ConfigError, ProbeError
from copylens.evaluation.contract import check_report, empty_report
from copylens.evaluation.measure import measure
from copylens.evaluation.open_set import ood_section
from copylens.evaluation.published import judge_kinds
from copylens.evaluation.report import study_tables
from copylens.evaluation.report.html import render_report
from copylens.evaluation.report.plots import Figures
from copylens.evaluation.studies import in_corpus, leave_one_out, runs
from copylens.evaluation.studies.inputs import StudyInput


def changed(study: StudyInput, **settings: object) -> StudyInput:
    values = study.config.model_dump(mode="json")
    values["evaluation"] |= settings
    return StudyInput(build_config(values), study.answers, study.best_text)


def test_a_left_out_sub_dataset_is_nowhere_in_what_is_fitted(study, monkeypatch):
    calls = []

    def spy(config, data, state, whole):
        calls.append((data.classes, data.train, data.val))
        return real(config, data, state, whole)

    real = leave_one_out.held_out_scores
    monkeypatch.setattr(leave_one_out, "held_out_scores", spy)
    found = leave_one_out.run(study)
    truth = dict(zip(study.train.texts + study.val.texts, [*study.train.labels, *study.val.labels]))
    assert len(calls) == 3
    for k, (classes, train, val) in enumerate(calls):
        assert classes == 2
        assert 0 < len(train) <= study.config.evaluation.refit_passages
        assert set(val.texts) == {t for t in study.val.texts if truth[t] != k}
        for part in (train, val):
            for text, label in zip(part.texts, part.labels):
                assert label == truth[text] - (truth[text] > k) and truth[text] != k
    assert list(found["by_sub_dataset"]) == list(study.names)
    rows = found["by_sub_dataset"].values()
    assert found["auroc"] == pytest.approx(np.mean([row["auroc"] for row in rows]))
    assert found["auroc"] > 0.7, "the word lists hardly overlap"
    assert {row["n_id"] + row["n_ood"] for row in rows} == {12}


def test_in_corpus_passages_are_held_out_of_training(study, monkeypatch):
    calls = []

    def spy(config, data):
        calls.append(data)
        return real(config, data)

    real = in_corpus.refit
    monkeypatch.setattr(in_corpus, "refit", spy)
    found = in_corpus.run(study)
    bucket = {p.text: in_corpus.bucket(p.id) for p in study.answers.passages["train"]}
    (data,) = calls
    assert {bucket[text] for text in data.train.texts} <= {1, 4, 5, 6, 7, 8, 9}
    assert data.val is study.val
    held = sum(place in (2, 3) for place in bucket.values())
    assert found["n"] == min(held, study.config.evaluation.study_passages)
    assert found["n_train"] == sum(place not in (0, 2, 3) for place in bucket.values())
    assert found["difference"] == pytest.approx(found["accuracy"] - found["best_text"])


def test_a_finished_study_is_not_run_again(study, tmp_path, monkeypatch):
    ran = []

    def stub(study):
        ran.append(study.config.evaluation.study_passages)
        return {"accuracy": 0.5, "n": 4}

    monkeypatch.setitem(runs._STUDIES, "in_corpus", stub)
    monkeypatch.setattr(runs, "upstream_hash", lambda config, stage: "model")
    output = {"output": str(tmp_path)}

    def again(**settings):
        config = changed(study, studies=["in_corpus"], **settings).config
        return runs.run_studies(config.model_copy(update=output), study.answers, "bm25")

    first, second = again(), again(near_ood=["*"])
    assert (ran, first) == ([12], second)
    again(study_passages=7)
    assert ran == [12, 7]
    saved = json.loads((tmp_path / "studies" / "in_corpus.json").read_text())
    assert saved["figures"] == {"accuracy": 0.5, "n": 4}
    monkeypatch.setattr(runs, "upstream_hash", lambda config, stage: "another model")
    again(study_passages=7)
    assert ran == [12, 7, 7]


def test_a_study_that_breaks_does_not_cost_the_report(study, tmp_path, monkeypatch, capsys):
    def broken(study):
        raise ValueError("no luck\ntoday")

    monkeypatch.setitem(runs._STUDIES, "in_corpus", broken)
    monkeypatch.setitem(runs._STUDIES, "lm_outputs", lambda study: {"n": 3})
    monkeypatch.setattr(runs, "upstream_hash", lambda config, stage: "model")
    config = changed(study, studies=["in_corpus", "lm_outputs"]).config
    config = config.model_copy(update={"output": str(tmp_path)})
    assert list(runs.run_studies(config, study.answers, "bm25")) == ["lm_outputs"]
    assert "'in_corpus' failed, its figures stay null: no luck today" in capsys.readouterr().err


def test_names_of_another_corpus_matter_only_to_the_study_that_uses_them(study):
    """One config file serves several corpora, with and without an LM to compare with."""
    used = changed(study, never_trained=["austen"])
    with pytest.raises(ConfigError, match="never_trained: the corpus has no 'austen'"):
        runs.check_settings(used.config)
    for without in ({"control_model": ""}, {"studies": ["robustness"]}):
        runs.check_settings(changed(used, **without).config)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"never_trained": ["lawe"]}, ConfigError, "never_trained: the corpus has no 'lawe'; it"),
        ({"near_ood": ["sea"]}, ConfigError, "near_ood: the corpus has no 'sea'; it holds kitchen"),
        ({"near_ood": ["*", "sea"]}, ConfigError, "near_ood: the corpus has no"),
        ({"study_passages": 2}, ConfigError, "study_passages is 2; .* take at least 3"),
        ({"refit_passages": 29}, ConfigError, "refit_passages is 29; .* take at least 30"),
        ({"control_model": "/no/such/lm"}, ProbeError, "LM '/no/such/lm' cannot be loaded"),
        ({"encoder": "/no/such/encoder"}, ProbeError, "LM '/no/such/encoder' cannot be loaded"),
    ],
)
def test_settings_that_do_not_fit_the_corpus_are_named(study, settings, error, message):
    with pytest.raises(error, match=message):
        runs.check_settings(changed(study, **settings).config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"control_model": "x"}, "needs never_trained"),
        ({"in_corpus_unread": [2]}, "must differ"),
        ({"in_corpus_test": [10]}, "buckets 0..9"),
        ({"studies": ["astrology"]}, "evaluation.studies"),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        build_config({"evaluation": settings})


def test_an_encoder_is_not_asked_to_write(study, lm_folder):
    probe = study.config.probe.model_copy(update={"model": str(lm_folder("bert"))})
    with pytest.raises(ProbeError, match="lm_outputs needs an LM that writes"):
        runs.check_settings(study.config.model_copy(update={"probe": probe}))


def test_controls_need_the_attention_channel(study):
    values = study.config.model_dump(mode="json")
    values["channels"]["attention"] = False
    with pytest.raises(ConfigError, match=r"controls needs channels\.attention=true"):
        runs.check_settings(build_config(values))


def test_unregistered_texts_are_told_apart_by_origin(study):
    kinds = judge_kinds(study.answers, study.config)
    count = len(kinds["unregistered"].truth)
    origins = ["a"] * 3 + ["b"] * (count - 3)
    section = ood_section(kinds, origins, ["a"], {"b": 7})
    assert section["by_origin"] == {
        "a": {**section["near"], "n_given": 0},
        "b": {**section["far"], "n_given": 7},
    }
    assert (section["near"]["n"], section["far"]["n"]) == (3, count - 3)
    parts = section["near"]["auroc"] * 3 + section["far"]["auroc"] * (count - 3)
    assert section["auroc"] == pytest.approx(parts / count)
    flagged = section["near"]["power"] * 3 + section["far"]["power"] * (count - 3)
    assert section["power"] == pytest.approx(flagged / count)
    untold = ood_section(kinds, origins, [], {})
    assert untold["near"] is None and untold["far"] is None and len(untold["by_origin"]) == 2


@pytest.mark.slow
def test_every_study_reaches_the_report_and_the_page(study):
    report, figures = measure(study.config, study.scorer)
    check_report(report)
    for name in ("random_init", "never_trained", "text_only_lstm"):
        found = report["controls"][name]
        assert found["difference"] == pytest.approx(found["accuracy"] - found["probe_accuracy"])
    law = [p for p in study.answers.passages["test"] if p.sub_dataset == "law"]
    assert report["controls"]["never_trained"]["n"] == min(12, len(law))
    assert report["controls"]["random_init"]["n"] == 12
    assert report["baselines"]["text_only_lstm"]["n"] == 12
    views = report["robustness"]
    assert views["unchanged"]["accuracy"] > 0.9 and views["unchanged"]["n"] == 12
    # The words are all in lower case but for the first of a sentence.
    assert views["lower_case"]["lexical"] > 0.9
    outputs = report["lm_outputs"]
    assert (outputs["n"], outputs["n_ood"]) == (6, 2)
    assert outputs["by_overlap"]["none"]["n"] + outputs["by_overlap"]["some"]["n"] == 6
    assert set(report["cost"]["study_seconds"]) == set(study.config.evaluation.studies)
    assert report["ood"]["near"]["auroc"] == report["ood"]["auroc"]
    page = render_report(report, figures)
    for title in ("no punctuation", "the third next to the prompt", "sea left out"):
        assert title in page
    for text in study.test.texts[:5]:
        assert text[:40] not in json.dumps(report)
    files = sorted(p.name for p in (Path(study.config.output) / "studies").iterdir())
    assert files == sorted(f"{name}.json" for name in study.config.evaluation.studies)


def test_a_report_without_studies_leaves_their_sections_out():
    report = empty_report()
    assert study_tables.view_rows(report) == study_tables.output_rows(report) == []
    page = render_report(report, Figures(sub_datasets=["a"]))
    for head in ("Changed texts", "What the LLM itself writes", "Known works"):
        assert f"<h2>{head}" not in page
