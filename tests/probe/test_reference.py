"""The probe against what the LM itself reports, for each family of models."""

import numpy as np
import pytest
import torch

from copylens.config.schema import ProbeConfig
from copylens.probe.probe import Probe
from tests.conftest import TEXTS

FAMILIES = ["gpt_neox", "llama", "gpt2", "bert"]
CAUSAL = FAMILIES[:3]


def make(lm_folder, family, **options) -> Probe:
    options = {"window": 1, "embeddings": False, **options}
    return Probe(ProbeConfig(dtype="float32", model=str(lm_folder(family)), **options))


def forward(probe: Probe, text: str):
    """A plain forward pass with all that the LM can report."""
    lm = probe.lm
    # Only eager attention reports its weights.
    lm.model.set_attn_implementation("eager")
    ids = torch.tensor([lm.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        output = lm.model(ids, output_hidden_states=True, output_attentions=True)
    inside = slice(len(lm.prefix), ids.shape[1] - len(lm.suffix))
    return ids, output, inside


@pytest.mark.parametrize("family", FAMILIES)
def test_residual_tap_equals_hidden_states(lm_folder, family):
    probe = make(lm_folder, family, tap="residual", layers=(0, 1))
    _, output, inside = forward(probe, TEXTS[0])
    expected = torch.cat([h[0, inside] for h in output.hidden_states[1:3]], dim=1)
    np.testing.assert_allclose(
        probe.states([TEXTS[0]])[0].values, expected.half().numpy(), atol=2e-3
    )


def value_vectors(probe: Probe, layer: int, hidden: torch.Tensor) -> torch.Tensor:
    """The heads' value vectors [heads, T, d], computed from the layer's weights alone."""
    heads = probe.lm.model.config.num_attention_heads
    family = probe.lm.model.config.model_type
    block = probe.lm.base.get_submodule(probe.lm.architecture.blocks[layer].path)
    T, D = hidden.shape
    if family == "gpt_neox":
        qkv = block.attention.query_key_value(block.input_layernorm(hidden))
        return qkv.view(T, heads, 3, D // heads)[:, :, 2].transpose(0, 1)
    if family == "llama":
        values = block.self_attn.v_proj(block.input_layernorm(hidden))
    elif family == "gpt2":
        values = block.attn.c_attn(block.ln_1(hidden))[:, 2 * D :]
    else:
        values = block.attention.self.value(hidden)
    return values.view(T, heads, D // heads).transpose(0, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_heads_tap_is_attention_weights_times_values(lm_folder, family):
    """heads = softmax(QK')V, with the weights that `output_attentions` reports."""
    probe = make(lm_folder, family, tap="heads", layers=(1,))
    _, output, inside = forward(probe, TEXTS[0])
    values = value_vectors(probe, 1, output.hidden_states[1][0])
    mixed = output.attentions[1][0] @ values  # [heads, T, d]
    expected = mixed.transpose(0, 1).flatten(1)[inside].detach()
    np.testing.assert_allclose(probe.states([TEXTS[0]])[0].values, expected.numpy(), atol=2e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_tap_is_the_projection_of_the_heads_tap(lm_folder, family):
    heads = make(lm_folder, family, tap="heads", layers=(2,)).states([TEXTS[3]])[0].values
    probe = make(lm_folder, family, tap="attention", layers=(2,))
    project = probe.lm.base.get_submodule(probe.lm.architecture.blocks[2].attention)
    expected = project(torch.from_numpy(heads).float()).detach()
    got = probe.states([TEXTS[3]])[0].values
    np.testing.assert_allclose(got, expected.numpy(), atol=5e-3)


def test_mlp_tap_completes_the_parallel_residual(lm_folder):
    """GPT-NeoX: block output = input + attention + mlp, so the taps must add up."""
    taps = {
        tap: make(lm_folder, "gpt_neox", tap=tap, layers=(1,)).states([TEXTS[0]])[0].values
        for tap in ("attention", "mlp", "residual")
    }
    before = make(lm_folder, "gpt_neox", tap="residual", layers=(0,)).states([TEXTS[0]])[0].values
    total = before.astype(np.float32) + taps["attention"] + taps["mlp"]
    np.testing.assert_allclose(taps["residual"], total, atol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_stand_first(lm_folder, family):
    plain = make(lm_folder, family).states([TEXTS[2]])[0].values
    both = make(lm_folder, family, embeddings=True)
    got = both.states([TEXTS[2]])[0].values
    ids = both.lm.tokenizer(TEXTS[2], add_special_tokens=False)["input_ids"]
    words = both.lm.model.get_input_embeddings().weight[ids].detach().numpy()
    np.testing.assert_allclose(got[:, :16], words, atol=2e-3)
    np.testing.assert_array_equal(got[:, 16:], plain)


@pytest.mark.parametrize("family", CAUSAL)
def test_early_exit_changes_nothing_and_saves_the_later_layers(lm_folder, family):
    probe = make(lm_folder, family, layers=(0,))
    calls = []
    last = probe.lm.base.get_submodule(probe.lm.architecture.blocks[2].path)
    last.register_forward_hook(lambda *_: calls.append(1))
    early = probe.states(TEXTS)[0].values
    assert not calls
    full = make(lm_folder, family, layers=(0, 2)).states(TEXTS)[0].values
    np.testing.assert_array_equal(early, full[:, : early.shape[1]])


@pytest.mark.parametrize("family", CAUSAL)
def test_the_beginning_of_a_text_has_the_states_that_it_would_have_alone(lm_folder, family):
    """What short texts are calibrated on: the first windows of longer ones."""
    probe = make(lm_folder, family, window=4)
    whole = probe.states([TEXTS[0]])[0]
    end = int(whole.spans[1, 1])
    alone = probe.states([TEXTS[0][:end]])[0]
    np.testing.assert_allclose(alone.values, whole.values[:2], atol=2e-3)
