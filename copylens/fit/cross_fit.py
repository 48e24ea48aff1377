"""Which fit may judge which val passage, so that none has seen the passage's split group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.folds import fold_index
from copylens.config.schema import RunConfig
from copylens.fit.data import TextSet
from copylens.records import IntArray

_NO_FOLD = -1


@dataclass(frozen=True)
class CrossFit:
    """Folds of train by split group, where val shares split groups with train.

    A val passage whose group train does not hold is judged by the fit on all of train (fold None).
    Where val shares its groups with train (chapters of the same books), train is cut into folds
    by group, and a val passage is judged by the fit without the fold that holds its group.
    """

    _train: IntArray
    _val: IntArray

    @classmethod
    def plan(cls, config: RunConfig, train: TextSet, val: TextSet) -> "CrossFit":
        """Cuts train into `attributor.folds` folds if val shares split groups with it."""
        if not set(val.groups) & set(train.groups):
            return cls(np.full(len(train), _NO_FOLD), np.full(len(val), _NO_FOLD))
        fold = fold_index(train.labels, train.group_index, config.attributor.folds, config.seed)
        fold_of = dict(zip(train.groups, fold))
        judge = [fold_of.get(group, _NO_FOLD) for group in val.groups]
        return cls(fold, np.array(judge, np.int64))

    @property
    def folds(self) -> range:
        """The folds that train is cut into; none where val is all new."""
        return range(int(self._train.max(initial=_NO_FOLD)) + 1)

    @property
    def fits(self) -> Sequence[int | None]:
        """Every fit that is needed, by the fold that it leaves out; None: all of train."""
        return (None, *self.folds)

    def kept(self, fold: int | None) -> IntArray:
        """Positions of the training passages that the fit without `fold` reads."""
        if fold is None:
            return np.arange(len(self._train))
        return np.flatnonzero(self._train != fold)

    def judged(self, fold: int | None) -> IntArray:
        """Positions of the val passages that the fit without `fold` judges."""
        return np.flatnonzero(self._val == (_NO_FOLD if fold is None else fold))
