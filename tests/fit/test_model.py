"""A whole fit: what is calibrated holds on works that neither train nor val has seen."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from copylens.attributor.attributor import shares_of
from copylens.detector.open_set import OpenScores, OpenTimeline, open_scores
from copylens.fit.data import TrainingData
from copylens.fit.model import FittedModel
from copylens.records import FloatArray
from tests.fit.fit_samples import FEATURES, NAMES, config_of, fitted, outside, part, training_data


@cache
def model_of(features: int) -> FittedModel:
    return fitted(config_of(lm=bool(features)), training_data(features))


@pytest.fixture(params=[0, FEATURES], ids=["words", "words and states"])
def model(request) -> tuple[FittedModel, int]:
    return model_of(request.param), request.param


def opened(model: FittedModel, texts) -> tuple[OpenScores, FloatArray]:
    """What the open time line is drawn from, and the shares [N, K + 1] that it gives."""
    scores = model.attributor.channels.scores(texts.texts, texts.states)
    read = open_scores(model.attributor, model.detector, scores)
    return read, shares_of(model.timeline.shares(read), scores.spans)


def p_values(model: FittedModel, texts) -> FloatArray:
    return opened(model, texts)[0].detection.p_value


def test_registered_works_are_rarely_called_unregistered_and_others_often(model) -> None:
    fit, features = model
    known, unknown = part("test", 10, 7, features), outside(10, 8, features)
    assert fit.detector.smallest_p == pytest.approx(1 / 61)  # 60 passages of val
    assert p_values(fit, known).min() >= 1 / 61 - 1e-9
    assert (p_values(fit, known) <= 0.1).mean() <= 0.2
    assert (p_values(fit, unknown) <= 0.1).mean() > 0.8
    shares, foreign = (opened(fit, texts)[1][:, -1] for texts in (known, unknown))
    assert foreign.mean() > 0.7 > 0.3 > shares.mean()


def test_shares_name_the_sub_dataset_and_intervals_hold_the_truth(model) -> None:
    fit, features = model
    test = part("test", 10, 7, features)
    _, shares = opened(fit, test)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares[:, :3].argmax(axis=1) == test.labels).mean() > 0.95
    covered = 0
    for row, label, item in zip(shares[:, :3], test.labels, test.states):
        low, high = fit.intervals.bounds(row, item.tokens)
        assert (low <= row).all() and (row <= high).all()
        covered += high[label] == 1 and low[label] <= 1
    assert covered / len(test) >= 0.8


def test_levels_of_length_ascend_from_cuts_to_whole_passages(model) -> None:
    fit, features = model
    whole = np.median([item.tokens for item in part("val", 5, 1, features).states])
    for levels in (fit.detector.levels, fit.intervals.levels):
        tokens = [level.tokens for level in levels]
        assert tokens[-1] == whole and len(tokens) > 1
        assert all(short < 0.8 * long for short, long in pairwise(tokens))


def test_held_shares_are_of_val_and_ood_val_each_under_its_origin(model) -> None:
    fit, _ = model
    data = training_data()
    held = fit.held_shares
    assert held.counts.tolist() == [20, 20, 20, 20]
    assert held.group_counts.tolist() == [5, 5, 5, 5]
    assert len(set(held.groups[held.labels == 3]) & set(held.groups[held.labels < 3])) == 0
    np.testing.assert_allclose(held.shares.sum(axis=1), 1, atol=1e-6)
    assert (held.shares[:, :3].argmax(axis=1) == held.labels)[held.labels < 3].mean() > 0.95
    matrix = held.matrix()
    assert matrix.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert len(held.labels) == len(data.val) + len(data.ood_val)


def test_the_channels_that_are_on_are_weighed(model) -> None:
    fit, features = model
    expected = {"lexical", "attention"} if features else {"lexical"}
    assert set(fit.attributor.text_fusion.weights) == expected
    assert (fit.detector.space is not None) == bool(features)
    assert fit.attributor.sub_datasets == NAMES


def test_without_unregistered_texts_there_is_a_model_all_the_same() -> None:
    fit = fitted(config_of(), training_data(ood_groups=0))
    assert fit.held_shares.counts.tolist() == [20, 20, 20, 0]
    assert fit.timeline == OpenTimeline()
    assert {level.mixed_odds.slope for level in fit.detector.levels} == {1.9}
    assert (p_values(fit, outside(10, 8)) <= 0.1).mean() > 0.5
    np.testing.assert_allclose(opened(fit, outside(3, 8))[1].sum(axis=1), 1)


def test_where_val_shares_its_works_with_train_there_is_no_space() -> None:
    """The space belongs to the network on all of train; those of the folds have none."""
    train, val = part("", 4, 4, FEATURES), part("", 4, 5, FEATURES)
    data = TrainingData(NAMES, train, val, outside(4, 6, FEATURES))
    fit = fitted(config_of(lm=True), data)
    assert fit.detector.space is None
    assert set(fit.attributor.text_fusion.weights) == {"lexical", "attention"}
    assert fit.held_shares.group_counts.tolist() == [4, 4, 4, 4]
    assert (p_values(fit, outside(10, 8, FEATURES)) <= 0.1).mean() > 0.8


def test_the_same_data_give_the_same_model() -> None:
    first, second = model_of(0), fitted(config_of(), training_data())
    np.testing.assert_array_equal(first.held_shares.shares, second.held_shares.shares)
    for one, other in (
        (first.detector.arrays(), second.detector.arrays()),
        (first.intervals.arrays(), second.intervals.arrays()),
    ):
        assert one.keys() == other.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name], name)
    assert first.timeline == second.timeline
    assert first.attributor.mixture_prior == second.attributor.mixture_prior
