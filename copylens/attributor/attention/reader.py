"""The readers of the attention states, each a module that gives the same kind of output."""

from collections.abc import Mapping
from typing import Any

from copylens.attributor.attention.network import AttributorNetwork, NetworkShape
from copylens.attributor.attention.ridge import RidgeReader, RidgeShape

Reader = AttributorNetwork | RidgeReader


def build_reader(shape: Mapping[str, Any]) -> Reader:
    """A reader of a saved shape, to load its parameters into."""
    if shape["reader"] == "ridge":
        return RidgeReader(RidgeShape(**shape))
    return AttributorNetwork(NetworkShape(**shape))
