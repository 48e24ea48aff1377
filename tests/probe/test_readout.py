"""The read-out against scikit-learn and brute force, and its codes however a text is read."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from copylens.config.schema import ProbeConfig
from copylens.errors import ModelError, ProbeError
from copylens.probe import readout_fit
from copylens.probe.fusion import random_projection
from copylens.probe.probe import Probe, by_window, inside
from copylens.probe.readout import ReadOut, Scatter
from copylens.probe.readout_fit import fit_readout
from copylens.states.readout_files import (
    load_readout,
    publish_readout,
    readout_is_published,
    readout_sha256,
)
from tests.conftest import TEXTS

F, V = 8, 12
NAMED = "When Anna came home, Tom had gone. Tom left a note, and Anna read it twice. " * 4


def tokens(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """States around one mean per id, with features of different sizes."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(V, F)) * 1.5 + 3
    ids = generator.integers(0, V, n)
    states = (centres[ids] + generator.normal(size=(n, F))) * np.geomspace(0.5, 2, F)
    return torch.from_numpy(states).float(), torch.from_numpy(ids)


def fitted(states: torch.Tensor, ids: torch.Tensor, parts: int = 1) -> ReadOut:
    scatter = Scatter(states.shape[1], V + 5)  # five ids never occur
    for x, i in zip(states.chunk(parts), ids.chunk(parts)):
        scatter.add(x, i)
    return scatter.readout()


def test_codes_are_the_classes_that_lda_names():
    states, ids = tokens(3000, 0)
    new, _ = tokens(2000, 1)
    lda = LinearDiscriminantAnalysis().fit(states.numpy().astype(np.float64), ids.numpy())
    codes = fitted(states, ids).codes(new).numpy()
    # Every id is frequent, so code i + 1 is id i; only the ridge sets the two apart.
    assert (codes - 1 == lda.predict(new.numpy().astype(np.float64))).mean() > 0.99


def test_codes_against_brute_force():
    states, ids = tokens(1500, 2)
    x, y = states.numpy().astype(np.float64), ids.numpy()
    means = np.stack([x[y == v].mean(axis=0) for v in range(V)])
    within = (x - means[y]).T @ (x - means[y]) / len(x)
    within += 1e-3 * np.trace(np.cov(x.T, bias=True)) / F * np.eye(F)
    gap = x[:, None] - means[None]  # [T, V, F]
    distance = np.einsum("tvf,fg,tvg->tv", gap, np.linalg.inv(within), gap)
    expected = (np.log(np.bincount(y)) - distance / 2).argmax(axis=1) + 1
    assert (fitted(states, ids).codes(states).numpy() == expected).mean() > 0.999


def test_it_does_not_matter_in_how_many_parts_the_tokens_come():
    states, ids = tokens(900, 3)
    whole, parts = fitted(states, ids), fitted(states, ids, parts=7)
    torch.testing.assert_close(whole.projection, parts.projection, rtol=1e-3, atol=1e-4)
    assert (whole.codes(states) == parts.codes(states)).float().mean() > 0.999
    again = fitted(states, ids)
    assert all((again.arrays()[k] == v).all() for k, v in whole.arrays().items())


def test_rare_ids_get_no_centroid():
    states, ids = tokens(600, 4)
    ids[ids == 3] = 4
    ids[:2] = 3
    readout = fitted(states, ids)
    assert len(readout.centroids) == V - 1


def test_a_projection_for_the_fit_is_folded_in():
    matrices = [random_projection(10, 4, seed=0, layer=layer) for layer in (0, 1)]
    wide = torch.from_numpy(np.random.default_rng(5).normal(size=(300, 20)).astype(np.float32))
    halves = [half @ m for half, m in zip(wide.split(10, dim=1), matrices)]
    narrow = torch.cat(halves, dim=1)
    readout = fitted(narrow, torch.from_numpy(np.random.default_rng(6).integers(0, V, 300)))
    assert (readout.codes(narrow) == readout.widened(matrices).codes(wide)).float().mean() > 0.99


def test_one_token_id_is_not_enough():
    with pytest.raises(ProbeError, match="two different tokens"):
        fitted(torch.ones(9, F), torch.zeros(9, dtype=torch.long))


def test_states_of_another_width_are_refused():
    readout = fitted(*tokens(200, 7))
    with pytest.raises(ProbeError, match="run embed again"):
        readout.codes(torch.zeros(3, F + 1))


@pytest.fixture(scope="module", params=["gpt_neox", "bert"])
def read(request, lm_folder):
    """A probe's settings and a read-out fitted with them."""
    config = ProbeConfig(
        model=str(lm_folder(request.param)), window=3, likelihood=request.param != "bert"
    )
    return config, fit_readout(Probe(config), [*TEXTS, NAMED], seed=0)


def test_padding_and_batch_size_do_not_change_codes(read):
    config, readout = read
    probe = Probe(config, readout=readout)
    alone = [probe.states([text])[0].codes for text in [*TEXTS, NAMED]]
    for batch_tokens in (1, 100, 10_000):
        smaller = config.model_copy(update={"batch_tokens": batch_tokens})
        for one, other in zip(alone, Probe(smaller, readout=readout).states([*TEXTS, NAMED])):
            np.testing.assert_array_equal(one, other.codes)


def test_codes_are_those_of_the_states_token_by_token(read):
    """Chunked texts included: single-token windows hold the very states that the codes are of."""
    config, readout = read
    text = " ".join(TEXTS * 5)
    options = {"window": 1, "embeddings": False, "mask_names": False}
    probe = Probe(config.model_copy(update=options), readout=readout)
    states = probe.states([text])[0]
    expected = readout.codes(torch.from_numpy(states.values.astype(np.float32))).numpy()
    assert states.codes.shape == (states.tokens, 1)
    # States are stored as fp16, which may tip a token that lies between two centroids.
    assert (states.codes[:, 0] == expected).mean() > 0.95


def test_codes_lie_in_rows_of_windows(read):
    config, readout = read
    states = Probe(config, readout=readout).states([TEXTS[0]])[0]
    assert states.codes.shape == (len(states.values), 3)
    assert (states.codes.ravel()[: states.tokens] != 0).all()
    assert (states.codes.ravel()[states.tokens :] == 0).all()
    assert Probe(config).states([TEXTS[0]])[0].codes.shape == (len(states.values), 0)


def test_tokens_of_names_are_marked(read):
    config, readout = read
    marked = Probe(config, readout=readout).states([NAMED])[0].codes
    plain = Probe(config.model_copy(update={"mask_names": False}), readout=readout)
    np.testing.assert_array_equal(np.abs(marked), plain.states([NAMED])[0].codes)
    tokens_of = plain.lm.tokenizer(NAMED, add_special_tokens=False, return_offsets_mapping=True)
    flags = (marked.ravel() < 0)[: len(tokens_of["offset_mapping"])]
    for (start, end), flag in zip(tokens_of["offset_mapping"], flags):
        piece = NAMED[start:end].strip()
        if flag:
            assert piece and any(piece in name or name in piece for name in ("Anna", "Tom"))
    assert flags.sum() >= 16


def test_inside_against_brute_force():
    generator = np.random.default_rng(0)
    for _ in range(50):
        cuts = np.sort(generator.choice(60, 8, replace=False))
        spans = [(int(a), int(b)) for a, b in zip(cuts[::2], cuts[1::2])]
        starts = np.sort(generator.integers(0, 60, 20))
        offsets = np.stack([starts, starts + generator.integers(1, 6, 20)], axis=1)
        expected = [any(a < e and s < b for s, e in spans) for a, b in offsets]
        np.testing.assert_array_equal(inside(offsets, spans), expected)
    assert not inside(offsets, []).any()


def test_by_window_fills_the_last_row():
    rows = by_window(np.array([4, -2, 7, 1], np.int16), 4, 3)
    np.testing.assert_array_equal(rows, [[4, -2, 7], [1, 0, 0]])


def test_wide_layers_are_projected_for_the_fit(lm_folder, monkeypatch):
    config = ProbeConfig(model=str(lm_folder("gpt_neox")), likelihood=False)
    monkeypatch.setattr(readout_fit, "FIT_WIDTH", 24)  # 3 layers of 16
    readout = fit_readout(Probe(config), TEXTS, seed=0)
    assert readout.projection.shape == (48, 24)
    codes = Probe(config, readout=readout).states(TEXTS)[0].codes
    assert len(np.unique(codes)) > 3


def test_no_texts_are_refused(lm_folder):
    with pytest.raises(ProbeError, match="train split"):
        fit_readout(Probe(ProbeConfig(model=str(lm_folder("gpt_neox")))), [], seed=0)


def test_it_is_published_with_its_key_and_damage_is_noticed(tmp_path):
    output = str(tmp_path)
    with pytest.raises(ModelError, match="run embed"):
        load_readout(output)
    assert readout_sha256(output) == ""
    readout = fitted(*tokens(200, 8))
    publish_readout(output, "k", readout)
    assert readout_is_published(output, "k")
    assert not readout_is_published(output, "other")
    for name, array in load_readout(output).arrays().items():
        np.testing.assert_array_equal(array, readout.arrays()[name])
    before = readout_sha256(output)
    publish_readout(output, "k", readout)
    assert readout_sha256(output) == before
    file = tmp_path / "states" / "readout.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelError, match="damaged"):
        load_readout(output)
