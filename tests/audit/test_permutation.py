"""P-values against every arrangement there is, under the null hypothesis, and Holm's correction."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from copylens.audit.permutation import holm, make_units, p_values, standard_errors


def exact(values, member) -> float:
    """Share of all arrangements of one stratum whose members' sum is at least the observed."""
    observed = values[member].sum()
    sums = [values[list(c)].sum() for c in combinations(range(len(values)), member.sum())]
    return float(np.mean(np.array(sums) >= observed - 1e-12))


def test_passages_of_a_mixed_group_change_places():
    rng = np.random.default_rng(1)
    scores, member = rng.normal(size=(9, 2)), np.array([True] * 4 + [False] * 5)
    units = make_units(["novel"] * 9, member)
    assert units.arrangements == 126 and not units.between
    found = p_values(units, scores, 40_000, seed=0)
    for s in range(2):
        assert found[s] == pytest.approx(exact(scores[:, s], member), abs=0.01)


def test_pure_groups_change_places_as_wholes():
    rng = np.random.default_rng(2)
    groups = [f"g{n}" for n in range(7) for _ in range(n + 1)]
    member = np.array([int(g[1]) % 2 == 0 for g in groups])
    scores = rng.normal(size=(len(groups), 1))
    units = make_units(groups, member)
    assert units.arrangements == 35 and units.between
    means = np.array([scores[np.array(groups) == f"g{n}", 0].mean() for n in range(7)])
    expected = exact(means, np.arange(7) % 2 == 0)
    assert p_values(units, scores, 40_000, seed=0)[0] == pytest.approx(expected, abs=0.01)


def test_what_a_group_has_in_common_changes_nothing():
    rng = np.random.default_rng(3)
    groups = ["a"] * 10 + ["b"] * 10
    member = np.array(([True] * 5 + [False] * 5) * 2)
    scores = rng.normal(size=(20, 1))
    units = make_units(groups, member)
    shifted = scores + np.array([[5.0]] * 10 + [[-3.0]] * 10)
    np.testing.assert_allclose(p_values(units, scores, 999, 0), p_values(units, shifted, 999, 0))
    np.testing.assert_allclose(standard_errors(units, scores), standard_errors(units, shifted))


def test_a_group_of_its_own_kind_among_mixed_ones_tells_nothing():
    member = np.array([True, False, True, True])
    units = make_units(["a", "a", "b", "b"], member)
    assert sorted(units.unit_of.tolist()) == [-1, -1, 0, 1]
    none = make_units(["a", "b"], np.array([True, True]))
    assert len(none.member) == 0 and none.arrangements == 1


@pytest.mark.parametrize("mixed", [True, False])
def test_p_values_are_uniform_where_nothing_was_read(mixed):
    """Groups differ widely; a test over passages would find that to be training."""
    rng = np.random.default_rng(4)
    found = []
    for repeat in range(300):
        groups = np.repeat(np.arange(14), 6)
        own = rng.integers(0, 2, 84) if mixed else np.repeat(rng.permutation([0, 1] * 7), 6)
        scores = rng.normal(size=(84, 1)) + 3 * rng.normal(size=14)[groups][:, None]
        units = make_units([f"g{g}" for g in groups], own.astype(bool))
        found.append(p_values(units, scores, 199, seed=repeat)[0])
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) < 0.05) < 0.09


def test_the_difference_is_that_of_the_means():
    rng = np.random.default_rng(5)
    member = np.array([True] * 30 + [False] * 20)
    scores = rng.normal(size=(50, 1)) + member[:, None]
    found, error = standard_errors(make_units(["a"] * 50, member), scores)
    x, y = scores[member, 0], scores[~member, 0]
    assert found[0] == pytest.approx(x.mean() - y.mean())
    expected = stats.ttest_ind(x, y)
    assert found[0] / error[0] == pytest.approx(expected.statistic)


def closed_testing(p: list[float]) -> list[float]:
    """Holm's correction is the closed test with Bonferroni in every intersection (Marcus 1976)."""
    n = len(p)
    sets = [c for size in range(1, n + 1) for c in combinations(range(n), size)]
    return [max(min(1.0, len(c) * min(p[i] for i in c)) for c in sets if k in c) for k in range(n)]


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_test(seed):
    p = list(np.random.default_rng(seed).beta(0.4, 2, size=6))
    assert holm(p) == pytest.approx(closed_testing(p))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_halves_share_no_unit():
    groups = [f"g{n // 2}" for n in range(60)]
    member = np.array([n // 2 % 3 != 0 for n in range(60)])
    one, other = make_units(groups, member).halves(seed=0)
    tested = [{groups[i] for i in np.flatnonzero(half.unit_of >= 0)} for half in (one, other)]
    assert not tested[0] & tested[1] and len(tested[0] | tested[1]) == 30
    for half in (one, other):
        assert len(half.member) == 15 and half.member.sum() == 10
        chosen = np.flatnonzero(half.unit_of >= 0)
        np.testing.assert_array_equal(half.member[half.unit_of[chosen]], member[chosen])
