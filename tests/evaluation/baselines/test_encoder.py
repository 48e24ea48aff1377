"""The sentence encoder against transformers' own forward pass, and where it is not installed."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from copylens.evaluation.baselines.encoder import SentenceEncoder, installed
from copylens.progress import Silent
from tests.conftest import TEXTS


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """The same precision on every machine."""
    monkeypatch.setattr("copylens.probe.lm._fast_bfloat16", lambda device: False)


def test_an_embedding_is_the_mean_of_the_last_hidden_states(lm_folder):
    folder = str(lm_folder("bert"))
    model, tokenizer = (
        AutoModel.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    encoder = SentenceEncoder(folder)
    # Short enough to be read at once; longer ones are read in chunks.
    texts = [text[:40] for text in TEXTS]
    for text, row in zip(texts, encoder.embed(texts, Silent())):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            hidden = model(ids).last_hidden_state[0, 1:-1].mean(dim=0)
        np.testing.assert_allclose(row, hidden / hidden.norm(), atol=2e-3)


def test_long_texts_count_every_token_once(lm_folder):
    encoder = SentenceEncoder(str(lm_folder("bert")))
    text = " ".join(TEXTS * 4)
    states = encoder._probe.states([text])[0]
    assert states.tokens > 64
    sizes = [32] * (states.tokens // 32) + [states.tokens % 32] * (states.tokens % 32 > 0)
    expected = np.average(states.values.astype(np.float32), axis=0, weights=sizes)
    row = encoder.embed([text], Silent())[0]
    np.testing.assert_allclose(row, expected / np.linalg.norm(expected), atol=1e-3)


def test_it_is_a_baseline_only_where_it_is_there(lm_folder):
    folder = str(lm_folder("bert"))
    assert installed("dist://no-such-encoder-anywhere") is installed(None) is None
    assert installed("dist://numpy") == "dist://numpy"
    assert installed(folder) == folder


def test_the_texts_are_counted(lm_folder, monkeypatch):
    monkeypatch.setattr("copylens.evaluation.baselines.encoder._BATCH", 2)
    counted = []
    SentenceEncoder(str(lm_folder("bert"))).embed(["a b", "c d", "e f"], counted.append)
    assert counted == [2, 1]
