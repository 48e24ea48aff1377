"""P-values by split group, and their correction for many sub-datasets.

Under the null hypothesis, "the LM was not trained on any of it", membership labels are exchangeable
between units. Passages of one book are not independent, so:
- a split group that holds members and non-members is a stratum of its own, and its passages are the
  units: what the group has in common cancels;
- split groups that hold one kind only are units as wholes, each with its mean score.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb, prod

import numpy as np

from copylens.records import BoolArray, FloatArray, IntArray

# Stands for "all groups of one kind": no split group can be named so.
_PURE = "\0"
# Permutations drawn at once: 1,000 x 600 units stay within a few megabytes.
_BLOCK = 1000


@dataclass(frozen=True)
class Units:
    """The exchangeable units: single passages, or whole split groups.

    Attributes:
        unit_of: [N] number of each passage's unit; -1 for a passage that is not used, since its
            stratum has units of one kind only.
        stratum: [U] number of each unit's stratum, ascending.
        member: [U] the membership label.
    """

    unit_of: IntArray
    stratum: IntArray
    member: BoolArray

    @property
    def strata(self) -> list[BoolArray]:
        """Of each stratum which units [U] it has."""
        return [self.stratum == s for s in np.unique(self.stratum)]

    @property
    def arrangements(self) -> int:
        """Number of ways to permute the labels within strata; 1 over it is the least p-value."""
        strata = (self.member[mine] for mine in self.strata)
        return prod(comb(len(mine), int(mine.sum())) for mine in strata)

    @property
    def between(self) -> bool:
        """True where any unit is a whole group."""
        sizes = np.bincount(self.unit_of[self.unit_of >= 0])
        return bool((sizes > 1).any())

    def only(self, kept: BoolArray) -> "Units":
        """The units [U] that are kept, without strata that have one kind left."""
        kept = kept.copy()
        for stratum in self.strata:
            mine = stratum & kept
            kept &= ~mine | (len(np.unique(self.member[mine])) == 2)
        number = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
        strata = np.unique(self.stratum[kept])
        return Units(
            unit_of=number[self.unit_of],
            stratum=np.searchsorted(strata, self.stratum[kept]),
            member=self.member[kept],
        )

    def halves(self, seed: int) -> tuple["Units", "Units"]:
        """Two random halves of the units, stratified by stratum and label."""
        order = np.random.default_rng([seed, 29]).permutation(len(self.member))
        first = np.zeros(len(self.member), bool)
        for stratum in self.strata:
            for side in (True, False):
                mine = order[stratum[order] & (self.member[order] == side)]
                first[mine[::2]] = True
        return self.only(first), self.only(~first)

    def means(self, scores: FloatArray) -> FloatArray:
        """Scores of passages [N, S] -> of units [U, S], centred in each stratum."""
        kept = self.unit_of >= 0
        sums = np.zeros((len(self.stratum), scores.shape[1]))
        np.add.at(sums, self.unit_of[kept], scores[kept])
        values = sums / np.bincount(self.unit_of[kept], minlength=len(sums))[:, None]
        for mine in self.strata:
            values[mine] -= values[mine].mean(axis=0)
        return values


def make_units(groups: Sequence[str], member: BoolArray) -> Units:
    """Units of passages [N] from their split groups and labels."""
    both = of_both_kinds(groups, member)
    keys = [(group, str(n)) if group in both else (_PURE, group) for n, group in enumerate(groups)]
    of_key: dict[tuple[str, str], bool] = dict(zip(keys, map(bool, member)))
    strata = sorted(of_both_kinds([stratum for stratum, _ in of_key], of_key.values()))
    units = sorted(key for key in of_key if key[0] in strata)
    place = {key: number for number, key in enumerate(units)}
    return Units(
        unit_of=np.array([place.get(key, -1) for key in keys], np.int64),
        stratum=np.array([strata.index(s) for s, _ in units], np.int64),
        member=np.array([of_key[key] for key in units], bool),
    )


def of_both_kinds(names: Iterable[str], member: Iterable[bool]) -> set[str]:
    """The names that come with a member and with a non-member."""
    seen = {(name, bool(said)) for name, said in zip(names, member)}
    return {name for name, said in seen if (name, not said) in seen}


def p_values(units: Units, scores: FloatArray, permutations: int, seed: int) -> FloatArray:
    """One-sided permutation p-values [S] of "members score no higher", for scores [N, S].

    The statistic is the sum of the members' centred scores: in each stratum the difference of the
    two means, weighted by n_members * n_others / n, its inverse variance. Valid for any scores that
    do not depend on the labels. (Phipson and Smyth 2010: the observed arrangement
    counts as one of them, so that no p-value is 0.)
    """
    values = units.means(scores)
    observed = values[units.member].sum(axis=0)
    # Sums in another order differ in the last digits; equal values must compare as equal.
    bound = observed - 1e-9 * np.abs(values).sum(axis=0)
    generator = np.random.default_rng([seed, 17])
    reached = np.zeros(scores.shape[1], np.int64)
    for start in range(0, permutations, _BLOCK):
        drawn = _arrangements(units, min(_BLOCK, permutations - start), generator)
        reached += (drawn @ values >= bound).sum(axis=0)
    return np.asarray((1 + reached) / (1 + permutations))


def standard_errors(units: Units, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The difference of means that the statistic stands for, and its standard error: both [S], in
    the unit of the scores [N, S]; the variance is that within members and others of a stratum.
    """
    values = units.means(scores)
    weight, spread = 0.0, np.zeros(scores.shape[1])
    for mine in units.strata:
        member, x = units.member[mine], values[mine]
        n, m = len(x), int(member.sum())
        weight += m * (n - m) / n
        rest = sum(
            ((x[side] - x[side].mean(axis=0)) ** 2).sum(axis=0) for side in (member, ~member)
        )
        spread += m * (n - m) / n * rest / max(n - 2, 1)
    difference = values[units.member].sum(axis=0) / weight
    return difference, np.sqrt(spread) / weight


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the error rate over all of them stays below the level."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, most = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        most = max(most, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = most
    return corrected


def _arrangements(units: Units, count: int, generator: np.random.Generator) -> FloatArray:
    """Random arrangements [count, U]: 1.0 where a unit is called a member."""
    drawn = np.zeros((count, len(units.member)))
    for stratum in units.strata:
        mine = np.flatnonzero(stratum)
        chosen = int(units.member[mine].sum())
        order = generator.random((count, len(mine))).argpartition(chosen - 1, axis=1)[:, :chosen]
        np.put_along_axis(drawn, mine[order], 1.0, axis=1)
    return drawn
