"""Extraction against an LM whose probabilities are known, and against drawing itself."""

import numpy as np
import pytest

from copylens.audit.extraction import PREFIX, SUFFIX, Suffix, extraction, suffixes
from copylens.audit.passages import AuditPassage, Kind
from copylens.audit.token_scores import TokenScores
from copylens.config.audit import AuditConfig

LENGTH = PREFIX + SUFFIX
PASSAGE = AuditPassage("1", "", "g", "member", "train")


def read(number: int, each: float, kind: Kind = "member", tokens: int = LENGTH + 20):
    """A passage of words `w0 w1 ...`, each suffix token with the log-probability `each`."""
    words = [f"w{n} " for n in range(tokens)]
    ends = np.cumsum([len(word) for word in words])
    offsets = np.stack([ends - [len(word) for word in words], ends], axis=1)
    log_probs = np.full(tokens, -7.0, np.float32)
    log_probs[PREFIX:LENGTH] = each
    zeros = np.zeros(tokens, np.float32)
    scores = TokenScores(np.arange(tokens), offsets, log_probs, zeros, zeros)
    return AuditPassage(str(number), "".join(words), "g", kind, "train"), scores


@pytest.mark.parametrize(("probability", "p"), [(0.01, 0.5), (0.2, 0.9), (0.6, 0.5), (0.5, 0.1)])
def test_so_many_continuations_contain_it_with_that_probability(probability, p):
    """Drawn by hand: with n continuations at least p, with one fewer less."""
    n = int(Suffix(PASSAGE, "", "", float(np.log(probability))).samples(p))
    drawn = np.random.default_rng(0).random((40_000, n)) < probability
    assert drawn.any(axis=1).mean() >= p - 0.01
    if n > 1:
        assert drawn[:, 1:].any(axis=1).mean() < p + 0.01
        assert 1 - (1 - probability) ** (n - 1) < p


@pytest.mark.parametrize("log_prob", [0.0, -1e-12, -40.0, -800.0, -1e6])
def test_certain_and_impossible_suffixes_have_a_number_too(log_prob):
    n = Suffix(PASSAGE, "", "", log_prob).samples(0.5)
    assert n >= 1 and (n == 1) == (log_prob > -1)
    assert np.isinf(n) == (log_prob < -750)


def test_the_suffix_is_what_follows_the_first_tokens():
    item, scores = read(1, -0.1)
    (found,) = suffixes([item], [scores])
    words = item.text.split()
    assert found.prefix.split() == words[:PREFIX]
    assert found.text.split() == words[PREFIX:LENGTH]
    assert found.log_prob == pytest.approx(-0.1 * SUFFIX, rel=1e-6)


def test_members_and_what_was_not_read_are_counted_apart_and_short_ones_left_out():
    """0.12 nats a token are 6 in all: some 280 continuations; 0.16 are 2,066."""
    rows = [
        *(read(n, -0.12) for n in range(3)),
        *(read(n, -0.16) for n in range(3, 5)),
        read(5, -0.01, tokens=LENGTH - 1),
        *(read(n, -0.16, "non-member") for n in range(6, 10)),
    ]
    found = extraction("sea", *zip(*rows), AuditConfig())
    assert found["members"] == {"passages": 5, "extractable": 3}
    assert found["non_members"] == {"passages": 4, "extractable": 0}
    assert [item["id"] for item in found["worst"]] == ["0", "1", "2"]
    assert all(270 < item["samples"] < 290 for item in found["worst"])
    assert found["sentence"] == (
        "Of 5 passages of sea 3 can be drawn word for word: 50 tokens after 50, in 1,000 "
        "continuations with probability 0.5; of 4 that the LM has not read 0."
    )
    strict = extraction("sea", *zip(*rows), AuditConfig(extraction_samples=100))
    assert strict["members"]["extractable"] == 0
    lax = extraction("sea", *zip(*rows), AuditConfig(extraction_samples=2100))
    assert lax["members"]["extractable"] == 5 and lax["non_members"]["extractable"] == 4


def test_with_no_passage_that_is_long_enough_it_says_so():
    short = [read(n, -0.1, tokens=30) for n in range(3)]
    found = extraction("sea", *zip(*short), AuditConfig())
    assert found["members"]["passages"] == 0 and found["worst"] == []
    assert "cannot tell, because no passage has 100 tokens" in found["sentence"]
