"""Named arrays: what classes give to be saved, and get to be built from again.

Names are dotted paths, so that the arrays of a part stand below the name of the part.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from copylens.records import AnyArray

Arrays = dict[str, AnyArray]


def nested(prefix: str, arrays: Mapping[str, AnyArray]) -> Arrays:
    """The same arrays, below a name."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def below(prefix: str, arrays: Mapping[str, AnyArray]) -> Arrays:
    """The arrays below a name, by the rest of theirs; empty where there are none."""
    start = f"{prefix}."
    return {k.removeprefix(start): array for k, array in arrays.items() if k.startswith(start)}


def sequence(parts: Iterable[Mapping[str, AnyArray]]) -> Arrays:
    """The arrays of several parts, below 0, 1 and so on."""
    named = [nested(str(number), part) for number, part in enumerate(parts)]
    return {name: array for part in named for name, array in part.items()}


def parts_of(arrays: Mapping[str, AnyArray]) -> list[Arrays]:
    """The inverse of `sequence`."""
    found: list[Arrays] = []
    while part := below(str(len(found)), arrays):
        found.append(part)
    return found


def from_words(words: Iterable[str]) -> AnyArray:
    """Words as UTF-8 bytes, sorted, one a line."""
    return np.frombuffer("\n".join(sorted(words)).encode(), np.uint8)


def to_words(array: AnyArray) -> frozenset[str]:
    """The inverse of `from_words`."""
    return frozenset(array.tobytes().decode().split("\n"))
