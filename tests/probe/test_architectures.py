"""Attention output projections are found by an experiment, in every family that is at hand.

The list of families is this test's alone: the code knows none of their module names.
"""

import pytest
import torch
import transformers

from copylens.errors import ProbeError
from copylens.probe.architectures import find_architecture, named_architecture, submodule
from copylens.probe.taps import resolve_layers

LAYERS, WIDTH = 4, 32
SIZES = {
    "vocab_size": 200,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2}
FAMILIES = {
    "Llama": ("layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj", {}),
    "Mistral": ("layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj", {}),
    "Qwen2": ("layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj", {}),
    "Qwen3": ("layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj", {}),
    "Gemma3Text": ("layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj", {}),
    "Phi": ("layers.{}.self_attn.dense", "layers.{}.mlp.fc2", {"num_key_value_heads": 4}),
    "Phi3": ("layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj", {}),
    "Olmo2": ("layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj", {}),
    "Olmo3": ("layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj", {}),
    "StableLm": ("layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj", {}),
    "Cohere": ("layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj", {}),
    "GPT2": ("h.{}.attn.c_proj", "h.{}.mlp.c_proj", {"n_embd": 32, "n_layer": 4, "n_head": 4}),
    "GPTNeoX": ("layers.{}.attention.dense", "layers.{}.mlp.dense_4h_to_h", {}),
    "OPT": (
        "decoder.layers.{}.self_attn.out_proj",
        "decoder.layers.{}.fc2",
        {"ffn_dim": 48, "word_embed_proj_dim": WIDTH},
    ),
    "Bert": ("encoder.layer.{}.attention.output.dense", "encoder.layer.{}.output.dense", {}),
    "Roberta": ("encoder.layer.{}.attention.output.dense", "encoder.layer.{}.output.dense", {}),
    "DistilBert": (
        "transformer.layer.{}.attention.out_lin",
        "transformer.layer.{}.ffn.lin2",
        {"dim": WIDTH, "n_layers": LAYERS, "n_heads": 4, "hidden_dim": 48},
    ),
    # Experts are no single projection, so there is no mlp to tap.
    "Mixtral": ("layers.{}.self_attn.o_proj", "", EXPERTS),
    "Qwen3Moe": ("layers.{}.self_attn.o_proj", "", EXPERTS | {"moe_intermediate_size": 16}),
}


def tiny(family: str, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    settings = getattr(transformers, f"{family}Config")(**(SIZES | options))
    model = transformers.AutoModel.from_config(settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_projections_of_a_family_are_found(family, dtype):
    attention, mlp, options = FAMILIES[family]
    model = tiny(family, **options).to(dtype)
    found = find_architecture(model, model.config, causal=True)
    assert [block.attention for block in found.blocks] == [attention.format(n) for n in range(4)]
    assert [block.mlp for block in found.blocks] == [mlp.format(n) for n in range(4)]
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_wrong_module_would_be_seen():
    """The experiment on its own: only the projection behind the attention has seen other tokens."""
    model = tiny("Llama")
    with torch.no_grad():
        # A block whose attention looks at its own position alone has no mixing projection.
        mask = torch.full((24, 24), -1e9).fill_diagonal_(0)[None, None, :12, :12]
        plain = model.forward

        def alone(input_ids, **options):
            return plain(input_ids, attention_mask=mask, **options)

        model.forward = alone
        with pytest.raises(ProbeError, match="no attention output projection was found"):
            find_architecture(model, model.config, causal=True)


def test_a_hybrid_is_read_where_it_attends():
    linear = {
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    }
    model = tiny("Qwen3Next", **EXPERTS, moe_intermediate_size=16, **linear)
    found = find_architecture(model, model.config, causal=True)
    assert found.attending == (3,)
    assert resolve_layers("all", found, "heads") == (3,)
    with pytest.raises(ProbeError, match="layer 1 has no heads; there is one in 3"):
        resolve_layers((1,), found, "heads")
    with pytest.raises(ProbeError, match="no module that is known as its mlp"):
        resolve_layers("all", found, "mlp")


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("Mamba", "'mamba' keeps a running state and has no attention"),
        ("T5", "'t5' cannot be read as a stack of layers"),
    ],
)
def test_what_cannot_be_read_is_named(family, message):
    model = tiny(family, **({"d_model": 32, "num_layers": 4} if family == "T5" else {}))
    with pytest.raises(ProbeError, match=message):
        find_architecture(model, model.config, causal=True)


def test_a_users_pattern():
    model = tiny("GPTNeoX")
    named = named_architecture(model, "layers.{layer}.attention.dense", LAYERS, causal=True)
    found = find_architecture(model, model.config, causal=True)
    assert [b.attention for b in named.blocks] == [b.attention for b in found.blocks]
    with pytest.raises(ProbeError, match="must name a module inside a layer"):
        named_architecture(model, "attention.dense", LAYERS, causal=True)
    with pytest.raises(ProbeError, match=r"no module 'layers.0.attn.dense' \('attn' is not there"):
        named_architecture(model, "layers.{layer}.attn.dense", LAYERS, causal=True)
    with pytest.raises(ProbeError, match="'nowhere' is not there"):
        submodule(model, "nowhere")
