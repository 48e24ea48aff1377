from itertools import product

import numpy as np
import pytest

from copylens.evaluation.bootstrap import mean_interval, paired_difference


def test_few_groups_match_the_enumerated_resamples() -> None:
    # Two groups in one sub-dataset, sizes 2 and 1, sums 2 and 0: resampling gives 0, 2/3, 1.
    found = mean_interval(np.array([1, 1, 0]), ["g", "g", "h"], ["a", "a", "a"], resamples=20_000)
    assert found.estimate == pytest.approx(2 / 3)
    assert found.ends == [0.0, 1.0]
    inner = mean_interval(
        np.array([1, 1, 0]), ["g", "g", "h"], ["a"] * 3, resamples=20_000, level=0.4
    )
    assert inner.ends == pytest.approx([2 / 3, 2 / 3])  # half of all resamples lie there


def test_strata_keep_their_number_of_groups() -> None:
    # Sub-dataset a is always right, b never: within strata no resample can differ.
    correct = np.array([1, 1, 0, 0])
    found = mean_interval(correct, ["g", "h", "i", "j"], ["a", "a", "b", "b"])
    assert found.unit == "split groups within each sub-dataset"
    assert found.ends == [0.5, 0.5]
    assert found.groups == 4


def test_one_group_per_sub_dataset_resamples_all_groups_and_says_so() -> None:
    correct, groups = np.array([1, 0, 1]), ["g", "h", "i"]
    found = mean_interval(correct, groups, ["a", "b", "c"], resamples=50_000)
    assert found.unit == "split groups over all sub-datasets"
    means = [correct[list(draw)].mean() for draw in product(range(3), repeat=3)] * 100
    low, high = np.quantile(means, [0.025, 0.975])
    assert found.ends == pytest.approx([low, high])


def test_groups_of_one_name_in_two_sub_datasets_are_two() -> None:
    correct = np.array([1, 0, 1])
    same, own = (
        mean_interval(correct, groups, ["a", "b", "c"], resamples=2000)
        for groups in (["ch01"] * 3, ["g", "h", "i"])
    )
    assert same == own and same.groups == 3


def test_a_single_group_has_no_interval() -> None:
    found = mean_interval(np.array([1, 0]), ["g", "g"], ["a", "a"])
    assert (found.estimate, found.ends, found.groups) == (0.5, None, 1)


def test_paired_difference_is_narrow_where_methods_fail_together() -> None:
    rng = np.random.default_rng(0)
    groups = [f"g{i // 10}" for i in range(300)]
    hard = np.repeat(rng.random(30), 10)  # books differ widely in difficulty
    first = rng.random(300) < hard
    other = first.copy()
    other[::20] = False
    both = paired_difference(first, other, groups, ["a"] * 300)
    alone = mean_interval(first, groups, ["a"] * 300)
    assert both.estimate == pytest.approx(first.mean() - other.mean())
    assert both.low is not None and both.high is not None
    assert alone.low is not None and alone.high is not None
    assert both.high - both.low < 0.5 * (alone.high - alone.low)
    swapped = paired_difference(other, first, groups, ["a"] * 300)
    assert swapped.ends == pytest.approx([-both.high, -both.low])


def test_intervals_cover_the_truth_and_passage_level_ones_would_not() -> None:
    rng = np.random.default_rng(5)
    group_hits = passage_hits = 0
    for trial in range(200):
        chances = rng.beta(2, 2, size=40)  # mean accuracy 0.5 over books
        correct = (rng.random((40, 20)) < chances[:, None]).ravel()
        books = [f"g{i}" for i in range(40) for _ in range(20)]
        by_group = mean_interval(correct, books, ["a"] * 800, seed=trial, resamples=300)
        group_hits += by_group.low <= 0.5 <= by_group.high  # type: ignore[operator]
        # The textbook interval of 800 independent passages.
        passage_hits += abs(correct.mean() - 0.5) <= 1.96 * correct.std() / np.sqrt(800)
    assert 0.88 <= group_hits / 200 <= 0.99
    assert passage_hits / 200 < 0.75


def test_the_seed_decides() -> None:
    rng = np.random.default_rng(1)
    correct, groups = rng.random(4000) < 0.7, [f"g{i % 600}" for i in range(4000)]
    names = [f"s{i % 8}" for i in range(4000)]
    first = mean_interval(correct, groups, names, seed=4)
    assert first == mean_interval(correct, groups, names, seed=4)
    assert first != mean_interval(correct, groups, names, seed=5)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 values, 1 groups"):
        mean_interval(np.array([1, 0]), ["g"], ["a", "a"])
