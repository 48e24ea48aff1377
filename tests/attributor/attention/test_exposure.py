"""Exposure against scikit-learn's ridge, on sets that it is to go without, and on new passages."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from copylens.attributor.attention.dataset import StateSet
from copylens.attributor.attention.exposure import REGISTERED, UNREGISTERED, fit_exposures
from copylens.attributor.attention.training import predict

F = 8
FOLDS, PARTS = np.arange(120) % 3, [np.arange(40), np.arange(30, 60)]


def states_of(count: int, shift: float, seed: int) -> StateSet:
    generator = np.random.default_rng(seed)
    centre = np.zeros(F)
    centre[0] = shift
    values = [
        (centre + generator.normal(size=(windows, F))).astype(np.float16)
        for windows in generator.integers(1, 9, count)
    ]
    return StateSet(tuple(values), np.zeros(count, np.int64))


@pytest.fixture(scope="module")
def fits():
    sets = states_of(120, 0.0, 1), states_of(60, 1.5, 2)
    return sets, dict(fit_exposures(*sets, FOLDS, PARTS))


def test_there_is_one_for_every_fold_and_part_and_pair(fits):
    _, found = fits
    assert set(found) == {(fold, part) for fold in (None, 0, 1, 2) for part in (None, 0, 1)}


@pytest.mark.parametrize("left", [(None, None), (1, None), (None, 0), (2, 1)])
def test_each_is_the_regression_on_what_is_left(fits, left):
    (registered, unregistered), found = fits
    reader, (fold, part) = found[left], left
    kept = [v for v, f in zip(registered.values, FOLDS) if f != fold]
    gone = set() if part is None else set(PARTS[part].tolist())
    strange = [v for n, v in enumerate(unregistered.values) if n not in gone]
    rows = np.stack([v.mean(axis=0, dtype=np.float64) for v in (*kept, *strange)])
    x = (rows - reader.mean.numpy()) / reader.scale.numpy()
    y = np.repeat([0, 1], [len(kept), len(strange)])
    # The sums are not centred anew on what is left; the regression's own intercept would be.
    offset = np.eye(2)[y] - np.bincount(y) / len(y)
    expected = Ridge(alpha=0.3 * F, fit_intercept=False).fit(x, offset)
    np.testing.assert_allclose(reader.head.weight.numpy(), expected.coef_, atol=1e-4)


def test_new_passages_are_told(fits):
    _, found = fits
    new = states_of(200, 0.0, 3), states_of(200, 1.5, 4)
    told = [predict(found[None, None], states.values).text for states in new]
    margins = [text[:, UNREGISTERED] - text[:, REGISTERED] for text in told]
    assert np.median(margins[1]) > np.quantile(margins[0], 0.8)


def test_nothing_to_leave_out_is_one_fit():
    sets = states_of(20, 0.0, 1), states_of(10, 1.5, 2)
    whole = dict(fit_exposures(*sets, np.full(20, -1), []))
    assert set(whole) == {(None, None)}
