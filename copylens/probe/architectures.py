"""Where an LM keeps the modules that are tapped, found by how it computes and not by its name."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from copylens.errors import ProbeError, one_line

_TOKENS = 12
# Far above rounding in any precision, far below what another context does to an attention result.
_MIXED = 1e-2
_FAMILIES_WITHOUT_ATTENTION = ("mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm")


@dataclass(frozen=True)
class Block:
    """One layer of an LM, as dotted paths below the base model (`model.base_model`).

    Attributes:
        path: of the block itself.
        attention: of the attention output projection: its input is the concatenated heads, its
            output the projected attention result. "" where the block has none, as in layers of
            hybrid models that keep a running state instead.
        mlp: of the last projection of the feed-forward part; "" where it is not one module, as
            with experts.
    """

    path: str
    attention: str
    mlp: str


@dataclass(frozen=True)
class Architecture:
    """All layers of an LM, in order.

    Attributes:
        causal: True for language models that predict the next token.
    """

    blocks: tuple[Block, ...]
    causal: bool

    @property
    def attending(self) -> tuple[int, ...]:
        """Numbers of the layers that have an attention output projection."""
        return tuple(layer for layer, block in enumerate(self.blocks) if block.attention)


def find_architecture(base: nn.Module, settings: Any, causal: bool) -> Architecture:
    """Finds each layer's attention output projection by an experiment on the loaded LM.

    Two rows of tokens pass through the LM. Before every block the hidden state of the last position
    is set equal in both rows. What a block computes from that position alone (norms, queries, keys,
    values, a parallel feed-forward part) is then equal too; the first projection whose input still
    differs has seen other positions, and that is the one behind the attention.

    Args:
        base: the stack of layers.
        settings: the LM's configuration.

    Raises:
        ProbeError: the LM has no attention, or nothing that looks like its output projection.
    """
    if settings.model_type in _FAMILIES_WITHOUT_ATTENTION:
        raise ProbeError(
            f"'{settings.model_type}' keeps a running state and has no attention to read; name an "
            "LM with attention layers"
        )
    where, stack = _stack(base, settings)
    seen = _experiment(base, stack, settings)
    width = settings.get_text_config().hidden_size
    blocks = [
        _block(block, seen[layer], width, f"{where}.{layer}") for layer, block in enumerate(stack)
    ]
    found = Architecture(tuple(blocks), causal)
    if not found.attending:
        raise ProbeError(
            f"'{settings.model_type}': no attention output projection was found; name it with "
            "probe.module_pattern, e.g. layers.{layer}.self_attn.o_proj"
        )
    return found


def named_architecture(base: nn.Module, pattern: str, layers: int, causal: bool) -> Architecture:
    """The layers that a user's pattern names: the path of an attention output projection.

    Raises:
        ProbeError: the pattern has no {layer}, names a whole layer, or a module that is not there.
    """
    head, marker, tail = pattern.partition("{layer}")
    if not marker or not tail.startswith("."):
        raise ProbeError(
            f"probe.module_pattern '{pattern}' must name a module inside a layer, "
            "e.g. layers.{layer}.self_attn.o_proj"
        )
    blocks = [Block(f"{head}{layer}", f"{head}{layer}{tail}", "") for layer in range(layers)]
    for block in blocks:
        submodule(base, block.attention)
    return Architecture(tuple(blocks), causal)


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


@dataclass
class _Seen:
    """What one block did: its projections in the order of their calls.

    Attributes:
        mixed: whether the input at the last position differed between the rows.
    """

    called: list[nn.Module] = field(default_factory=list)
    mixed: list[bool] = field(default_factory=list)


def _stack(base: nn.Module, settings: Any) -> tuple[str, Sequence[nn.Module]]:
    """Path and blocks of the LM's list of layers."""
    count = settings.get_text_config().num_hidden_layers
    lists = [
        (path, module)
        for path, module in base.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if not lists:
        raise ProbeError(
            f"'{settings.model_type}' has no list of {count} layers; name an LM whose layers are "
            "one list, or the attention output projection with probe.module_pattern"
        )
    path, module = max(lists, key=lambda item: sum(p.numel() for p in item[1].parameters()))
    return path, list(module)


@torch.inference_mode()
def _experiment(base: nn.Module, stack: Sequence[nn.Module], settings: Any) -> list[_Seen]:
    seen = [_Seen() for _ in stack]
    size = settings.get_text_config().vocab_size
    ids = torch.arange(2 * _TOKENS).reshape(2, _TOKENS) * 7 % size
    with ExitStack() as hooks:
        for block, own in zip(stack, seen):
            hooks.enter_context(_watched(block, own))
        try:
            base(input_ids=ids.to(next(base.parameters()).device), use_cache=False)
        except (RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
            raise ProbeError(
                f"'{settings.model_type}' cannot be read as a stack of layers over one text "
                f"({one_line(error)}); name an LM that reads text alone"
            ) from None
    return seen


@contextmanager
def _watched(block: nn.Module, seen: _Seen) -> Iterator[None]:
    """Sets the last position equal on the way in, and records the calls of the projections."""

    def equalise(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        hidden: Tensor = args[0] if args else named["hidden_states"]
        hidden = hidden.clone()
        hidden[1, -1] = hidden[0, -1]
        return ((hidden, *args[1:]), named) if args else (args, named | {"hidden_states": hidden})

    def record(module: nn.Module, args: tuple[Any, ...]) -> None:
        # Some LMs hand all tokens to their feed-forward part in one row: [B * T, D].
        if not args or args[0].shape[:-1].numel() != 2 * _TOKENS:
            return
        first, second = args[0].reshape(2, _TOKENS, -1)[:, -1].float()
        apart = float((first - second).norm() / first.norm().clamp(min=1e-12))
        seen.called.append(module)
        seen.mixed.append(apart > _MIXED)

    handles = [block.register_forward_pre_hook(equalise, with_kwargs=True)]
    handles += [m.register_forward_pre_hook(record) for m in block.modules() if _projects(m)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _projects(module: nn.Module) -> bool:
    """Whether it multiplies by a matrix: linear layers, and GPT-2's of its own kind."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2 and not any(module.children())


def _block(block: nn.Module, seen: _Seen, width: int, path: str) -> Block:
    """What is tapped of a block that lies at a path."""
    attention, mlp = _attention(block, seen, width), _last(block, seen, width)
    # A block whose last projection is the attention's has no feed-forward part of its own.
    named = (f"{path}.{own}" if own else "" for own in (attention, mlp if mlp != attention else ""))
    return Block(path, *named)


def _attention(block: nn.Module, seen: _Seen, width: int) -> str:
    """Path of the first projection whose input has seen other positions, or "".

    What a convolution or a running state has mixed is no attention; there the names have to tell.
    """
    if True not in seen.mixed:
        return ""
    module = seen.called[seen.mixed.index(True)]
    path = _path(block, module)
    attends = any(word in path.lower() for word in ("attn", "attention"))
    if not attends or "linear_attn" in path or _outputs(module) != width:
        return ""
    return path


def _last(block: nn.Module, seen: _Seen, width: int) -> str:
    """Path of the last projection, or "" where its output is no hidden state."""
    if not seen.called or _outputs(seen.called[-1]) != width:
        return ""
    return _path(block, seen.called[-1])


def _outputs(module: nn.Module) -> int:
    """Width of what a projection gives; GPT-2's own kind keeps its weights transposed."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight.shape[1 if type(module).__name__ == "Conv1D" else 0]


def _path(block: nn.Module, module: nn.Module) -> str:
    paths: Iterator[str] = (path for path, own in block.named_modules() if own is module)
    return next(paths)
