"""What reads the states is fitted once, and a state that holds a part of it is completed."""

from dataclasses import replace

import numpy as np
import torch

from copylens.attributor.attention.dataset import state_set
from copylens.attributor.attention.fit import fit_reader
from copylens.fit.cross_fit import CrossFit
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


def test_they_learn_from_what_the_lm_has_read_in_the_folds_of_all_of_train() -> None:
    data = sharing()
    read = np.flatnonzero(np.arange(len(data.train)) % 3)
    unread = [replace(item, values=item.values[:, :0]) for item in data.train.states]
    states = tuple(
        data.train.states[i] if i in set(read) else unread[i] for i in range(len(data.train))
    )
    sampled = replace(data, train=replace(data.train, states=states))
    np.testing.assert_array_equal(sampled.train.read, read)
    found = fit_networks(CONFIG, sampled, FitState())
    cross_fit = CrossFit.plan(CONFIG, data.train, data.val)
    for number, fold in enumerate((None, 0, 1)):
        part = data.train.subset(np.intersect1d(cross_fit.kept(fold), read))
        sets = (
            state_set([s.values for s in texts.states], texts.labels, texts.group_index)
            for texts in (part, data.val)
        )
        alone, _ = fit_reader(
            *sets,
            data.classes,
            CONFIG.attributor,
            CONFIG.seed + number,
            like=None if fold is None else found.reader(),
        )
        assert torch.equal(found.reader(fold).head.weight, alone.head.weight)
    assert found.exposure() is not None and found.projector() is None
