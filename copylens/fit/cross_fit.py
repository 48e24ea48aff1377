"""Which fit may judge which val passage, so that none has seen the passage's split group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.folds import fold_index
from copylens.config.schema import RunConfig
from copylens.fit.data import TextSet
from copylens.records import IntArray

_NO_FOLD = -1
_PARTS = 4


@dataclass(frozen=True)
class CrossFit:
    """Folds of train by split group, where val shares split groups with train.

    A val passage whose group train does not hold is judged by the fit on all of train (fold None).
    Where val shares its groups with train (chapters of the same books), train is cut into folds
    by group, and a val passage is judged by the fit without the fold that holds its group.

    Attributes:
        train: [N] the fold of each training passage; -1 where there are none.
    """

    train: IntArray
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

    def of_train(self, index: IntArray) -> "CrossFit":
        """The same folds for these positions of train alone."""
        return CrossFit(self.train[index], self._val)

    @property
    def folds(self) -> range:
        """The folds that train is cut into; none where val is all new."""
        return range(int(self.train.max(initial=_NO_FOLD)) + 1)

    @property
    def fits(self) -> Sequence[int | None]:
        """Every fit that is needed, by the fold that it leaves out; None: all of train."""
        return (None, *self.folds)

    def kept(self, fold: int | None) -> IntArray:
        """Positions of the training passages that the fit without `fold` reads."""
        if fold is None:
            return np.arange(len(self.train))
        return np.flatnonzero(self.train != fold)

    def judged(self, fold: int | None) -> IntArray:
        """Positions of the val passages that the fit without `fold` judges."""
        return np.flatnonzero(self._val == (_NO_FOLD if fold is None else fold))


def unregistered_parts(texts: TextSet) -> list[IntArray]:
    """Positions of the unregistered passages that are held out together; none of too few.

    Each passage is held out twice: with its kind (sub-dataset), as what nobody gave, and with its
    split group, as more of what was given. Calibrated on the first alone, registered texts seem
    too strange; on the second alone, strangers of new kinds seem too familiar. Once, where all are
    of one kind.
    """
    kinds = [sub_dataset for sub_dataset, _ in texts.groups]
    return _parts(kinds) + _parts(list(texts.groups))


def _parts(keys: Sequence[object]) -> list[IntArray]:
    """Passages with the same key stay together; at most `_PARTS` parts, none if there is one."""
    numbers = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    count = min(len(numbers), _PARTS)
    if count < 2:
        return []
    part = np.array([numbers[key] % count for key in keys], np.int64)
    return [np.flatnonzero(part == p) for p in range(count)]
