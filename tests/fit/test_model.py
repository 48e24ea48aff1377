"""A whole fit: what is calibrated holds on works that neither train nor val has seen."""

import numpy as np
import pytest

from copylens.attributor.attributor import shares_of
from copylens.detector.detector import measures
from copylens.fit.model import FittedModel
from copylens.records import FloatArray
from tests.fit.fit_samples import FEATURES, NAMES, config_of, fitted, outside, part, training_data


@pytest.fixture(scope="module", params=[False, True], ids=["words", "words and states"])
def model(request) -> tuple[FittedModel, int]:
    features = FEATURES if request.param else 0
    return fitted(config_of(lm=request.param), training_data(features)), features


def p_values(model: FittedModel, texts) -> FloatArray:
    scores = model.attributor.channels.scores(texts.texts, texts.states)
    measured = measures(model.attributor, scores, model.detector.space)
    return model.conformal.p_value(model.detector.score(measured))


def test_registered_works_are_rarely_called_unregistered_and_others_often(model) -> None:
    fit, features = model
    known = p_values(fit, part("test", 10, 7, features))
    unknown = p_values(fit, outside(10, 8, features))
    # 15 works of val: the smallest p is 1 / 16.
    assert known.min() >= 1 / 16 - 1e-9
    assert (known <= 0.1).mean() <= 0.2
    assert (unknown <= 0.1).mean() > 0.8
    assert fit.open_set.unregistered(unknown).mean() > fit.open_set.unregistered(known).mean() + 0.2


def test_shares_name_the_sub_dataset_and_intervals_hold_the_truth(model) -> None:
    fit, features = model
    test = part("test", 10, 7, features)
    scores = fit.attributor.channels.scores(test.texts, test.states)
    shares = shares_of(fit.attributor.timelines(scores), scores.spans)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares.argmax(axis=1) == test.labels).mean() > 0.95
    low, high = fit.intervals.bounds(shares)
    truth = np.eye(3)[test.labels]
    assert ((low <= truth) & (truth <= high)).mean() >= 0.85
    assert (low <= shares).all() and (shares <= high).all()


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
    assert fit.open_set.shape == 0.3
    assert (p_values(fit, outside(10, 8)) <= 0.1).mean() > 0.5


def test_the_same_data_give_the_same_model() -> None:
    first, second = (fitted(config_of(), training_data()) for _ in range(2))
    np.testing.assert_array_equal(first.held_shares.shares, second.held_shares.shares)
    np.testing.assert_array_equal(first.conformal.scores, second.conformal.scores)
    assert first.attributor.mixture_prior == second.attributor.mixture_prior
