"""Where each model family keeps the modules that are tapped."""

from dataclasses import dataclass

from torch import nn

from copylens.errors import ProbeError


@dataclass(frozen=True)
class Architecture:
    """Dotted paths below the base model (`model.base_model`).

    Attributes:
        layer: path of one block, with `{layer}` for its number.
        attention: path of the attention output projection inside the block. Its input is the
            concatenated heads, its output the projected attention result.
        mlp: path of the feed-forward module inside the block, or "" where it is not known.
        causal: True for language models that predict the next token.
    """

    layer: str
    attention: str
    mlp: str
    causal: bool


ARCHITECTURES: dict[str, Architecture] = {
    "gpt_neox": Architecture("layers.{layer}", "attention.dense", "mlp", causal=True),
    "gpt2": Architecture("h.{layer}", "attn.c_proj", "mlp", causal=True),
    **dict.fromkeys(
        ("llama", "mistral", "qwen2", "qwen3", "olmo2"),
        Architecture("layers.{layer}", "self_attn.o_proj", "mlp", causal=True),
    ),
    **dict.fromkeys(
        ("bert", "roberta"),
        Architecture("encoder.layer.{layer}", "attention.output.dense", "output.dense", False),
    ),
}


def architecture_of(model_type: str, module_pattern: str | None) -> Architecture:
    """The paths for a model family, or those that a user's pattern names.

    Args:
        model_type: `config.model_type` of the LM.
        module_pattern: path of an attention output projection with `{layer}` in it; wins over
            the table.

    Raises:
        ProbeError: the family is unknown and no pattern is given, or the pattern is malformed.
    """
    if module_pattern is not None:
        head, marker, tail = module_pattern.partition("{layer}")
        if not marker or not tail.startswith("."):
            raise ProbeError(
                f"probe.module_pattern '{module_pattern}' must name a module inside a layer, "
                "e.g. layers.{layer}.self_attn.o_proj"
            )
        known = ARCHITECTURES.get(model_type)
        causal = known.causal if known else True
        return Architecture(f"{head}{{layer}}", tail[1:], known.mlp if known else "", causal)
    if model_type not in ARCHITECTURES:
        known_types = ", ".join(sorted(ARCHITECTURES))
        raise ProbeError(
            f"unknown architecture '{model_type}'; built in are {known_types}; "
            "for any other set probe.module_pattern, e.g. layers.{layer}.self_attn.o_proj"
        )
    return ARCHITECTURES[model_type]


def submodule(root: nn.Module, path: str) -> nn.Module:
    """The module at a dotted path.

    Raises:
        ProbeError: there is none; the message names the first part that is missing.
    """
    module = root
    for part in path.split("."):
        try:
            module = module.get_submodule(part)
        except AttributeError:
            raise ProbeError(f"the LM has no module '{path}' ('{part}' is not there)") from None
    return module
