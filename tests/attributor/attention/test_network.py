"""The attributor network and its data: padding, resuming, mixtures, folds."""

import numpy as np
import pytest
import torch

from copylens.attributor.attention.dataset import StateSet, mixed_batch, moments, plain_batch
from copylens.attributor.attention.network import (
    AttributorNetwork,
    NetworkShape,
    RowDropout,
    masked_moments,
)
from copylens.attributor.attention.training import epoch_batches, evaluate, fit_network, predict
from copylens.attributor.folds import fold_index
from copylens.config.schema import AttributorConfig

K, F = 3, 6


def toy(n: int, seed: int) -> StateSet:
    """Passages whose label shows in the mean of one feature."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, K, size=n)
    values = []
    for label in labels:
        array = generator.normal(size=(int(generator.integers(3, 12)), F))
        array[:, label] += 2.5
        values.append(array.astype(np.float16))
    return StateSet(tuple(values), labels)


CONFIG = AttributorConfig(hidden=8, projection=8, epochs=4, batch_size=16, dropout=0.1)


def test_padding_does_not_matter():
    torch.manual_seed(0)
    network = AttributorNetwork(NetworkShape(F, K, 8, 8, 0.0)).eval()
    data = toy(5, 0)
    together = predict(network, data.values)
    for i, array in enumerate(data.values):
        alone = predict(network, (array,))
        np.testing.assert_allclose(alone.text[0], together.text[i], atol=1e-5)
        np.testing.assert_allclose(alone.windows[0], together.windows[i], atol=1e-5)
        np.testing.assert_allclose(alone.features[0], together.features[i], atol=1e-5)


def test_masked_moments_against_numpy():
    x = torch.randn(2, 5, F)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    got = masked_moments(x, mask)
    for b, n in enumerate((5, 2)):
        rows = x[b, :n].numpy()
        np.testing.assert_allclose(got[b, :F], rows.mean(axis=0), atol=1e-5)
        expected = np.sqrt(rows.var(axis=0) + 1e-6)
        np.testing.assert_allclose(got[b, F:], expected, atol=1e-5)


def test_moments_against_numpy():
    data = toy(9, 1)
    rows = np.concatenate(data.values).astype(np.float64)
    mean, deviation = moments(data)
    np.testing.assert_allclose(mean, rows.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(deviation, rows.std(axis=0), atol=1e-5)


def test_training_learns_and_gives_the_best_epoch():
    network, progress = fit_network(toy(200, 2), toy(80, 3), K, CONFIG, seed=0)
    loss, accuracy = evaluate(network, toy(80, 3), K)
    assert accuracy > 0.9
    assert loss == pytest.approx(min(entry["val_loss"] for entry in progress.curve), abs=1e-5)


def test_a_resumed_fit_ends_where_an_undisturbed_one_does():
    train, val = toy(60, 4), toy(30, 5)
    saved = []
    import copy

    whole, _ = fit_network(
        train, val, K, CONFIG, seed=1, on_epoch=lambda p: saved.append(copy.deepcopy(p))
    )
    resumed, progress = fit_network(train, val, K, CONFIG, seed=1, resume=saved[1])
    assert progress.epoch == len(saved)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_the_same_seed_gives_the_same_network():
    train, val = toy(40, 6), toy(20, 7)
    first, _ = fit_network(train, val, K, CONFIG, seed=3)
    again, _ = fit_network(train, val, K, CONFIG, seed=3)
    other, _ = fit_network(train, val, K, CONFIG, seed=4)
    assert torch.equal(first.moment_head.weight, again.moment_head.weight)
    assert not torch.equal(first.moment_head.weight, other.moment_head.weight)


def test_epoch_batches_hold_everything_once_and_change_with_the_epoch():
    first = [tuple(b) for b in epoch_batches(10, 4, (0, 0))]
    assert [len(b) for b in first] == [4, 4, 2]
    assert sorted(i for b in first for i in b) == list(range(10))
    assert first != [tuple(b) for b in epoch_batches(10, 4, (0, 1))]


def test_mixtures_are_made_of_their_parts():
    data = toy(20, 8)
    index = list(range(20))
    batch = mixed_batch(data, index, K, 1.0, 3, (0, 0, 0))
    mixed = 0
    for b in range(20):
        W = int(batch.lengths[b])
        targets = batch.window_targets[b, :W].numpy()
        np.testing.assert_allclose(batch.targets[b], np.bincount(targets, minlength=K) / W)
        mixed += len(set(targets)) > 1
        # Each run of windows is a contiguous piece of a passage of that label.
        window = batch.values[b, 0].numpy().astype(np.float16)
        sources = [
            label
            for values, label in zip(data.values, data.labels)
            if (values == window).all(1).any()
        ]
        assert targets[0] in sources
    assert mixed > 5
    assert (batch.window_targets[0, int(batch.lengths[0]) :] == -1).all()


def test_a_rows_mixture_does_not_depend_on_the_rows_beside_it():
    data = toy(20, 9)
    together = mixed_batch(data, [3, 4, 5], K, 1.0, 3, (1, 2, 3))
    alone = mixed_batch(data, [4], K, 1.0, 3, (1, 2, 3))
    W = int(alone.lengths[0])
    assert torch.equal(together.values[1, :W], alone.values[0])


def test_no_mixtures_is_a_plain_batch():
    data = toy(6, 10)
    mixed = mixed_batch(data, [0, 5], K, 0.0, 3, (0, 0, 0))
    plain = plain_batch(data, [0, 5], K)
    assert torch.equal(mixed.values, plain.values)
    assert torch.equal(mixed.targets, plain.targets)


@pytest.mark.parametrize("groups_per_class", [1, 2, 5])
def test_folds_keep_groups_whole_and_spread_classes(groups_per_class):
    labels = np.repeat(np.arange(4), 30)
    groups = np.repeat(np.arange(4 * groups_per_class), 30 // groups_per_class)
    fold = fold_index(labels, groups, 3, seed=0)
    parts = set(fold)
    assert parts == set(range(3 if groups_per_class == 1 else min(3, groups_per_class)))
    for k in range(4):
        assert set(fold[labels == k]) == parts
    if groups_per_class > 1:
        for g in np.unique(groups):
            assert len(set(fold[groups == g])) == 1


def test_dropout_belongs_to_a_row_and_not_to_its_neighbours():
    shape = NetworkShape(features=6, classes=3, hidden=8, projection=8, dropout=0.5)
    torch.manual_seed(0)
    network = AttributorNetwork(shape).train()
    values, lengths = torch.randn(3, 5, 6), torch.tensor([5, 2, 3])
    values[1, 2:], values[2, 3:] = 0, 0
    together = network(values, lengths, seeds=[11, 12, 13])
    alone = network(values[1:2, :2], lengths[1:2], seeds=[12])
    torch.testing.assert_close(together.text[1:2], alone.text)
    torch.testing.assert_close(together.windows[1:2, :2], alone.windows)
    other = network(values[1:2, :2], lengths[1:2], seeds=[13])
    assert not torch.allclose(alone.text, other.text)


def test_dropout_keeps_the_mean_and_drops_the_given_share():
    drawn = RowDropout(0.3).drawn(torch.tensor([4000]), [5])
    kept = drawn(torch.ones(1, 4000, 4))
    assert float((kept == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.02)
    assert RowDropout(0.3).drawn(torch.tensor([1]), None)(kept) is kept
