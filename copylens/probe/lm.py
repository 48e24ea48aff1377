"""Loads the target LM: weights, tokenizer, and the hash that pins them."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from copylens.config.schema import ProbeConfig
from copylens.errors import ProbeError
from copylens.probe.architectures import Architecture, architecture_of


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
    layers: int
    device: torch.device
    passing: Any = field(default_factory=threading.RLock, compare=False, repr=False)

    @property
    def base(self) -> nn.Module:
        """The stack of layers without the vocabulary head."""
        base: nn.Module = self.model.base_model
        return base


def load_language_model(config: ProbeConfig) -> LanguageModel:
    """Loads model and tokenizer from a folder or a hub id, on the configured device.

    Raises:
        ProbeError: no model named, not there, damaged, of an unknown architecture, or without a
            fast tokenizer (character offsets need one).
    """
    from transformers import AutoModel, AutoModelForCausalLM

    settings, architecture = _settings(config)
    auto = AutoModelForCausalLM if architecture.causal else AutoModel
    with _no_progress_bar():
        model = _guard(config, auto.from_pretrained, dtype=getattr(torch, config.dtype))
    device = resolve_device(config.device)
    model = model.to(device).eval().requires_grad_(False)
    tokenizer = load_tokenizer(config)
    prefix, suffix = special_tokens(tokenizer)
    return LanguageModel(
        model=model,
        tokenizer=tokenizer,
        architecture=architecture,
        prefix=prefix,
        suffix=suffix,
        context=_context(settings, config, len(prefix) + len(suffix)),
        layers=int(settings.num_hidden_layers),
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


def weight_hash(config: ProbeConfig) -> str:
    """What pins the weights: sha256 over a folder's weight files, or the hub commit.

    Cheap: nothing is loaded, so that a driver can check before any worker starts.

    Raises:
        ProbeError: the folder or the hub id is not there, or the folder holds no weights.
    """
    settings, _ = _settings(config)
    folder = Path(named(config))
    if not folder.is_dir():
        return str(settings._commit_hash)
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    if not files:
        raise ProbeError(f"'{config.model}' holds no weights (*.safetensors)")
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def is_causal(config: ProbeConfig) -> bool:
    """Whether the LM can write, or is an encoder; nothing is loaded.

    Raises:
        ProbeError: the LM is not there or of an unknown architecture.
    """
    return _settings(config)[1].causal


def named(config: ProbeConfig) -> str:
    """The folder or hub id that the config names.

    Raises:
        ProbeError: it names none.
    """
    if not config.model:
        raise ProbeError(
            "probe.model names no LM; name a folder or a hub id of one (shares alone can do "
            "without: channels.attention=false)"
        )
    return config.model


def _settings(config: ProbeConfig) -> tuple[Any, Architecture]:
    """The LM's own configuration, and the paths of its family."""
    from transformers import AutoConfig

    settings = _guard(config, AutoConfig.from_pretrained)
    return settings, architecture_of(settings.model_type, config.module_pattern)


def _context(settings: Any, config: ProbeConfig, specials: int) -> int:
    longest = int(getattr(settings, "max_position_embeddings", 0) or 2048)
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


def _guard(config: ProbeConfig, load: Any, **options: Any) -> Any:
    """Turns the many ways a load can fail into one line."""
    from safetensors import SafetensorError

    model = named(config)
    try:
        return load(model, revision=config.revision, **options)
    except SafetensorError as error:
        raise ProbeError(f"'{config.model}': the safetensors file is damaged: {error}") from None
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        revision = f" at revision {config.revision}" if config.revision else ""
        reason = " ".join(str(error).split())[:200]
        raise ProbeError(f"LM '{config.model}'{revision} cannot be loaded: {reason}") from None
