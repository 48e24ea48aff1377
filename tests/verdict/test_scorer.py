"""Verdicts: what their numbers add up to, how they decide, and that texts do not mix."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from copylens.detector.calibration import Conformal
from copylens.errors import ModelError, ProbeError, TextError
from copylens.probe.lm import weight_hash
from copylens.probe.probe import Probe
from copylens.verdict.scorer import Scorer, check_probe
from tests.fit.fit_samples import FEATURES, RIGHTS, config_of, outside, part

TEXTS = part("test", 3, 7).texts
STRANGE = outside(3, 8).texts


def with_model(scorer: Scorer, **changes: object) -> Scorer:
    return Scorer(replace(scorer.model, **changes), RIGHTS, scorer.config, scorer.lineage)


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
            assert 0 <= item.low <= item.share + 1e-9
            assert item.share <= item.high + 1e-9 <= 1 - verdict.unregistered + 2e-9
            assert item.holder == f"{item.sub_dataset} Press"
        assert verdict.text_sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_the_time_line_covers_the_text_and_its_mean_is_the_shares(words) -> None:
    for text, verdict in zip(TEXTS, words.verdicts(TEXTS)):
        assert (verdict.timeline[0].start, verdict.timeline[-1].end) == (0, len(text))
        length = np.array([item.end - item.start for item in verdict.timeline])
        for share in verdict.shares:
            along = np.array([item.shares[share.sub_dataset] for item in verdict.timeline])
            mean = float(along @ length / length.sum()) * (1 - verdict.unregistered)
            assert share.share == pytest.approx(mean)


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


def test_below_alpha_a_text_is_unregistered(words) -> None:
    verdicts = words.verdicts(STRANGE)
    for verdict in verdicts:
        assert (verdict.decision == "unregistered") == (verdict.p_value < 0.05)
        smallest = verdict.p_value
        (strict,) = words.verdicts([STRANGE[verdicts.index(verdict)]], alpha=smallest)
        assert strict.decision != "unregistered", "p = alpha is not below it"
    for verdict in words.verdicts(STRANGE, alpha=1.0):
        assert (verdict.decision == "unregistered") == (verdict.p_value < 1)


def test_without_a_share_large_enough_it_abstains(words) -> None:
    for bound in (0.0, 1.0):
        scorer = with_calibration(words, abstain_below=bound)
        for verdict in scorer.verdicts(TEXTS, alpha=0.0):
            # What the bound is held against is the share among the registered.
            top = verdict.shares[0].share / (1 - verdict.unregistered)
            assert verdict.decision == ("registered" if top >= bound else "abstain")
    assert {v.decision for v in scorer.verdicts(TEXTS, alpha=0.0)} == {"abstain"}


def test_p_values_are_those_of_the_calibration(words) -> None:
    """(1 + groups at least as strange) / (1 + groups), by hand."""
    conformal = Conformal(np.array([0.5, 1.0, 2.0]), np.array([0.5, 0.5, 1.0]))
    for verdict in with_model(words, conformal=conformal).verdicts([*TEXTS[:3], *STRANGE[:3]]):
        above = sum(w for s, w in zip((0.5, 1.0, 2.0), (0.5, 0.5, 1.0)) if s >= verdict.ood_score)
        assert verdict.p_value == pytest.approx((1 + above) / 3)


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
    right = weight_hash(config)
    check_probe(config, right)
    check_probe(config, None)
    with pytest.raises(ModelError, match=f"weights {right[:12]}, expected 0000.*--probe"):
        check_probe(config, "0" * 64)


def test_two_scorers_share_an_lm_only_where_it_is_the_very_same(words_and_states, lm_folder):
    model = words_and_states.model
    config = words_and_states.config
    probe = config.probe.model_copy(update={"model": str(lm_folder("gpt_neox"))})
    config = config.model_copy(update={"probe": probe})
    weights = {"probe_weights": weight_hash(probe)}
    first = Scorer(model, RIGHTS, config, weights, probe=Probe(probe, config.seed))
    second, other = (Scorer(model, RIGHTS, config, w) for w in (weights, {"probe_weights": "x"}))
    assert second.share_lm(first) and second.probe.lm is first.probe.lm
    assert not other.share_lm(first)
    assert not first.share_lm(Scorer(model, RIGHTS, config, weights)), "it has none in memory"
