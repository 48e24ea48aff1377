"""Which fit judges which val passage: never one that has seen its split group."""

import numpy as np

from copylens.config.schema import AttributorConfig, RunConfig
from copylens.fit.cross_fit import CrossFit, unregistered_parts
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


def parts_of(groups: list[tuple[str, str]]) -> list[list[int]]:
    labels = np.full(len(groups), -1)
    texts = TextSet(("x",) * len(groups), (), labels, tuple(groups))
    return [part.tolist() for part in unregistered_parts(texts)]


def test_unregistered_passages_are_held_out_by_kind_and_by_group():
    kinds = [[0, 2], [1, 3]]
    assert parts_of([("a", "1"), ("b", "1"), ("a", "2"), ("b", "1")]) == [*kinds, [0], [1, 3], [2]]
    many = parts_of([(f"kind {n % 12}", "1") for n in range(40)])
    assert len(many) == 8 and many[:4] == many[4:], "a group each"
    assert sorted(n for part in many[:4] for n in part) == list(range(40))
    assert {0, 4, 12} <= set(many[0])


def test_of_one_kind_they_are_held_out_by_group_and_of_one_group_not_at_all():
    assert parts_of([("a", "1"), ("a", "2"), ("a", "1"), ("a", "3")]) == [[0, 2], [1], [3]]
    assert parts_of([]) == parts_of([("a", "1")] * 3) == []
