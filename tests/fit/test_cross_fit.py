"""Which fit judges which val passage: never one that has seen its split group."""

import numpy as np

from copylens.config.schema import AttributorConfig, RunConfig
from copylens.fit.cross_fit import CrossFit
from copylens.fit.data import TextSet

CONFIG = RunConfig(attributor=AttributorConfig(folds=2))


def texts_of(groups: list[str]) -> TextSet:
    """Passages of split groups whose first character is the sub-dataset's number."""
    return TextSet(("x",) * len(groups), (), np.array([int(g[0]) for g in groups]), tuple(groups))


def test_new_val_groups_are_judged_by_the_fit_on_all_of_train():
    plan = CrossFit.plan(CONFIG, texts_of(["0a", "0b", "1a", "1b"]), texts_of(["0c", "1c"]))
    assert list(plan.fits) == [None]
    assert plan.kept(None).tolist() == [0, 1, 2, 3]
    assert plan.judged(None).tolist() == [0, 1]


def test_val_is_judged_by_fits_that_have_not_seen_its_group():
    train = texts_of(["0a", "0a", "0b", "1a", "1b", "1b"])
    val = texts_of(["0a", "1b", "0c"])
    plan = CrossFit.plan(CONFIG, train, val)
    assert list(plan.fits) == [None, 0, 1]
    for fold in plan.folds:
        seen = {train.groups[i] for i in plan.kept(fold)}
        assert not seen & {val.groups[i] for i in plan.judged(fold)}
    # The group that train does not hold is judged by the fit on all of it.
    assert plan.judged(None).tolist() == [2]


def test_every_val_passage_is_judged_once_and_every_train_passage_is_left_out_once():
    train = texts_of([f"{k}{g}" for k in range(3) for g in "abcd" for _ in range(5)])
    val = texts_of([f"{k}{g}" for k in range(3) for g in "abcdz"])
    plan = CrossFit.plan(CONFIG, train, val)
    judged = np.concatenate([plan.judged(fold) for fold in plan.fits])
    assert sorted(judged) == list(range(len(val)))
    left_out = [set(range(len(train))) - set(plan.kept(fold)) for fold in plan.folds]
    assert sorted(i for part in left_out for i in part) == list(range(len(train)))
