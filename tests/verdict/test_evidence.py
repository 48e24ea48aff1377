"""Where a verdict's evidence comes from: the version's index, or that of the scorer's run."""

import json
from pathlib import Path

import pytest

from copylens.errors import ModelError
from copylens.evidence.building import build_index, evidence_uri
from copylens.records import Passage
from copylens.registry.reader import load_scorer
from copylens.store import storage
from copylens.verdict.batch import ShardScorer
from copylens.verdict.bundle import SCORER_FILE
from copylens.verdict.evidence import NO_INDEX, run_of
from copylens.verdict.scorer import Scorer
from tests.fit.fit_samples import part

TEXTS = part("test", 3, 7).texts


@pytest.fixture
def run(words, tmp_path) -> Path:
    """The output of a run that was trained, indexed and not promoted."""
    words.save(str(tmp_path / "run" / "model"))
    passages = [
        Passage(f"p{n}", text, "sea", "Sea Press", "all", "Log", "", "g", "train")
        for n, text in enumerate(TEXTS[:2])
    ]
    build_index(evidence_uri(str(tmp_path / "run")), passages)
    return tmp_path / "run"


def found(place: Path | str, text: str = TEXTS[0]):
    verdict = load_scorer(str(place), "sqlite:///none.db").verdicts([text], evidence=True)[0]
    return verdict.evidence, verdict.evidence_reason


@pytest.mark.parametrize("place", [".", "model", "model/"])
def test_a_run_that_is_not_promoted_yet_finds_the_index_beside_it(run, place):
    evidence, reason = found(f"{run}/{place}" if place != "." else run)
    assert reason is None
    assert (evidence[0]["passage_id"], evidence[0]["kind"]) == ("p0", "verbatim")


def test_an_empty_list_says_that_the_index_was_searched(run, monkeypatch):
    scorer = load_scorer(str(run), "sqlite:///none.db")
    settings = scorer.config.evidence.model_copy(update={"nearest": 0})
    scorer.config = scorer.config.model_copy(update={"evidence": settings})
    scorer.save(str(run / "model"))
    assert found(run, "Nothing of that kind was ever written anywhere.") == ((), None)


def test_without_a_question_nothing_is_opened(run):
    verdict = load_scorer(str(run), "sqlite:///none.db").verdicts(TEXTS[:1])[0]
    assert (verdict.evidence, verdict.evidence_reason) == (None, "not asked for")


def test_without_an_index_the_verdict_says_so(words, tmp_path):
    words.save(str(tmp_path / "elsewhere"))
    assert found(tmp_path / "elsewhere") == (None, NO_INDEX)


def test_a_registered_version_has_no_other_index_than_its_own(run):
    scorer = Scorer.load(str(run / "model"), "copylens", "7")
    assert scorer.verdicts(TEXTS[:1], evidence=True)[0].evidence_reason == NO_INDEX


def test_an_index_of_another_corpus_is_not_taken(run, caplog):
    manifest = run / "evidence" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"corpus_manifest": "x"}))
    meta = json.loads((run / "model" / SCORER_FILE).read_text())
    meta["lineage"]["corpus_manifest"] = "y"
    (run / "model" / SCORER_FILE).write_text(json.dumps(meta))
    scorer = load_scorer(str(run), "sqlite:///none.db")
    for text in TEXTS[:2]:
        (verdict,) = scorer.verdicts([text], evidence=True)
        assert verdict.evidence is None
        assert "of another corpus than the trained model" in verdict.evidence_reason
        assert str(run) not in verdict.evidence_reason, "a path of this machine"
    assert len([r for r in caplog.records if str(run) in r.getMessage()]) == 1


def test_a_changed_index_is_named_and_who_wants_evidence_is_refused(run):
    scorer = load_scorer(str(run), "sqlite:///none.db")
    named = storage.read_json(str(run / "evidence" / "manifest.json"))
    named |= {"uri": str(run / "evidence" / "manifest.json"), "hash": "other", "sha256": ""}
    changed = Scorer(
        scorer.model,
        tuple(scorer.rights.values()),
        scorer.config,
        {},
        attachments={"evidence": named},
    )
    (verdict,) = changed.verdicts(TEXTS[:1], evidence=True)
    assert verdict.evidence is None
    assert "the evidence index in 'evidence' has changed since" in verdict.evidence_reason
    with pytest.raises(ModelError, match="no evidence to give: the evidence index"):
        ShardScorer(changed, evidence=True)
    ShardScorer(scorer, evidence=True)


@pytest.mark.parametrize(
    ("folder", "run"),
    [("/a/run/model", "/a/run"), ("s3://b/run/model/", "s3://b/run"), ("/a/run", None)],
)
def test_a_scorer_lies_in_a_run_where_its_folder_is_the_runs_model(folder, run):
    assert run_of(folder) == run
