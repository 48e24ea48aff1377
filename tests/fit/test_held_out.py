"""Held-out scores: who judges whom, in which order they come, and what mixtures are made of."""

from dataclasses import replace

import numpy as np
import pytest

from copylens.fit import held_out
from copylens.fit.data import TextSet, TrainingData
from copylens.fit.dealing import deal, joined_texts
from copylens.fit.held_out import (
    CUTS,
    HeldOut,
    Sample,
    concatenate,
    fit_channels,
    held_out_scores,
    judging_channels,
)
from copylens.fit.networks import FitState, fit_networks
from copylens.records import IntArray
from tests.fit.fit_samples import NAMES, WINDOW, config_of, outside, part, texts_of, training_data

CONFIG = config_of()
FEATURES = 6


def sharing_data(features: int = 0) -> TrainingData:
    """Val and train are passages of the same works; one work of val is new."""
    val = part("", 4, 5, features)
    groups = [("law", "new") if group == ("law", "0") else group for group in val.groups]
    val = texts_of(val.labels.tolist(), groups, 5, features)
    return TrainingData(NAMES, part("", 4, 4, features), val, outside(2, 6, features))


@pytest.fixture
def readings(monkeypatch) -> list[tuple[str, ...]]:
    """The texts of every lexical fit, in order."""
    read = []

    def recorded(texts, *rest, **named):
        read.append(tuple(texts))
        return real(texts, *rest, **named)

    real = held_out.fit_lexical
    monkeypatch.setattr(held_out, "fit_lexical", recorded)
    return read


def test_new_works_are_judged_by_the_fit_on_all_of_train(readings) -> None:
    data = training_data()
    whole = fit_channels(CONFIG, data, FitState())
    (hand,) = hands = deal(CONFIG, data)
    assert list(judging_channels(CONFIG, data, FitState(), whole, hands)) == [whole]
    assert hand.fold is None and hand.val.tolist() == list(range(len(data.val)))
    assert readings == [data.train.texts]


def test_no_judge_has_read_a_work_that_it_judges(readings) -> None:
    data = sharing_data()
    group_of = dict(zip(data.train.texts, data.train.groups))
    whole = fit_channels(CONFIG, data, FitState())
    hands = deal(CONFIG, data)
    found = list(judging_channels(CONFIG, data, FitState(), whole, hands))
    assert [hand.fold for hand in hands] == [None, 0, 1]
    for hand, read in zip(hands, readings, strict=True):
        judged = {data.val.groups[i] for i in hand.val}
        assert judged and not judged & {group_of[text] for text in read}
    assert sorted(np.concatenate([hand.val for hand in hands])) == list(range(len(data.val)))
    assert {data.val.groups[i] for i in hands[0].val} == {("law", "new")}
    assert found[1].lexical.gate is whole.lexical.gate


@pytest.fixture(scope="module")
def held() -> HeldOut:
    data, state = training_data(), FitState()
    return held_out_scores(CONFIG, data, state, fit_channels(CONFIG, data, state))


@pytest.fixture(scope="module")
def shared() -> HeldOut:
    """Judged by several fits."""
    data, state = sharing_data(), FitState()
    return held_out_scores(CONFIG, data, state, fit_channels(CONFIG, data, state))


def said(sample: Sample) -> IntArray:
    return sample.scores.text["lexical"].argmax(axis=1)


def test_scores_labels_and_groups_stand_in_one_order(shared) -> None:
    """The words tell the sub-datasets, so that a row out of its place shows."""
    data, pure = sharing_data(), shared.pure
    assert pure.labels.tolist() != data.val.labels.tolist(), "folds give another order than val"
    assert (said(pure) == pure.labels).mean() > 0.95
    pairs = set(zip(pure.labels.tolist(), pure.groups.tolist()))
    assert len(pairs) == len(set(data.val.groups)) == 12
    labels = dict(zip(data.val.group_index.tolist(), data.val.labels.tolist()))
    assert [labels[group] for group in pure.groups.tolist()] == pure.labels.tolist()


@pytest.mark.parametrize("name", ["held", "shared"])
def test_the_truth_of_every_kind_is_what_its_texts_hold(name, request) -> None:
    held = request.getfixturevalue(name)
    pure, mixed, partly, foreign = held.kinds
    for sample in held.kinds:
        np.testing.assert_allclose(sample.truth.sum(axis=1), 1)
        assert len(sample) == len(sample.scores.tokens) == len(sample.groups)
    for sample in (pure, foreign):
        np.testing.assert_array_equal(sample.truth.max(axis=1), 1)
    assert (pure.truth[:, -1] == 0).all() and (foreign.truth[:, -1] == 1).all()
    assert (mixed.truth[:, -1] == 0).all()
    # The fit on all of train judges one new work, and so a twelfth of the mixtures has one source.
    count = joined_texts(len(held.pure))
    alone = {"held": 0, "shared": round(count / 12)}[name]
    assert ((mixed.truth > 0).sum(axis=1) == 1).sum() == alone
    assert ((partly.truth > 0).sum(axis=1) == 2).all() and (partly.truth[:, -1] > 0).all()
    for sample in (mixed, partly):
        assert len(sample) == len(set(sample.groups)) == count
    # The words of what is registered tell which it is where there is enough of it.
    for sample in (mixed, partly):
        clear = sample.truth[:, :-1].max(axis=1) > 0.8
        assert (said(sample) == sample.labels)[clear].mean() > 0.9


def test_mixtures_are_of_val_and_their_truth_is_what_they_hold(held) -> None:
    data = training_data()
    assert len(held.mixtures) == len(held.mixed)
    for mixture, shares in zip(held.mixtures[:50], held.mixed.truth):
        for start, end, label in mixture.borders:
            piece = mixture.text[start : end - 1]
            sources = [n for n, text in enumerate(data.val.texts) if piece in text]
            assert label in data.val.labels[sources]
            assert shares[label] == pytest.approx((end - start) / len(mixture.text))


@pytest.mark.parametrize("size", [1, 4])
def test_unregistered_passages_are_dealt_to_all_fits_and_keep_their_groups(size) -> None:
    """Three fits, and groups that one fit sees a part of."""
    data = sharing_data()
    names = [("kitchen", f"{n // size}") for n in range(7)]
    data = replace(data, ood_val=texts_of([-1] * 7, names, 9))
    state = FitState()
    whole = fit_channels(CONFIG, data, state)
    held = held_out_scores(CONFIG, data, state, whole)
    assert len(deal(CONFIG, data)) == 3
    expected = np.bincount(data.ood_val.group_index)
    np.testing.assert_array_equal(np.bincount(held.foreign.groups), expected)
    for _, cut in held.cuts.values():
        np.testing.assert_array_equal(np.bincount(cut.groups), expected)
    # Each fit judges every third one; 3 + 2 + 2 in the order of the fits.
    order = [0, 3, 6, 1, 4, 2, 5]
    tokens = [data.ood_val.states[n].tokens for n in order]
    assert held.foreign.scores.tokens.tolist() == tokens
    assert held.foreign.groups.tolist() == data.ood_val.group_index[order].tolist()


def test_fewer_unregistered_passages_than_fits_are_judged_all_the_same() -> None:
    data = replace(sharing_data(), ood_val=texts_of([-1], [("kitchen", "0")], 9))
    state = FitState()
    held = held_out_scores(CONFIG, data, state, fit_channels(CONFIG, data, state))
    assert len(held.foreign) == 1 and len(held.partly) > 0
    assert len(held.cuts[1][1]) == 1


@pytest.mark.parametrize("name", ["held", "shared"])
def test_cuts_are_short_blocks_of_the_same_passages(name, request) -> None:
    held = request.getfixturevalue(name)
    assert tuple(held.cuts) == CUTS
    for windows, cut in held.cuts.items():
        for short, long in zip(cut, (held.pure, held.foreign), strict=True):
            np.testing.assert_array_equal(short.truth, long.truth)
            np.testing.assert_array_equal(short.groups, long.groups)
            assert (short.scores.tokens <= windows * WINDOW).all()
            assert (short.scores.tokens <= long.scores.tokens).all()
            assert all(span[0, 0] == 0 for span in short.scores.spans)
    medians = [np.median(cut[0].scores.tokens) for cut in held.cuts.values()]
    assert medians == sorted(medians) and medians[0] <= WINDOW


def test_without_unregistered_passages_there_are_two_kinds() -> None:
    data, state = training_data(ood_groups=0), FitState()
    held = held_out_scores(CONFIG, data, state, fit_channels(CONFIG, data, state))
    assert held.kinds == (held.pure, held.mixed)
    assert held.partly is None and held.foreign is None
    assert [cut[1] for cut in held.cuts.values()] == [None] * len(CUTS)
    assert held.pure.truth.shape[1] == 4


def test_scores_of_several_sets_as_one() -> None:
    data, state = training_data(), FitState()
    channels = fit_channels(CONFIG, data, state)
    cuts = (data.val.subset(np.arange(7)), data.val.subset(np.arange(7, 20)))
    parts = [channels.scores(cut.texts, cut.states) for cut in cuts]
    joined = concatenate(parts, features=False)
    whole = channels.scores(data.val.texts[:20], data.val.states[:20])
    np.testing.assert_allclose(joined.text["lexical"], whole.text["lexical"], atol=1e-5)
    assert joined.affinity.keys() == whole.affinity.keys() >= {"lexical", "style"}
    for name, values in whole.affinity.items():
        np.testing.assert_allclose(joined.affinity[name], values, atol=1e-5)
        pairs = zip(joined.segment_affinity[name], whole.segment_affinity[name], strict=True)
        for mine, theirs in pairs:
            np.testing.assert_allclose(mine, theirs, atol=1e-5)
    for mine, theirs in zip(joined.segments["lexical"], whole.segments["lexical"], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    np.testing.assert_array_equal(joined.tokens, whole.tokens)
    assert [span.tolist() for span in joined.spans] == [span.tolist() for span in whole.spans]


def of_kinds(count: int, seed: int) -> TextSet:
    """Unregistered passages of two kinds: odd ones lie far off in the last feature."""
    texts = outside(count, seed, FEATURES)
    odd = np.arange(len(texts)) % 2
    states = []
    for item, kind in zip(texts.states, odd):
        values = item.values.copy()
        values[:, -1] += 6 * kind
        states.append(replace(item, values=values))
    groups = tuple((f"kind {kind}", group) for kind, (_, group) in zip(odd, texts.groups))
    return replace(texts, states=tuple(states), groups=groups)


@pytest.mark.parametrize("given", [training_data, sharing_data])
def test_unregistered_passages_are_judged_by_what_was_learned_of_other_kinds(given) -> None:
    """Kind 1 is told by the last feature, of which kind 0 says nothing."""
    data = replace(given(features=FEATURES), ood_val=of_kinds(4, 9))
    config = config_of(lm=True)
    state = fit_networks(config, data, FitState())
    whole = fit_channels(config, data, state)
    held = held_out_scores(config, data, state, whole)
    own = whole.scores(data.ood_val.texts, data.ood_val.states).affinity["exposure"][:, 0]
    odd = np.arange(len(data.ood_val)) % 2 == 1
    low = np.quantile(held.pure.scores.affinity["exposure"][:, 0], 0.05)
    assert (own[odd] < low).mean() > 0.8
    judged = held.foreign.scores.affinity["exposure"][:, 0]
    # Each twice: without its kind, and without its group.
    assert len(judged) == 2 * len(own)
    assert 0.4 < (judged < low).mean() / (own < low).mean() < 0.8
    assert {len(cut.scores.affinity["exposure"]) for _, cut in held.cuts.values()} == {len(judged)}


def test_without_an_exposure_nobody_is_judged_twice() -> None:
    data = replace(training_data(FEATURES), ood_val=of_kinds(4, 9))
    state = FitState()
    held = held_out_scores(CONFIG, data, state, fit_channels(CONFIG, data, state))
    assert len(held.foreign) == len(data.ood_val)
    assert held.foreign.groups.tolist() == data.ood_val.group_index.tolist()


def test_each_part_is_judged_as_if_it_had_been_judged_alone() -> None:
    """Words are read once for all parts; what is said of a part is what its own channels say."""
    config, data = config_of(lm=True), replace(sharing_data(FEATURES), ood_val=of_kinds(4, 9))
    state = fit_networks(config, data, FitState())
    whole = fit_channels(config, data, state)
    hands = deal(config, data)
    held = held_out_scores(config, data, state, whole)
    at = 0
    for hand, channels in zip(hands, judging_channels(config, data, state, whole, hands)):
        for part_number, index in hand.foreign.items():
            own = replace(channels, exposure=state.exposure(hand.fold, part_number))
            texts = data.ood_val.subset(index)
            alone = own.scores(texts.texts, texts.states)
            rows = held.foreign.scores.subset(np.arange(at, at := at + len(index)))
            for name in ("text", "affinity"):
                mine, theirs = getattr(rows, name), getattr(alone, name)
                assert mine.keys() == theirs.keys()
                for key in mine:
                    np.testing.assert_allclose(mine[key], theirs[key], atol=1e-6)
            for name in ("segments", "segment_affinity"):
                for key, values in getattr(alone, name).items():
                    for got, expected in zip(getattr(rows, name)[key], values, strict=True):
                        np.testing.assert_allclose(got, expected, atol=1e-6)
    assert at == len(held.foreign) > len(data.ood_val)
