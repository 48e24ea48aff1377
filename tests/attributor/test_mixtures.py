"""Mixtures: borders, texts, states and true shares agree with the passages that they come from."""

import numpy as np
import pytest

from copylens.attributor.mixtures import (
    Mixture,
    Texts,
    beginnings,
    join_pairs,
    join_states,
    make_mixtures,
    segment_labels,
    true_shares,
)
from copylens.records import States

K = 4
LETTERS = "abcd"


def passage(label: int, windows: int) -> tuple[str, States]:
    """A text of its label's letter with a blank every tenth character; window n's value is n."""
    text = "".join(" " if n % 10 == 9 else LETTERS[label] for n in range(10 * windows))
    starts = np.arange(windows, dtype=np.int32) * 10
    spans = np.stack([starts, starts + 10], axis=1)
    values = np.stack([np.full(windows, label), np.arange(windows)], axis=1).astype(np.float16)
    return text, States(values, spans, tokens=3 * windows)


@pytest.fixture(scope="module")
def made() -> list[Mixture]:
    passages = [passage(label, 12) for label in range(K) for _ in range(5)]
    texts, states = zip(*passages)
    return make_mixtures(texts, states, np.repeat(np.arange(K), 5), 200, most_parts=3, seed=0)


def test_every_part_is_a_stretch_of_its_sub_datasets_passage(made) -> None:
    for mixture in made:
        ends = [end for _, end, _ in mixture.borders]
        assert [start for start, *_ in mixture.borders] == [0, *ends[:-1]]
        assert ends[-1] == len(mixture.text)
        for start, end, label in mixture.borders:
            assert set(mixture.text[start:end]) == {LETTERS[label], " "}


def test_a_mixture_has_two_to_so_many_different_sub_datasets(made) -> None:
    counts = [len(mixture.borders) for mixture in made]
    assert set(counts) == {2, 3}
    for mixture in made:
        labels = [label for *_, label in mixture.borders]
        assert len(set(labels)) == len(labels)
    assert {label for mixture in made for *_, label in mixture.borders} == set(range(K))


def test_the_states_are_those_of_the_parts_and_their_spans_point_into_the_text(made) -> None:
    for mixture in made:
        labels = mixture.states.values[:, 0]
        for (start, end), label, place in zip(
            mixture.states.spans, labels, mixture.states.values[:, 1]
        ):
            assert set(mixture.text[start:end]) <= {LETTERS[int(label)], " "}
            assert end - start == 10
            assert 0 <= place < 12
        np.testing.assert_array_equal(segment_labels(mixture, mixture.states.spans), labels)
        for *_, label in mixture.borders:
            # A part is one contiguous stretch of its passage.
            places = mixture.states.values[labels == label, 1]
            np.testing.assert_array_equal(np.diff(places), 1)


def test_true_shares_are_the_parts_of_the_text(made) -> None:
    for mixture in made:
        letters = [mixture.text.count(letter) for letter in LETTERS]
        expected = np.array(letters) / sum(letters)
        # Blanks between the parts count as the part that they end.
        assert true_shares(mixture, K) == pytest.approx(expected, abs=0.03)
        assert true_shares(mixture, K).sum() == pytest.approx(1)


def test_a_mixture_is_about_as_long_as_a_passage(made) -> None:
    windows = np.array([len(mixture.states.values) for mixture in made])
    assert windows.min() >= 2 and windows.max() <= 12 + 3
    assert windows.mean() == pytest.approx(12, abs=1)


def test_the_seed_decides(made) -> None:
    texts, states = zip(*(passage(label, 12) for label in range(K) for _ in range(5)))
    labels = np.repeat(np.arange(K), 5)
    again, other = (make_mixtures(texts, states, labels, 200, 3, seed) for seed in (0, 1))
    assert [mixture.text for mixture in again] == [mixture.text for mixture in made]
    assert [mixture.text for mixture in other] != [mixture.text for mixture in made]


def test_with_two_sub_datasets_there_are_two_parts() -> None:
    texts, states = zip(*(passage(label, 6) for label in (0, 3) for _ in range(2)))
    for mixture in make_mixtures(texts, states, np.array([0, 0, 3, 3]), 20, 4, seed=0):
        assert sorted(label for *_, label in mixture.borders) == [0, 3]


def test_a_segment_belongs_to_the_part_that_covers_its_middle() -> None:
    mixture = Mixture("x" * 30, passage(0, 3)[1], ((0, 10, 2), (10, 30, 1)))
    spans = np.array([[0, 10], [0, 18], [4, 18], [10, 30], [28, 32]])
    assert segment_labels(mixture, spans).tolist() == [2, 2, 1, 1, 1]


def test_joined_states_are_the_blocks_one_after_the_other() -> None:
    first, second = passage(0, 4)[1], passage(1, 2)[1]
    joined = join_states([first, second])
    assert joined.tokens == first.tokens + second.tokens
    np.testing.assert_array_equal(joined.values[:4], first.values)
    np.testing.assert_array_equal(joined.values[4:], second.values)
    np.testing.assert_array_equal(joined.spans, np.concatenate([first.spans, second.spans]))


def texts_of(labels: list[int], windows: int) -> Texts:
    texts, states = zip(*(passage(label, windows) for label in labels))
    return Texts(texts, states, np.array(labels))


def test_a_pair_has_a_part_of_each_set_in_either_order() -> None:
    pairs = join_pairs(texts_of([0, 1, 2] * 3, 12), texts_of([3, 3], 12), 200, seed=[0])
    assert len(pairs) == 200
    firsts = set()
    for pair in pairs:
        labels = [label for *_, label in pair.borders]
        assert len(labels) == 2 and labels.count(3) == 1
        firsts.add(labels[0] == 3)
        for start, end, label in pair.borders:
            assert set(pair.text[start:end]) == {LETTERS[label], " "}
        np.testing.assert_array_equal(
            segment_labels(pair, pair.states.spans), pair.states.values[:, 0]
        )
    assert firsts == {True, False}
    shares = np.stack([true_shares(pair, K) for pair in pairs])
    assert shares[:, 3].mean() == pytest.approx(0.5, abs=0.08), "Dirichlet(1): uniform"
    assert shares[:, 3].min() < 0.15 and shares[:, 3].max() > 0.85


def test_the_seed_decides_the_pairs() -> None:
    first, second = texts_of([0, 1], 12), texts_of([3], 12)
    one, same, other = ([p.text for p in join_pairs(first, second, 20, s)] for s in ([0], [0], [1]))
    assert one == same != other


@pytest.mark.parametrize("windows", [1, 4, 12, 30])
def test_a_beginning_is_the_first_windows_of_its_text(windows) -> None:
    given = texts_of([0, 1, 2, 3] * 10, 12)
    cut = beginnings(given, windows)
    np.testing.assert_array_equal(cut.labels, given.labels)
    for text, states, whole, item in zip(cut.texts, cut.states, given.texts, given.states):
        W = min(windows, 12)
        assert whole.startswith(text) and len(text) == 10 * W
        assert len(states.values) == W and states.tokens == 3 * W
        assert states.spans[-1, 1] == len(text)
        np.testing.assert_array_equal(states.values, item.values[:W])
