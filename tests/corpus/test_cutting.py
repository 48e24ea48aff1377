import pytest
from hypothesis import given
from hypothesis import strategies as st

from copylens.corpus.cutting import cut_text
from tests.corpus.corpus_samples import prose

BITS = ["a", "word", ".", "! ", " ", "\n", "\n\n", "    ", "é", "\r\n", '." ', "\f"]
TEXTS = st.builds(
    lambda bits, times: "".join(bits) * times,
    st.lists(st.sampled_from(BITS), min_size=1, max_size=60),
    st.integers(1, 60),
)


@given(text=TEXTS, limit=st.integers(200, 500))
def test_pieces_follow_each_other_with_only_white_space_between(text: str, limit: int) -> None:
    pieces = cut_text(text, limit)
    if len(text) <= 1.5 * limit:
        assert pieces == [text]
        return
    rest = text
    for piece in pieces:
        assert 0 < len(piece) <= 1.5 * limit
        gap, found, rest = rest.partition(piece)
        assert found == piece
        assert gap.strip() == ""
    assert rest.strip() == ""


def test_prose_is_cut_evenly() -> None:
    lengths = [len(piece) for piece in cut_text(prose("novel", 20_000), 1600)]
    assert min(lengths) > 1000
    assert max(lengths) < 2200


@pytest.mark.parametrize("border", ["\n\n", "\n", ". ", '!" '])
def test_the_best_kind_of_border_is_taken(border: str) -> None:
    text = border.join(prose(("unit", n), 170) for n in range(12))
    units = text.split(border)
    pieces = cut_text(text, 400)
    assert len(pieces) >= 4
    # Each piece is made of whole units: no unit is cut in two.
    for piece in pieces:
        assert all(unit.rstrip('.!"') in units for unit in piece.split(border))


def test_a_paragraph_border_wins_over_nearer_lines_and_sentences() -> None:
    first = "\n".join(prose(("a", n), 48) for n in range(4))
    second = "\n".join(prose(("b", n), 48) for n in range(6))
    assert cut_text(f"{first}\n\n{second}", 300) == [first, second]


def test_no_cut_leaves_a_crumb() -> None:
    text = prose("a", 415) + "\n\n" + prose("b", 53)
    first, last = cut_text(text, 300)
    assert min(len(first), len(last)) >= 0.4 * 300
    assert f"{first} {last}" == text


def test_the_indentation_of_code_stays() -> None:
    body = "".join(f"    value_{n} = compute_value({n})\n\n" for n in range(60))
    pieces = cut_text(f"def f():\n{body}", 400)
    assert len(pieces) > 3
    assert all(piece.startswith("    value_") for piece in pieces[1:])


def test_text_without_any_border_is_cut_hard() -> None:
    pieces = cut_text("x" * 1000, 200)
    assert "".join(pieces) == "x" * 1000
    assert {len(piece) for piece in pieces} == {200}
