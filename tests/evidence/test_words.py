import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from copylens.evidence.words import SEPARATOR, read_words, word_ids


def ids(text: str) -> list[int]:
    return read_words(text).ids.tolist()


@given(st.text(max_size=200))
def test_offsets_lead_back_to_the_same_words(text):
    words = read_words(text)
    assert (words.ids != SEPARATOR).all()
    assert (words.starts < words.ends).all()
    assert (words.ends[:-1] <= words.starts[1:]).all()
    for n in range(len(words.ids)):
        assert ids(text[words.starts[n] : words.ends[n]]) == [words.ids[n]]


@given(st.text(max_size=200))
def test_the_quick_way_gives_the_same_ids(text):
    assert np.array_equal(word_ids(text), read_words(text).ids)


def test_case_spacing_punctuation_and_emphasis_do_not_matter():
    plain = ids("the old captain said do not go")
    assert ids('The  old\n_captain_ said: "Do not -- GO!"') == plain
    assert ids("the old captain sad do not go") != plain


def test_identifiers_are_one_word_and_bare_underscores_none():
    assert len(ids("load_split(self, n_words) ___ __init__")) == 4


def test_one_letter_in_two_spellings_is_one_word():
    for word in ("café", "naïve", "Ångström"):
        composed = unicodedata.normalize("NFC", word)
        assert ids(unicodedata.normalize("NFD", word)) == ids(composed)
    assert len(ids("cafe\u0301s are open")) == 3
    assert ids("ﬁne ＡＢＣ") == ids("fine abc")


def test_scripts_without_spaces_are_read_by_the_character():
    words = read_words("他说hello世界, \U00020000!")
    assert [("他说hello世界, \U00020000!")[a:b] for a, b in zip(words.starts, words.ends)] == [
        "他", "说", "hello", "世", "界", "\U00020000",
    ]  # fmt: skip


def test_no_words_in_nothing():
    for text in ("", " \n", "—!?", "___"):
        assert len(read_words(text).ids) == 0 == len(word_ids(text))
