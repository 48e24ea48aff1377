"""Loads the target LM: weights, adapter, tokenizer, and where its layers keep what is tapped."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from copylens.config.schema import ProbeConfig
from copylens.errors import ProbeError, one_line
from copylens.probe.architectures import Architecture, find_architecture, named_architecture
from copylens.probe.loading.adapter import with_adapter
from copylens.probe.loading.gguf import dequantised
from copylens.probe.loading.location import locate
from copylens.probe.loading.mapping import map_weights


@dataclass(frozen=True)
class LanguageModel:
    """A loaded LM.

    Attributes:
        model: the whole model; `model.base_model` is the stack without the vocabulary head.
        prefix, suffix: ids of the special tokens that the tokenizer puts around a text.
        context: longest input in tokens, special tokens included.
        passing: held during a pass whose states are read. Hooks belong to the model, not to a
            thread: without it one thread's pass would also reach the hooks of another thread.
    """

    model: Any
    tokenizer: Any
    architecture: Architecture
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    context: int
    device: torch.device
    passing: Any = field(default_factory=threading.RLock, compare=False, repr=False)

    @property
    def base(self) -> nn.Module:
        """The stack of layers without the vocabulary head."""
        base: nn.Module = self.model.base_model
        return base

    def forward(self, ids: Tensor, mask: Tensor) -> Any:
        """One pass of the stack over right-padded rows [B, T]; nothing is generated, so keys and
        values are not kept.

        A causal LM gets no mask: its tokens do not see the padding behind them, and without a mask
        attention takes a faster path.
        """
        seen = None if self.architecture.causal else mask
        return self.base(input_ids=ids, attention_mask=seen, use_cache=False)


def load_language_model(config: ProbeConfig) -> LanguageModel:
    """Loads model, adapter and tokenizer, on the configured device.

    Raises:
        ProbeError: no model named, not there, damaged, quantised, without attention, or without a
            fast tokenizer (character offsets need one); an adapter that changes no state.
    """
    from transformers import AutoModel, AutoModelForCausalLM

    settings = settings_of(config)
    causal = is_causal(config)
    device = resolve_device(config.device)
    auto = AutoModelForCausalLM if causal else AutoModel
    with _no_progress_bar():
        model = _guard(config, auto.from_pretrained, dtype=torch_dtype(config.dtype, device))
    model = model.to(device).eval().requires_grad_(False)
    folder = Path(_place(config))
    if device.type == "cpu" and folder.is_dir():
        map_weights(model, folder)
    architecture = _architecture(config, model, causal)
    if config.adapter:
        model = with_adapter(model, config.adapter)
    tokenizer = load_tokenizer(config)
    prefix, suffix = special_tokens(tokenizer)
    return LanguageModel(
        model=model,
        tokenizer=tokenizer,
        architecture=architecture,
        prefix=prefix,
        suffix=suffix,
        context=_context(settings, config, len(prefix) + len(suffix)),
        device=device,
    )


def load_tokenizer(config: ProbeConfig) -> Any:
    """The LM's fast tokenizer."""
    from transformers import AutoTokenizer

    tokenizer = _guard(config, AutoTokenizer.from_pretrained)
    if not tokenizer.is_fast:
        raise ProbeError(f"'{config.model}' has no fast tokenizer, which character offsets need")
    return tokenizer


def special_tokens(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids that the tokenizer puts before and after a text (BOS; CLS and SEP; or none)."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return tuple(whole[:start]), tuple(whole[start + len(plain) :])
    return (), ()


def resolve_device(name: str) -> torch.device:
    """`auto` is the first CUDA device where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ProbeError(f"probe.device '{name}' is no torch device; try cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ProbeError("probe.device is cuda, but this machine has none; set probe.device=cpu")
    return device


def torch_dtype(name: str, device: torch.device) -> torch.dtype:
    """The precision of a forward pass on a device; see `probe.dtype`."""
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    return torch.bfloat16 if _fast_bfloat16(device) else torch.float32


def _fast_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16; where it is emulated it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # AVX512-BF16, AMX, or Arm's BF16.
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def is_causal(config: ProbeConfig) -> bool:
    """Whether the LM predicts the next token, or is an encoder; nothing is loaded.

    Raises:
        ProbeError: the LM is not there.
    """
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    settings = settings_of(config)
    # Encoders that can be told to decode stand in both lists.
    family = settings.model_type
    return family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and (
        family not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or bool(settings.is_decoder)
    )


def settings_of(config: ProbeConfig) -> Any:
    """The LM's own configuration.

    Raises:
        ProbeError: it is not there, or of a kind that cannot be read.
    """
    from transformers import AutoConfig

    settings = _guard(config, AutoConfig.from_pretrained)
    quantised = getattr(settings, "quantization_config", None)
    if quantised:
        raise ProbeError(
            f"'{config.model}' is quantised ({_method(quantised)}); name the LM with plain "
            "weights, or as a GGUF file, which is dequantised"
        )
    if getattr(settings, "is_encoder_decoder", False):
        raise ProbeError(
            f"'{config.model}' ({settings.model_type}) is an encoder with a decoder; name an LM "
            "that is one stack of layers"
        )
    return settings


def _method(quantised: Any) -> str:
    named = quantised if isinstance(quantised, dict) else vars(quantised)
    return str(named.get("quant_method", "unknown method"))


def _architecture(config: ProbeConfig, model: Any, causal: bool) -> Architecture:
    base, settings = model.base_model, model.config
    if config.module_pattern is None:
        return find_architecture(base, settings, causal)
    layers = settings.get_text_config().num_hidden_layers
    return named_architecture(base, config.module_pattern, layers, causal)


def _context(settings: Any, config: ProbeConfig, specials: int) -> int:
    longest = int(getattr(settings.get_text_config(), "max_position_embeddings", 0) or 2048)
    # RoBERTa keeps two positions to itself.
    longest -= 2 if settings.model_type == "roberta" else 0
    if config.max_tokens is None:
        return longest
    return min(longest, config.max_tokens + specials)


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """transformers draws a bar for each load, in every worker."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _place(config: ProbeConfig) -> str:
    """What transformers loads from: a folder or a hub id."""
    place = locate(config)
    if place.path is None or not place.is_gguf:
        return place.hub or str(place.path)
    dtype = torch_dtype(config.dtype, resolve_device(config.device))
    return str(dequantised(place.path, str(dtype).removeprefix("torch.")))


def _guard(config: ProbeConfig, load: Any, **options: Any) -> Any:
    """Turns the many ways a load can fail into one line."""
    from safetensors import SafetensorError

    try:
        return load(_place(config), revision=config.revision, **options)
    except SafetensorError as error:
        raise ProbeError(f"'{config.model}': the safetensors file is damaged: {error}") from None
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        revision = f" at revision {config.revision}" if config.revision else ""
        reason = one_line(error)[:200]
        raise ProbeError(f"LM '{config.model}'{revision} cannot be loaded: {reason}") from None
