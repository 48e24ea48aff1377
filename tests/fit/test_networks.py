"""What reads the states is fitted once, and a state that holds a part of it is completed."""

import torch

from copylens.fit.data import TrainingData
from copylens.fit.networks import FitState, fit_name, fit_networks
from tests.fit.fit_samples import NAMES, config_of, outside, part

CONFIG, FEATURES = config_of(lm=True), 6


def sharing() -> TrainingData:
    """Val and train are passages of the same works, so that there is a fit per fold."""
    parts = part("", 4, 4, FEATURES), part("", 4, 5, FEATURES)
    return TrainingData(NAMES, *parts, outside(2, 6, FEATURES))


def test_folds_take_over_the_settings_of_a_reader_that_was_fitted_elsewhere() -> None:
    """As a takedown has it, which keeps the reader and fits the folds anew."""
    data = sharing()
    whole = fit_networks(CONFIG, data, FitState()).reader()
    kept = FitState()
    kept.keep(fit_name(None), whole)
    fit_networks(CONFIG, data, kept)
    for fold in (0, 1):
        assert kept.reader(fold).settings == whole.settings
        assert not torch.equal(kept.reader(fold).head.weight, whole.head.weight)


def test_what_comes_back_from_bytes_reads_the_same() -> None:
    data = sharing()
    state = fit_networks(CONFIG, data, FitState())
    again = FitState.from_bytes(state.to_bytes())
    assert again.finished.keys() == state.finished.keys()
    for fold, gone in ((None, None), (0, None), (1, 1)):
        mine, theirs = state.exposure(fold, gone), again.exposure(fold, gone)
        assert torch.equal(mine.head.weight, theirs.head.weight)
    assert again.exposure(part=7) is None and again.reader(9) is None


def test_without_unregistered_texts_of_two_groups_there_is_no_exposure() -> None:
    data = sharing()
    for count in (0, 1):
        few = TrainingData(NAMES, data.train, data.val, outside(count, 6, FEATURES))
        assert fit_networks(CONFIG, few, FitState()).exposure() is None
