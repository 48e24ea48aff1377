"""Batches, padding, windows and chunks: how a text is read must not change what is read."""

import numpy as np
import pytest
import torch

from copylens.config.schema import ProbeConfig
from copylens.errors import ProbeError, TextError
from copylens.probe import probe as probe_module
from copylens.probe.fusion import fuse_layers, random_projection, window_index, window_mean
from copylens.probe.probe import Probe
from tests.conftest import TEXTS

FAMILIES = ["gpt_neox", "llama", "gpt2", "bert"]


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Compares before rounding to fp16, which would hide or fake differences of 1e-5."""
    monkeypatch.setattr(probe_module, "stored", lambda values: values.float().cpu())


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_and_batch_size_do_not_matter(lm_folder, family):
    config = ProbeConfig(dtype="float32", model=str(lm_folder(family)), window=3)
    alone = [Probe(config).states([text])[0] for text in TEXTS]
    for batch_tokens in (1, 100, 10_000):
        together = Probe(config.model_copy(update={"batch_tokens": batch_tokens})).states(TEXTS)
        for one, other in zip(alone, together):
            np.testing.assert_allclose(one.values, other.values, atol=1e-5)
            np.testing.assert_array_equal(one.spans, other.spans)


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_are_means_of_single_tokens(lm_folder, family):
    one = ProbeConfig(dtype="float32", model=str(lm_folder(family)), window=1)
    tokens = Probe(one).states([TEXTS[0]])[0]
    windows = Probe(one.model_copy(update={"window": 4})).states([TEXTS[0]])[0]
    for w, values in enumerate(windows.values):
        expected = tokens.values[4 * w : 4 * w + 4].mean(axis=0)
        np.testing.assert_allclose(values, expected, atol=1e-5)
        assert windows.spans[w, 0] == tokens.spans[4 * w, 0]
    assert windows.spans[-1, 1] == len(TEXTS[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_long_text_is_read_whole(lm_folder, family):
    """No token is lost or read twice where a text is longer than the context."""
    config = ProbeConfig(dtype="float32", model=str(lm_folder(family)), window=1)
    text = " ".join(TEXTS * 5)
    states = Probe(config).states([text])[0]
    assert len(states.values) == states.tokens > 3 * 64
    assert states.spans[0, 0] == 0
    assert states.spans[-1, 1] == len(text)
    # Byte-level tokens of one character may share it; none may be skipped.
    assert (states.spans[1:, 0] <= states.spans[:-1, 1]).all()


def test_chunks_of_a_long_text_see_their_run_up(lm_folder):
    """A kept token of a later chunk is what the LM gives with the run-up before it."""
    config = ProbeConfig(dtype="float32", model=str(lm_folder("llama")), window=1)
    probe = Probe(config)
    text = " ".join(TEXTS * 5)
    ids = probe.lm.tokenizer(text, add_special_tokens=False)["input_ids"]
    run_up, start = 16, 64
    text_of_chunk = ids[start - run_up : start - run_up + 64]
    seen = []
    project = probe.lm.base.layers[0].self_attn.o_proj
    project.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        probe.lm.model(torch.tensor([text_of_chunk]))
    expected = seen[0][0, run_up]
    got = probe.states([text])[0].values[start, :16]
    np.testing.assert_allclose(got, expected.numpy(), atol=1e-5)


def test_window_mean_against_a_loop():
    values = torch.randn(2, 7, 3)
    index = window_index(7, [(1, 6), (0, 4)], 2)
    got = window_mean(values, index, 3)
    for b, (start, end) in enumerate([(1, 6), (0, 4)]):
        for w in range(3):
            rows = values[b, start + 2 * w : min(start + 2 * w + 2, end)]
            expected = rows.mean(dim=0) if len(rows) else torch.zeros(3)
            torch.testing.assert_close(got[b, w], expected)


def test_fusions():
    layers = [torch.randn(2, 3, 8) for _ in range(4)]
    assert fuse_layers(layers, "concat", []).shape == (2, 3, 32)
    torch.testing.assert_close(fuse_layers(layers, "mean", []), sum(layers) / 4)
    matrices = [random_projection(8, 2, 0, layer) for layer in range(4)]
    projected = fuse_layers(layers, "project", matrices)
    torch.testing.assert_close(projected[..., 2:4], layers[1] @ matrices[1])


def test_random_projection_is_fixed_and_keeps_lengths():
    first, again = random_projection(400, 300, 7, 1), random_projection(400, 300, 7, 1)
    assert torch.equal(first, again)
    assert not torch.equal(first, random_projection(400, 300, 7, 2))
    x = torch.randn(50, 400, generator=torch.Generator().manual_seed(0))
    ratio = ((x @ first).norm(dim=1) / x.norm(dim=1)).mean()
    assert abs(float(ratio) - 1) < 0.03


def test_errors_name_what_to_do(lm_folder, tmp_path):
    neox = str(lm_folder("gpt_neox"))
    with pytest.raises(TextError, match="text 1 is empty"):
        Probe(ProbeConfig(dtype="float32", model=neox)).states(["fine", "  \n"])
    with pytest.raises(ProbeError, match=r"layers 0\.\.2, got 3"):
        Probe(ProbeConfig(model=neox, layers=(3,)))
    with pytest.raises(ProbeError, match="cannot be loaded"):
        Probe(ProbeConfig(model=str(tmp_path / "nowhere")))
    with pytest.raises(ProbeError, match="names no LM; name a folder"):
        Probe(ProbeConfig())
    with pytest.raises(ProbeError, match=r"window=65, but the LM reads 64 tokens"):
        Probe(ProbeConfig(dtype="float32", model=neox, window=65))
    with pytest.raises(ProbeError, match=r"must name a module inside a layer"):
        Probe(ProbeConfig(model=neox, module_pattern="attention.dense"))


def test_a_pattern_reads_what_is_found(lm_folder):
    base = ProbeConfig(dtype="float32", model=str(lm_folder("gpt_neox")))
    pattern = base.model_copy(update={"module_pattern": "layers.{layer}.attention.dense"})
    np.testing.assert_array_equal(
        Probe(base).states(TEXTS)[3].values, Probe(pattern).states(TEXTS)[3].values
    )


def test_damaged_weights_are_named(lm_folder, tmp_path):
    import shutil

    folder = tmp_path / "damaged"
    shutil.copytree(lm_folder("gpt_neox"), folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(ProbeError, match="damaged"):
        Probe(ProbeConfig(model=str(folder)))


def test_what_is_told_of_passes_adds_up_and_the_first_one_tells_how_much_is_left(lm_folder):
    """Texts with few characters a token are read first: their own ratio would promise too much."""
    texts = ["é€ß漢字" * 12, "the same words once more " * 8, "a b " * 9]
    told = []
    config = ProbeConfig(dtype="float32", model=str(lm_folder("llama")), batch_tokens=64)
    read = Probe(config).states(texts, told.append)
    tokens, characters = sum(states.tokens for states in read), sum(map(len, map(str.strip, texts)))
    assert len(told) > 1
    assert sum(item.tokens for item in told) == tokens
    assert sum(item.characters for item in told) == pytest.approx(characters, abs=6)
    first = told[0]
    assert first.tokens / first.characters == pytest.approx(tokens / characters, rel=0.05)
