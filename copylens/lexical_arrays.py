"""The lexical channel as plain arrays, for the bundle on disk."""

import numpy as np

from copylens.model.experts import ExpertGate
from copylens.model.lexical import LexicalClassifier
from copylens.model.names import NameRecord
from copylens.model.ngrams import NgramView
from copylens.records import AnyArray

_SETS = ("common", "opening", "shared")


def lexical_arrays(lexical: LexicalClassifier) -> dict[str, AnyArray]:
    """Every parameter by a dotted name; word sets as UTF-8 bytes, one word a line."""
    arrays: dict[str, AnyArray] = {
        "lexical.gate": lexical.gate.gate,
        "lexical.pool": lexical.gate.pool,
        "lexical.unseen": np.array([view.unseen for view in lexical.views]),
    }
    for name in _SETS:
        words = "\n".join(sorted(getattr(lexical.names, name)))
        arrays[f"lexical.names.{name}"] = np.frombuffer(words.encode(), np.uint8)
    for i, (view, weights) in enumerate(zip(lexical.views, lexical.weights)):
        arrays[f"lexical.{i}.vocabulary"] = view.vocabulary
        arrays[f"lexical.{i}.idf"] = view.idf
        arrays[f"lexical.{i}.weights"] = weights
    return arrays


def lexical_from(arrays: dict[str, AnyArray]) -> LexicalClassifier:
    """The inverse of `lexical_arrays`."""
    names = {
        name: frozenset(arrays[f"lexical.names.{name}"].tobytes().decode().split("\n"))
        for name in _SETS
    }
    unseen = arrays["lexical.unseen"]
    views = tuple(
        NgramView(arrays[f"lexical.{i}.vocabulary"], arrays[f"lexical.{i}.idf"], float(value))
        for i, value in enumerate(unseen)
    )
    return LexicalClassifier(
        names=NameRecord(**names),
        views=views,
        weights=tuple(arrays[f"lexical.{i}.weights"] for i in range(len(unseen))),
        gate=ExpertGate(arrays["lexical.gate"], arrays["lexical.pool"]),
    )
