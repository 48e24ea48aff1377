"""Verdicts: what their numbers add up to, how they decide, and that texts do not mix."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from copylens.detector.measures import measure
from copylens.errors import ModelError, ProbeError, TextError
from copylens.evidence.building import build_index, evidence_uri
from copylens.probe.loading.identity import lm_hash
from copylens.probe.probe import Probe
from copylens.records import Passage
from copylens.verdict.scorer import Scorer, check_probe
from tests.fit.fit_samples import FEATURES, RIGHTS, config_of, outside, part

TEXTS = part("test", 3, 7).texts
STRANGE = outside(3, 8).texts


def with_calibration(scorer: Scorer, **changes: object) -> Scorer:
    calibration = scorer.config.calibration.model_copy(update=changes)
    config = scorer.config.model_copy(update={"calibration": calibration})
    return Scorer(scorer.model, RIGHTS, config, scorer.lineage)


def test_shares_are_sorted_lie_in_their_intervals_and_sum_to_one_with_the_rest(words) -> None:
    for text, verdict in zip(TEXTS, words.verdicts(TEXTS)):
        shares = [item.share for item in verdict.shares]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) + verdict.unregistered == pytest.approx(1)
        for item in verdict.shares:
            assert 0 <= item.low <= item.share <= item.high <= 1
            assert item.quoted == 0, "there is no index"
            assert item.holder == f"{item.sub_dataset} Press"
        assert verdict.text_sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_the_time_line_covers_the_text_and_its_mean_is_the_shares(words) -> None:
    for text, verdict in zip(TEXTS, words.verdicts(TEXTS)):
        assert (verdict.timeline[0].start, verdict.timeline[-1].end) == (0, len(text))
        length = np.array([item.end - item.start for item in verdict.timeline])
        for share in verdict.shares:
            along = np.array([item.shares[share.sub_dataset] for item in verdict.timeline])
            assert share.share == pytest.approx(float(along @ length / length.sum()))
        rest = np.array([item.unregistered for item in verdict.timeline])
        assert verdict.unregistered == pytest.approx(float(rest @ length / length.sum()))
        for item in verdict.timeline:
            assert sum(item.shares.values()) + item.unregistered == pytest.approx(1)


def test_a_text_is_of_the_sub_dataset_whose_words_it_has(words) -> None:
    labels = part("test", 3, 7).labels
    tops = [verdict.shares[0].sub_dataset for verdict in words.verdicts(TEXTS)]
    assert tops == [words.model.attributor.sub_datasets[label] for label in labels]


def test_many_texts_at_once_are_judged_as_each_alone(words) -> None:
    """Over a hundred, so that they are read in several batches."""
    many = [*TEXTS, *STRANGE] * 3
    for text, verdict in zip(many[:60:7], words.verdicts(many)[:60:7]):
        alone = words.verdicts([text])[0]
        assert alone.p_value == verdict.p_value
        for one, other in zip(alone.shares, verdict.shares, strict=True):
            assert one.share == pytest.approx(other.share, abs=1e-5)


def test_a_stranger_is_unregistered_where_p_is_below_alpha_and_else_left_open(words) -> None:
    verdicts = words.verdicts(STRANGE)
    assert [v.decision for v in verdicts].count("unregistered") > len(STRANGE) / 2
    for text, verdict in zip(STRANGE, verdicts):
        if verdict.unregistered < 0.5:
            continue
        assert (verdict.decision == "unregistered") == (verdict.p_value < 0.05)
        if verdict.p_value > words.model.detector.smallest_p:
            (strict,) = words.verdicts([text], alpha=verdict.p_value)
            assert strict.decision == "abstain", "p = alpha is not below it"
            assert "of none of them" in strict.abstain_reason
        (lax,) = words.verdicts([text], alpha=1.0)
        assert (lax.decision, lax.abstain_reason) == ("unregistered", None)


def test_a_level_that_no_p_value_reaches_is_refused_in_one_line(words) -> None:
    smallest = words.model.detector.smallest_p
    assert smallest == pytest.approx(1 / 61)
    for alpha in (0.0, 0.001, smallest):
        with pytest.raises(TextError, match=r"be above 0.0164 .*its 60 calib") as caught:
            words.verdicts(TEXTS[:1], alpha=alpha)
        assert "\n" not in str(caught.value)
    found = words.verdicts(STRANGE, alpha=smallest + 1e-9)
    assert min(verdict.p_value for verdict in found) >= smallest
    flagged = [v.p_value == smallest and v.unregistered >= 0.5 for v in found]
    assert [v.decision == "unregistered" for v in found] == flagged


def test_without_a_share_large_enough_it_abstains(words) -> None:
    for bound in (0.0, 1.0):
        scorer = with_calibration(words, abstain_below=bound)
        for verdict in scorer.verdicts(TEXTS):
            # What the bound is held against is the share among the registered.
            top = verdict.shares[0].share / sum(item.share for item in verdict.shares)
            if verdict.unregistered < 0.5:
                assert verdict.decision == ("registered" if top >= bound else "abstain")
            assert (verdict.abstain_reason is None) == (verdict.decision != "abstain")
    assert {v.decision for v in scorer.verdicts(TEXTS)} == {"abstain"}


def test_p_values_and_scores_are_the_detectors_for_each_text_alone(words) -> None:
    model = words.model
    for text in (*TEXTS[:3], *STRANGE[:3]):
        (verdict,) = words.verdicts([text])
        scores = model.attributor.channels.scores([text], words.reader.states([text]))
        explained = model.attributor.explanations(scores)
        measured = measure(model.attributor, scores, explained)
        assert verdict.p_value == model.detector.detect(measured).p_value[0]
        assert verdict.ood_score == model.detector.detect(measured).score[0]
        assert verdict.p_value >= model.detector.smallest_p


def test_a_stranger_that_is_quoted_is_of_the_sub_dataset_that_it_is_quoted_from(words, tmp_path):
    """Evidence outdoes likeness: the text has nothing of the words of that sub-dataset."""
    words.save(str(tmp_path / "model"))
    row = Passage("p", STRANGE[0], "law", "law Press", "all", "T", "", "g", "train")
    build_index(evidence_uri(str(tmp_path)), [row])
    scorer = Scorer.load(str(tmp_path / "model"))
    half = STRANGE[1][: len(STRANGE[0])]
    whole, partly, none = scorer.verdicts([STRANGE[0], f"{STRANGE[0]} {half}", STRANGE[2]])
    assert whole.unregistered < 0.01 and whole.decision == "registered"
    top = whole.shares[0]
    assert top.sub_dataset == "law"
    assert (top.share, top.quoted) == pytest.approx((1, 1), abs=0.01)
    assert top.low == pytest.approx(top.share, abs=0.01)
    law = next(item for item in partly.shares if item.sub_dataset == "law")
    assert law.share * law.quoted == pytest.approx(0.5, abs=0.05)
    assert partly.timeline[0].shares["law"] == pytest.approx(1, abs=0.05)
    (alone,) = words.verdicts([f"{STRANGE[0]} {half}"])
    assert partly.timeline[-1].unregistered == alone.timeline[-1].unregistered
    (other,) = words.verdicts([STRANGE[2]])
    assert none == replace(other, model=none.model)


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_a_text_without_a_word_is_refused(words, text) -> None:
    with pytest.raises(TextError, match="text 1 is empty"):
        words.verdicts([TEXTS[0], text])


def test_without_an_lm_none_is_named_and_none_can_be_asked_for(words) -> None:
    assert (words.identity.probe, words.identity.probe_revision) == (None, None)
    config = words.config
    bare = config.model_copy(update={"probe": config.probe.model_copy(update={"model": None})})
    with pytest.raises(ProbeError):
        _ = Scorer(words.model, RIGHTS, bare, {}).probe


def test_each_channel_reads_its_own(words_and_states) -> None:
    """States of another sub-dataset under the same words: attention follows them, words do not."""
    own = part("test", 3, 7, FEATURES)
    places = [(n + 12) % len(own) for n in range(len(own))]  # twelve passages of each
    swapped = [own.states[n] for n in places]
    before, after = (
        words_and_states.score(own.texts, s).channels.text for s in (own.states, swapped)
    )
    np.testing.assert_array_equal(before["lexical"], after["lexical"])
    assert (before["attention"].argmax(axis=1) == own.labels).mean() > 0.8
    np.testing.assert_allclose(after["attention"], before["attention"][places], atol=1e-5)


def test_an_lm_of_other_weights_is_refused(lm_folder) -> None:
    config = config_of(lm=True).probe.model_copy(update={"model": str(lm_folder("gpt_neox"))})
    right = lm_hash(config)
    check_probe(config, right)
    check_probe(config, None)
    with pytest.raises(ModelError, match=f"weights {right[:12]}, expected 0000.*--probe"):
        check_probe(config, "0" * 64)


def test_two_scorers_share_an_lm_only_where_it_is_the_very_same(words_and_states, lm_folder):
    model = words_and_states.model
    config = words_and_states.config
    probe = config.probe.model_copy(update={"model": str(lm_folder("gpt_neox"))})
    config = config.model_copy(update={"probe": probe})
    weights = {"probe_weights": lm_hash(probe)}
    first = Scorer(model, RIGHTS, config, weights, probe=Probe(probe, config.seed))
    second, other = (Scorer(model, RIGHTS, config, w) for w in (weights, {"probe_weights": "x"}))
    assert second.share_lm(first) and second.probe.lm is first.probe.lm
    assert not other.share_lm(first)
    assert not first.share_lm(Scorer(model, RIGHTS, config, weights)), "it has none in memory"
