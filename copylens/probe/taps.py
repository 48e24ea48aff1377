"""Observers of what each tapped layer computes; they end the pass after the last one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from copylens.config.schema import Tap
from copylens.errors import ProbeError
from copylens.probe.architectures import Architecture, submodule
from copylens.probe.listen import listen

Receive = Callable[[int, Tensor], None]


class PassDone(Exception):  # noqa: N818 - a signal, not an error
    """Raised out of the last tapped layer: nothing reads what later layers would compute."""


def resolve_layers(layers: str | Sequence[int], count: int) -> tuple[int, ...]:
    """0-based layer numbers in ascending order; negative ones count from the last.

    Raises:
        ProbeError: a number is outside the LM's layers.
    """
    if isinstance(layers, str):
        return tuple(range(count))
    for layer in layers:
        if not -count <= layer < count:
            raise ProbeError(f"probe.layers: the LM has layers 0..{count - 1}, got {layer}")
    return tuple(sorted({layer % count for layer in layers}))


@contextmanager
def tapped(
    base: nn.Module,
    architecture: Architecture,
    tap: Tap,
    layers: Sequence[int],
    receive: Receive,
    early_exit: bool,
) -> Iterator[None]:
    """Listens for the time of a `with` block.

    Args:
        base: the stack of layers.
        tap: `heads` (input of the attention output projection: the concatenated heads),
            `attention` (its output), `mlp` (the feed-forward output), `residual` (the block's
            output).
        layers: 0-based, ascending.
        receive: called once per layer with (layer, [B, T, D]).
        early_exit: raise PassDone after the last layer's tap.
    """

    def deliver(layer: int, value: Any, _named: Any = None) -> None:
        receive(layer, value[0] if isinstance(value, tuple) else value)
        if early_exit and layer == layers[-1]:
            raise PassDone

    with ExitStack() as ends:
        for layer in layers:
            module = tapped_module(base, architecture, tap, layer)
            take = partial(deliver, layer)
            ends.callback(listen(module, **{"before" if tap == "heads" else "after": take}))
        yield


def tapped_module(base: nn.Module, architecture: Architecture, tap: Tap, layer: int) -> nn.Module:
    """The module whose input (`heads`) or output (the other taps) is read."""
    block = submodule(base, architecture.layer.format(layer=layer))
    if tap == "residual":
        return block
    if tap == "mlp":
        if not architecture.mlp:
            raise ProbeError("probe.tap: mlp is not known for an architecture given by pattern")
        return submodule(block, architecture.mlp)
    return submodule(block, architecture.attention)
