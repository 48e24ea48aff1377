"""Held-out scores: who judges whom, in which order they come, and what mixtures are made of."""

import numpy as np
import pytest

from copylens.fit import held_out
from copylens.fit.data import TrainingData
from copylens.fit.held_out import concatenate, fit_channels, held_out_scores, judges
from copylens.fit.networks import FitState
from tests.fit.fit_samples import NAMES, config_of, outside, part, texts_of, training_data

CONFIG = config_of()


def sharing_data() -> TrainingData:
    """Val and train are passages of the same works; one work of val is new."""
    val = part("", 4, 5)
    groups = ["law/new" if group == "law/0" else group for group in val.groups]
    val = texts_of(val.labels.tolist(), groups, 5)
    return TrainingData(NAMES, part("", 4, 4), val, outside(2, 6))


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
    (judge,) = judges(CONFIG, data, FitState(), whole)
    assert judge.channels is whole and judge.fold is None
    assert judge.val.tolist() == list(range(len(data.val)))
    assert readings == [data.train.texts]


def test_no_judge_has_read_a_work_that_it_judges(readings) -> None:
    data = sharing_data()
    group_of = dict(zip(data.train.texts, data.train.groups))
    whole = fit_channels(CONFIG, data, FitState())
    found = list(judges(CONFIG, data, FitState(), whole))
    assert [judge.fold for judge in found] == [None, 0, 1]
    for judge, read in zip(found, readings, strict=True):
        judged = {data.val.groups[i] for i in judge.val}
        assert judged and not judged & {group_of[text] for text in read}
    assert sorted(np.concatenate([judge.val for judge in found])) == list(range(len(data.val)))
    assert {data.val.groups[i] for i in found[0].val} == {"law/new"}
    assert found[1].channels.lexical.gate is whole.lexical.gate


def test_scores_labels_and_groups_stand_in_one_order() -> None:
    """The words tell the sub-datasets, so that a row out of its place shows."""
    data = sharing_data()
    state = FitState()
    held = held_out_scores(CONFIG, data, state, fit_channels(CONFIG, data, state))
    assert held.labels.tolist() != data.val.labels.tolist(), "folds give another order than val"
    assert (held.pure.text["lexical"].argmax(axis=1) == held.labels).mean() > 0.95
    pairs = set(zip(held.labels.tolist(), held.groups.tolist()))
    assert len(pairs) == len(set(data.val.groups)) == 12
    np.testing.assert_array_equal(held.pure_truth(3).argmax(axis=1), held.labels)


def test_mixtures_are_of_val_and_their_truth_is_what_they_hold() -> None:
    data, state = training_data(), FitState()
    held = held_out_scores(CONFIG, data, state, fit_channels(CONFIG, data, state))
    assert len(held.mixtures) == 400 == len(held.mixed.text["lexical"])
    truth = held.mixed_truth(3)
    np.testing.assert_allclose(truth.sum(axis=1), 1)
    for mixture, shares in zip(held.mixtures[:50], truth):
        for start, end, label in mixture.borders:
            piece = mixture.text[start : end - 1]
            sources = [n for n, text in enumerate(data.val.texts) if piece in text]
            assert label in data.val.labels[sources]
            assert shares[label] >= (end - start) / len(mixture.text) - 1e-9
    # The largest part of a text of two is what the words say most of.
    clear = truth.max(axis=1) > 0.8
    said = held.mixed.text["lexical"].argmax(axis=1)
    assert (said == truth.argmax(axis=1))[clear].mean() > 0.9


def test_scores_of_several_sets_as_one() -> None:
    data, state = training_data(), FitState()
    channels = fit_channels(CONFIG, data, state)
    cuts = (data.val.subset(np.arange(7)), data.val.subset(np.arange(7, 20)))
    parts = [channels.scores(cut.texts, cut.states) for cut in cuts]
    joined = concatenate(parts)
    whole = channels.scores(data.val.texts[:20], data.val.states[:20])
    np.testing.assert_allclose(joined.text["lexical"], whole.text["lexical"], atol=1e-5)
    for name, values in whole.affinity.items():
        np.testing.assert_allclose(joined.affinity[name], values, atol=1e-5)
    for mine, theirs in zip(joined.segments["lexical"], whole.segments["lexical"], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    assert [span.tolist() for span in joined.spans] == [span.tolist() for span in whole.spans]
