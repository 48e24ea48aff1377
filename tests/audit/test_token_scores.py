"""What the audit reads from the LM, against transformers' own loss and against brute force."""

import numpy as np
import pytest
import torch

from copylens.audit.scores import loss, min_k, min_k_plus_plus, surprises, zlib_ratio
from copylens.audit.token_scores import TokenScores, prediction_moments, token_scores
from copylens.config.schema import ProbeConfig
from copylens.errors import ProbeError, TextError
from copylens.probe.lm import load_language_model
from tests.conftest import TEXTS


@pytest.fixture(scope="module")
def lm(lm_folder):
    return load_language_model(ProbeConfig(dtype="float32", model=str(lm_folder("gpt_neox"))))


def tokens(log_probs, means=None, deviations=None) -> TokenScores:
    n = len(log_probs)
    return TokenScores(
        ids=np.arange(n),
        offsets=np.stack([np.arange(n), np.arange(n) + 1], axis=1),
        log_probs=np.array(log_probs, float),
        means=np.array([-1.0] * n if means is None else means),
        deviations=np.array([1.0] * n if deviations is None else deviations),
    )


@pytest.mark.parametrize("family", ["gpt_neox", "llama", "gpt2"])
def test_the_loss_is_that_of_transformers(lm_folder, family):
    lm = load_language_model(ProbeConfig(dtype="float32", model=str(lm_folder(family))))
    for text, found in zip(TEXTS[:3], token_scores(lm, TEXTS[:3], 128)):
        ids = lm.tokenizer(text, return_tensors="pt")["input_ids"]
        expected = lm.model(input_ids=ids, labels=ids).loss
        assert loss(found) == pytest.approx(-float(expected), abs=1e-5)
        assert len(found) == ids.shape[1] - 1
        spans = lm.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        assert [tuple(span) for span in found.offsets] == spans[1:]


def test_moments_are_those_of_the_prediction():
    logits = torch.randn(5, 11)
    logits[2, 4] = -torch.inf  # a masked word takes no part
    target = torch.tensor([0, 3, 5, 10, 2])
    found = prediction_moments(logits, target).numpy()
    for row, chosen, (log_prob, mean, deviation) in zip(logits, target, found):
        p = torch.softmax(row, 0).double().numpy()
        logs = np.log(p, where=p > 0, out=np.zeros_like(p))
        expected = (p * logs).sum()
        assert log_prob == pytest.approx(np.log(p[chosen]), abs=1e-5)
        assert mean == pytest.approx(expected, abs=1e-5)
        assert deviation == pytest.approx(np.sqrt((p * (logs - expected) ** 2).sum()), abs=1e-4)


def test_each_token_of_a_long_text_counts_once(lm):
    text = TEXTS[3] * 3
    (found,) = token_scores(lm, [text], 256)
    ids = lm.tokenizer(text)["input_ids"]
    assert len(ids) > lm.context
    assert found.ids.tolist() == ids[1:]


def test_texts_beside_it_change_nothing(lm):
    together = token_scores(lm, TEXTS, 4096)
    for text, found in zip(TEXTS, together):
        (alone,) = token_scores(lm, [text], 64)
        np.testing.assert_allclose(found.log_probs, alone.log_probs, atol=1e-4)
        np.testing.assert_allclose(found.deviations, alone.deviations, atol=1e-3)


def test_an_encoder_is_refused_and_so_is_a_blank_text(lm, lm_folder):
    with pytest.raises(ProbeError, match="predicts the next token"):
        token_scores(
            load_language_model(ProbeConfig(dtype="float32", model=str(lm_folder("bert")))),
            ["a"],
            64,
        )
    with pytest.raises(TextError):
        token_scores(lm, ["  "], 64)


def test_scores_by_hand():
    item = tokens([-1, -2, -3, -4, -10], means=[-1, -1, -1, -2, -4], deviations=[1, 0.5, 2, 1, 3])
    assert loss(item) == -4
    assert min_k(item, 0.4) == pytest.approx((-10 - 4) / 2)
    assert min_k(item, 0.05) == -10  # at least one token
    np.testing.assert_allclose(surprises(item), [0, -2, -1, -2, -2])
    assert min_k_plus_plus(item, 0.4) == -2
    assert min_k_plus_plus(item, 1.0) == pytest.approx(-7 / 5)
    # "aaaaaaaa" is 11 bytes under zlib: 2 of header, 5 of data, 4 of checksum.
    assert zlib_ratio(item, "a" * 8) == pytest.approx(-20 / np.log(2) / 88)


def test_a_certain_prediction_divides_by_no_zero():
    item = tokens([0.0], means=[0.0], deviations=[0.0])
    assert surprises(item).tolist() == [0.0]
