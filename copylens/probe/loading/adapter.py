"""LoRA and other PEFT adapters: put into the LM's own modules, so that taps stay where they are."""

from typing import Any

import torch
from torch import Tensor

from copylens.errors import ProbeError, one_line

_TOKENS = 16


def with_adapter(model: Any, adapter: str) -> Any:
    """The LM with an adapter in its layers; not merged, since bfloat16 would round it away.

    Raises:
        ProbeError: it is not there, not of this LM, or changes nothing that the layers compute (as
            one that was saved before its training, or that changes the vocabulary head alone).
    """
    # Takes seconds, and few need it.
    from peft import PeftModel

    before = _hidden(model)
    try:
        # In the LM's own precision: in float32, PEFT's default, passes take twice as long on a CPU.
        adapted = PeftModel.from_pretrained(model, adapter, autocast_adapter_dtype=False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ProbeError(f"probe.adapter '{adapter}': {one_line(error)[:200]}") from None
    model = adapted.get_base_model().eval().requires_grad_(False)
    if torch.equal(before, _hidden(model)):
        raise ProbeError(
            f"probe.adapter '{adapter}' changes no state of the LM; leave it out, or name the one "
            "that was trained"
        )
    return model


@torch.inference_mode()
def _hidden(model: Any) -> Tensor:
    """[1, T, D] last hidden states of some tokens."""
    size = model.config.get_text_config().vocab_size
    ids = torch.arange(_TOKENS)[None, :] * 11 % size
    hidden: Tensor = model.base_model(input_ids=ids.to(model.device)).last_hidden_state
    return hidden
