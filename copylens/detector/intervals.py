"""Intervals of shares: how far the true proportion may lie from a share (ours)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from scipy.optimize import isotonic_regression

from copylens.detector.calibration import between_lengths
from copylens.records import BoolArray, FloatArray, IntArray
from copylens.store.arrays import Arrays, parts_of, sequence

# Bins of shares, and the fewest shares that one may hold.
_BINS, _LEAST = 40, 40
# Levels of miss that are tried, as parts of what the intervals may miss.
_MISSES = np.arange(0.5, 3.01, 0.1)
# How far the coverage of one kind of text may lie below that of all kinds.
_LESS_OF_A_KIND = 0.02
# In which coverage is measured on texts that the quantiles were not taken from.
_FOLDS = 5


@dataclass(frozen=True)
class ShareIntervals:
    """How far the true proportion may lie from a share, read off held-out texts (ours).

    Quantiles of the truth in bins of like shares, interpolated between the bins; of texts of one
    length.

    Attributes:
        tokens: > 0, the length.
        share: [B] mean share of each bin, ascending.
        low, high: [B] ends of the interval there.
    """

    tokens: float
    share: FloatArray
    low: FloatArray
    high: FloatArray

    def arrays(self) -> Arrays:
        """Every parameter by its name."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "ShareIntervals":
        """The inverse of `arrays`."""
        return cls(arrays["tokens"].item(), *(arrays[n] for n in ("share", "low", "high")))

    def bounds(self, share: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Ends of the intervals of shares of any shape; the share lies between them."""
        low = np.interp(share, self.share, self.low)
        high = np.interp(share, self.share, self.high)
        return np.minimum(low, share), np.maximum(high, share)


def fit_intervals(
    shares: FloatArray,
    truth: FloatArray,
    texts: tuple[IntArray, IntArray],
    *,
    coverage: float,
    tokens: float,
) -> ShareIntervals:
    """Calibrates on held-out texts of known proportions, so that intervals hold true sources.

    What a text has nothing of is nearly always held by an interval that reaches down to 0, and
    there are K - 1 such shares of a text with one source. So coverage is that of true sources
    alone, each kind of text weighing the same and none much below the others; true sources and the
    rest weigh the same in a bin. It is measured on texts that the quantiles were not taken from.

    Args:
        shares, truth: [N] of pairs of text and sub-dataset, in [0, 1].
        texts: [N] number of the kind of text (pure, mixed, ...), and of what belongs together.
        coverage: e.g. 0.9, the share of true sources that fall into their interval.
        tokens: the length that the texts have.
    """
    kinds, present = texts[0], truth > 0
    weight = np.zeros(len(shares))
    for kind in np.unique(kinds):
        for side in (present, ~present):
            chosen = (kinds == kind) & side
            weight[chosen] = 1 / max(chosen.sum(), 1)
    fold = _folds(*texts)
    everything = _bins(shares, truth, weight, fold >= 0)
    several = range(int(fold.max()) + 1) if fold.any() else ()
    others = [_bins(shares, truth, weight, fold != k) for k in several] or [everything]

    def promised(miss: float) -> bool:
        """Whether intervals with this miss hold as many true sources as asked."""
        inside = np.zeros(len(shares), bool)
        for k, bins in enumerate(others):
            low, high = _intervals(bins, miss, tokens).bounds(shares[fold == k])
            inside[fold == k] = (low <= truth[fold == k]) & (truth[fold == k] <= high)
        by_kind = [inside[present & (kinds == k)].mean() for k in np.unique(kinds[present])]
        return bool(np.mean(by_kind) >= coverage and min(by_kind) >= coverage - _LESS_OF_A_KIND)

    misses = np.minimum((1 - coverage) * _MISSES, 0.9) if present.any() else [1 - coverage]
    # The first is taken whatever comes; the rest as long as what was asked is kept.
    kept = list(takewhile(promised, map(float, misses[1:])))
    return _intervals(everything, kept[-1] if kept else float(misses[0]), tokens)


def _folds(kinds: IntArray, groups: IntArray) -> IntArray:
    """[N] fold of each pair; what belongs together stays together."""
    _, number = np.unique(np.stack([kinds, groups]), axis=1, return_inverse=True)
    return np.asarray(number.ravel() % min(_FOLDS, int(number.max()) + 1))


@dataclass(frozen=True)
class _Bin:
    """Pairs of like shares.

    Attributes:
        share: their mean.
        truth: [n] ascending.
        reached: [n] cumulative weight, ends at 1.
    """

    share: float
    truth: FloatArray
    reached: FloatArray

    def quantile(self, level: float) -> float:
        """The smallest truth that reaches the level."""
        return float(
            self.truth[min(int(np.searchsorted(self.reached, level)), len(self.truth) - 1)]
        )


def _bins(
    shares: FloatArray, truth: FloatArray, weight: FloatArray, chosen: BoolArray
) -> list[_Bin]:
    """Bins of equal weight over the chosen pairs."""
    shares, truth, weight = shares[chosen], truth[chosen], weight[chosen]
    order = np.argsort(shares, kind="stable")
    reached = np.cumsum(weight[order])
    bins = max(1, min(_BINS, len(order) // _LEAST))
    ends = np.searchsorted(reached, np.linspace(0, reached[-1], bins + 1)[1:-1])
    # Equal shares stay in one bin.
    ends = np.unique(np.searchsorted(shares[order], shares[order][ends]))
    found = []
    for place in np.split(order, ends):
        if len(place):
            ranked = place[np.argsort(truth[place], kind="stable")]
            mean = float(np.average(shares[place], weights=weight[place]))
            found.append(_Bin(mean, truth[ranked], np.cumsum(weight[ranked]) / weight[place].sum()))
    return found


def _intervals(bins: Sequence[_Bin], miss: float, tokens: float) -> ShareIntervals:
    """Intervals that leave out `miss` / 2 on either side."""
    ends = [(b.share, b.quantile(miss / 2), b.quantile(1 - miss / 2)) for b in bins]
    share, low, high = np.array(ends).T
    # Ends of few texts go up and down by chance; a larger share has larger ones.
    low, high = (isotonic_regression(end).x for end in (low, high))
    return ShareIntervals(tokens, share, low, high)


@dataclass(frozen=True)
class IntervalsByLength:
    """Intervals of shares, of short texts apart.

    Attributes:
        levels: ascending by `tokens`.
    """

    levels: tuple[ShareIntervals, ...]

    def bounds(self, share: FloatArray, tokens: int) -> tuple[FloatArray, FloatArray]:
        """Ends of the intervals of one text's shares [K]; the share lies between them."""
        lengths = [level.tokens for level in self.levels]
        ends = [np.stack(level.bounds(share))[None] for level in self.levels]  # [1, 2, K]
        low, high = between_lengths(lengths, ends, np.array([tokens]))[0]
        return low, high

    def arrays(self) -> Arrays:
        """Every parameter by its name."""
        return sequence(level.arrays() for level in self.levels)

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "IntervalsByLength":
        """The inverse of `arrays`."""
        return cls(tuple(map(ShareIntervals.from_arrays, parts_of(arrays))))
