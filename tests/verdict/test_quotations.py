"""Quotations: which part of a segment is whose, by counting characters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copylens.evidence.index import Citation
from copylens.verdict.quotations import quoted_parts

NAMES = ("sea", "law", "code")
SPANS = np.array([[0, 10], [10, 30], [30, 40]])


def citation(sub_dataset: str, start: int, end: int, score: float = 1.0, **changes) -> Citation:
    place = {"start": start, "end": end, "passage_start": 0, "passage_end": end - start}
    figures = {"words": 9, "matched": 9, "score": score}
    return Citation(
        "verbatim", sub_dataset, "H", "all", "p", "T", "", **place, **figures, **changes
    )


def test_without_citations_nothing_is_quoted() -> None:
    np.testing.assert_array_equal(quoted_parts([], SPANS, NAMES), np.zeros((3, 3)))


def test_a_segment_in_a_quotation_is_its_sub_datasets() -> None:
    got = quoted_parts([citation("law", 5, 30)], SPANS, NAMES)
    np.testing.assert_allclose(got, [[0, 0.5, 0], [0, 1, 0], [0, 0, 0]])


def test_boilerplate_and_unknown_sub_datasets_do_not_count() -> None:
    plain = [citation("law", 0, 40, boilerplate=True), citation("gone", 0, 40)]
    assert quoted_parts(plain, SPANS, NAMES).sum() == 0
    both = [citation("sea", 0, 10), citation("law", 0, 40, score=99, boilerplate=True)]
    np.testing.assert_allclose(quoted_parts(both, SPANS, NAMES).sum(axis=0), [1, 0, 0])


def test_where_two_overlap_the_rarer_one_counts_whatever_their_order() -> None:
    common, rare = citation("sea", 0, 30, score=2.0), citation("code", 5, 20, score=7.0)
    for given_ in ([common, rare], [rare, common]):
        got = quoted_parts(given_, SPANS, NAMES)
        np.testing.assert_allclose(got, [[0.5, 0, 0.5], [0.5, 0, 0.5], [0, 0, 0]])


def test_a_quotation_beyond_the_last_segment_is_cut() -> None:
    got = quoted_parts([citation("sea", 35, 60)], SPANS, NAMES)
    np.testing.assert_allclose(got[:, 0], [0, 0, 0.5])


_ROW = (st.integers(0, 2), st.integers(0, 40), st.integers(1, 20), st.floats(0, 9), st.booleans())


@given(st.lists(st.tuples(*_ROW), max_size=8))
def test_parts_against_one_character_after_the_other(rows) -> None:
    citations = [
        citation(NAMES[k], start, start + length, score, boilerplate=stock)
        for k, start, length, score, stock in rows
    ]
    got = quoted_parts(citations, SPANS, NAMES)
    expected = np.zeros((3, 3))
    for s, (low, high) in enumerate(SPANS):
        for place in range(low, high):
            here = [c for c in citations if c.start <= place < c.end and not c.boilerplate]
            if here:
                best = max(reversed(here), key=lambda c: c.score)
                expected[s, NAMES.index(best.sub_dataset)] += 1 / (high - low)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert got.sum(axis=1).max() <= 1 + 1e-12


@pytest.mark.parametrize("kind", ["verbatim", "near-verbatim"])
def test_both_kinds_of_span_count(kind) -> None:
    item = citation("sea", 0, 10)
    item = Citation(**vars(item) | {"kind": kind})
    assert quoted_parts([item], SPANS, NAMES)[0, 0] == 1
