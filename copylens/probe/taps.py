"""Observers of what each tapped layer computes; they end the pass after the last one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from copylens.config.schema import Tap
from copylens.errors import ProbeError
from copylens.probe.architectures import Architecture, Block, submodule
from copylens.probe.listen import listen

_MANY = 9
_MIDDLE = 5

Receive = Callable[[int, Tensor], None]


class PassDone(Exception):  # noqa: N818 - a signal, not an error
    """Raised out of the last tapped layer: nothing reads what later layers would compute."""


def resolve_layers(
    layers: str | Sequence[int], architecture: Architecture, tap: Tap
) -> tuple[int, ...]:
    """0-based layer numbers in ascending order; negative ones count from the last.

    `all` are those that have what is tapped: hybrid LMs have attention in some layers only.
    `middle` are five of the middle third of these, where most of what tells sources apart is
    (docs/experiments.md); of fewer than nine it is all.

    Raises:
        ProbeError: a number is outside the LM's layers, or such a layer has nothing to tap.
    """
    count = len(architecture.blocks)
    having = tuple(n for n, block in enumerate(architecture.blocks) if _path(block, tap))
    if not having:
        raise ProbeError(f"probe.tap: this LM has no module that is known as its {tap}")
    if layers == "middle" and len(having) >= _MANY:
        places = np.linspace(len(having) / 3, 2 * len(having) / 3 - 1, _MIDDLE)
        return tuple(sorted({having[round(place)] for place in places}))
    if isinstance(layers, str):
        return having
    for layer in layers:
        if not -count <= layer < count:
            raise ProbeError(f"probe.layers: the LM has layers 0..{count - 1}, got {layer}")
        if layer % count not in having:
            some = ", ".join(map(str, having))
            raise ProbeError(f"probe.layers: layer {layer} has no {tap}; there is one in {some}")
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
            module = submodule(base, _path(architecture.blocks[layer], tap))
            take = partial(deliver, layer)
            ends.callback(listen(module, **{"before" if tap == "heads" else "after": take}))
        yield


def _path(block: Block, tap: Tap) -> str:
    """Of the module whose input (`heads`) or output (the other taps) is read; "": there is none."""
    if tap == "residual":
        return block.path
    return block.mlp if tap == "mlp" else block.attention
