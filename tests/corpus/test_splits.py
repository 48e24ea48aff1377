from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copylens.config.schema import CorpusConfig
from copylens.corpus.checks import Kind, UnsplitPassage
from copylens.corpus.sampling import limit_passages
from copylens.corpus.splits import require_splits, split_passages, spread_groups
from copylens.errors import CorpusError
from copylens.records import Group, Passage, SplitName

CONFIG = CorpusConfig()
FRACTIONS: dict[SplitName, float] = {"train": 0.68, "test": 0.2, "val": 0.12}


def unsplit_of(
    sub_dataset: str,
    sizes: list[int],
    split: SplitName | None = None,
    kind: Kind = "registered",
) -> list[UnsplitPassage]:
    return [
        UnsplitPassage(
            0,
            kind,
            f"{sub_dataset}/{g}/{n}{split or ''}",
            "t",
            sub_dataset,
            "",
            "",
            "",
            "",
            f"g{g}",
            split,
        )
        for g, size in enumerate(sizes)
        for n in range(size)
    ]


def places(passages: list[Passage]) -> dict[Group, set[str]]:
    found: dict[Group, set[str]] = {}
    for p in passages:
        found.setdefault((p.sub_dataset, p.split_group), set()).add(p.split)
    return found


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@given(first=SIZES, second=SIZES, ood=SIZES, seed=st.integers(0, 99))
def test_no_group_lies_in_two_splits_and_three_groups_fill_all(
    first: list[int], second: list[int], ood: list[int], seed: int
) -> None:
    unsplit = unsplit_of("x", first) + unsplit_of("y", second) + unsplit_of("o", ood, kind="ood")
    passages = split_passages(unsplit, CONFIG, seed)
    assert [p.id for p in passages] == [d.id for d in unsplit]
    assert all(len(splits) == 1 for splits in places(passages).values())
    for name, sizes in (("x", first), ("y", second)):
        used = {p.split for p in passages if p.sub_dataset == name}
        assert used <= {"train", "val", "test"}
        if len(sizes) >= 3:
            assert used == {"train", "val", "test"}
        if len(sizes) == 2:
            assert used == {"train", "test"}
    assert {p.split for p in passages if p.sub_dataset == "o"} == (
        {"ood_val", "ood_test"} if len(ood) > 1 else {"ood_test"}
    )


@given(sizes=st.lists(st.integers(1, 20), min_size=40, max_size=80), seed=st.integers(0, 99))
def test_fractions_hold_by_passages(sizes: list[int], seed: int) -> None:
    groups: dict[Group, int] = {("x", str(n)): size for n, size in enumerate(sizes)}
    chosen = spread_groups(groups, FRACTIONS, {}, seed)
    total = sum(sizes)
    for split, share in FRACTIONS.items():
        held = sum(size for group, size in groups.items() if chosen[group] == split)
        # Where no move helps, two splits' excesses differ by at most a group's size; three that
        # sum to zero then stay within two thirds of it.
        assert abs(held - share * total) <= 2 / 3 * 20


def test_a_huge_group_goes_to_train() -> None:
    for seed in range(20):
        sizes: dict[Group, int] = {("x", "small"): 10, ("x", "big"): 500, ("x", "tiny"): 5}
        assert spread_groups(sizes, FRACTIONS, {}, seed)["x", "big"] == "train"


def test_the_seed_decides_and_decides_alike() -> None:
    unsplit = unsplit_of("x", [3] * 30)
    first = split_passages(unsplit, CONFIG, 1)
    assert split_passages(unsplit, CONFIG, 1) == first
    assert split_passages(unsplit, CONFIG, 2) != first
    # The order of the rows does not matter to where a group goes.
    assert places(split_passages(unsplit[::-1], CONFIG, 1)) == places(first)


def test_own_splits_stay_and_the_rest_of_a_group_follows() -> None:
    unsplit = unsplit_of("x", [4, 4], "test") + unsplit_of("x", [2] * 12)
    passages = split_passages(unsplit, CONFIG, 0)
    assert all(p.split == "test" for p in passages[:8])
    # Groups g0 and g1 have rows of both kinds.
    assert places(passages)["x", "g0"] == places(passages)["x", "g1"] == {"test"}
    # With 12 of 32 passages in test already, the other groups leave it alone.
    assert "test" not in {p.split for p in passages if p.split_group not in ("g0", "g1")}


def test_the_data_s_own_split_may_cut_a_group() -> None:
    cut = unsplit_of("x", [5], "train") + unsplit_of("x", [1], "val")
    assert Counter(p.split for p in split_passages(cut, CONFIG, 0)) == {"train": 5, "val": 1}


def test_ood_groups_are_shared_out_2_to_3() -> None:
    unsplit = unsplit_of("o", [10] * 10, kind="ood")
    held = Counter(p.split for p in split_passages(unsplit, CONFIG, 0))
    assert held == {"ood_val": 40, "ood_test": 60}


def test_background_says_nothing_about_an_ood_group_of_the_same_name() -> None:
    unsplit = unsplit_of("o", [3], "background", "background") + unsplit_of("o", [2], kind="ood")
    held = Counter(p.split for p in split_passages(unsplit, CONFIG, 0))
    assert held == {"background": 3, "ood_test": 2}


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        (("train", "val"), "sub-dataset 'y' has no test passages; give it at least 3"),
        (("test", "val"), "sub-dataset 'y' has no train passages"),
        (("train", "test"), "no sub-dataset has val passages"),
    ],
)
def test_a_missing_split_is_an_error(splits: tuple[SplitName, ...], words: str) -> None:
    unsplit = [d for split in ("train", "test") for d in unsplit_of("x", [2], split)]
    unsplit += [d for split in splits for d in unsplit_of("y", [2], split)]
    with pytest.raises(CorpusError) as caught:
        require_splits(split_passages(unsplit, CONFIG, 0), ["x", "y"])
    assert words in str(caught.value)


@given(sizes=SIZES, limit=st.integers(1, 60), seed=st.integers(0, 9))
def test_a_limit_is_spread_evenly_over_groups(sizes: list[int], limit: int, seed: int) -> None:
    unsplit = unsplit_of("x", sizes)
    kept = limit_passages(unsplit, limit, seed)
    assert len(kept) == min(limit, sum(sizes))
    taken = Counter(d.split_group for d in kept)
    # Nobody gives two more than a group that still has some left.
    for number, size in enumerate(sizes):
        if taken[f"g{number}"] < size:
            assert max(taken.values()) - taken[f"g{number}"] <= 1


def test_a_limit_takes_from_all_over_a_group_and_keeps_own_splits() -> None:
    unsplit = unsplit_of("x", [100])
    assert [d.id for d in limit_passages(unsplit, 4, 0)] == ["x/0/12", "x/0/37", "x/0/62", "x/0/87"]
    mixed = (
        unsplit_of("x", [80], "train") + unsplit_of("x", [2], "val") + unsplit_of("x", [18], "test")
    )
    held = Counter(d.split for d in limit_passages(mixed, 10, 0))
    assert held == {"train": 8, "val": 1, "test": 1}


def test_a_limit_holds_for_each_sub_dataset() -> None:
    unsplit = unsplit_of("x", [9]) + unsplit_of("y", [3]) + unsplit_of("o", [9], kind="ood")
    held = Counter(d.sub_dataset for d in limit_passages(unsplit, 5, 0))
    assert held == {"x": 5, "y": 3, "o": 5}
