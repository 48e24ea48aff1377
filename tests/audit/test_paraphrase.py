"""Another wording: the same for the same, with the prefix left alone, and replaceable."""

import numpy as np
import pytest

from copylens.audit.paraphrase import load_paraphraser, rules
from copylens.audit.self_comparison import changed_words, increase, second_half
from copylens.audit.token_scores import TokenScores
from copylens.errors import ConfigError

TEXT = (
    "However, they did not know what to say. The captain looked at the large ship, and the mate "
    "said nothing at all. In order to win, people need help."
)


def test_words_are_put_for_words():
    assert (
        rules("However, they did not need help.", 0) == "Nevertheless, they didn't require assist."
    )
    assert rules("In order to win.", 0) == "To win."
    assert rules("To win.", 0) == "To win."  # the long form reads badly in most places
    assert rules("x = begin(y)", 0) == "x = start(y)"


def test_clauses_change_places_and_keep_their_words():
    text = "The captain had gone ashore, and the mate kept the wheel alone."
    assert {rules(text, seed) for seed in range(8)} == {
        text,
        "The mate kept the wheel alone, and the captain had gone ashore.",
    }


def test_it_is_deterministic_and_leaves_what_it_does_not_know():
    assert rules(TEXT, 3) == rules(TEXT, 3) != TEXT
    unknown = "zxq { } ; 17\n\tfoo(bar)"
    assert rules(unknown, 0) == unknown


def test_the_second_half_begins_at_a_sentence():
    cut = second_half(TEXT)
    assert TEXT[cut:].startswith("The captain")
    assert second_half("one two three four") == len("one two ")
    assert second_half("abcd") == 2


def test_the_cost_of_a_rewording_is_counted_per_changed_word():
    before = TokenScores(
        np.arange(4), np.array([[0, 2], [2, 4], [4, 6], [6, 8]]), np.array([-9.0, -1, -2, -3]),
        np.zeros(4), np.ones(4),
    )  # fmt: skip
    after = TokenScores(
        np.arange(2), np.array([[0, 4], [4, 9]]), np.array([-9.0, -5]), np.zeros(2), np.ones(2)
    )
    # From character 4 on: -2.5 and -5 a token, two tokens, four words changed.
    assert increase(before, after, 4, 4) == pytest.approx(2.5 * 2 / 4)
    assert np.isnan(increase(before, after, 20, 4))
    assert changed_words("a b c d", "a x c") == 2
    assert changed_words("a b", "b a") == 0


def test_another_paraphraser_can_be_named():
    assert load_paraphraser("rules") is rules
    assert load_paraphraser("copylens.audit.paraphrase:rules") is rules
    for name in ("nothing", "copylens.audit:none", "copylens.audit.paraphrase:Path.x", "a.b:c"):
        with pytest.raises(ConfigError, match=r"audit.paraphraser '.*' cannot be loaded"):
            load_paraphraser(name)
