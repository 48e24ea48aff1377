"""The lexical channel as plain arrays, for the bundle on disk."""

import numpy as np
from scipy import sparse

from copylens.attributor.lexical.class_lm import ClassLanguageModel, Level
from copylens.attributor.lexical.classifier import LexicalClassifier
from copylens.attributor.lexical.experts import ExpertGate
from copylens.attributor.lexical.names import NameRecord
from copylens.attributor.lexical.ngrams import NgramView
from copylens.attributor.lexical.skeleton import Skeleton
from copylens.records import AnyArray

_SETS = ("common", "opening", "shared")
_LEVEL = ("ids", "contexts", "context_of", "counts", "columns", "ends", "shape")


def lexical_arrays(lexical: LexicalClassifier) -> dict[str, AnyArray]:
    """Every parameter by a dotted name; word sets as UTF-8 bytes, one word a line."""
    arrays: dict[str, AnyArray] = {
        "lexical.gate": lexical.gate.gate,
        "lexical.pool": lexical.gate.pool,
        "lexical.unseen": np.array([view.unseen for view in lexical.views]),
        "lexical.skeleton": _packed(lexical.skeleton.frequent),
        "lexical.centre": lexical.centre,
        "lexical.scale": lexical.scale,
    }
    for name in _SETS:
        arrays[f"lexical.names.{name}"] = _packed(getattr(lexical.names, name))
    for i, (view, weights) in enumerate(zip(lexical.views, lexical.weights)):
        arrays[f"lexical.{i}.vocabulary"] = view.vocabulary
        arrays[f"lexical.{i}.idf"] = view.idf
        arrays[f"lexical.{i}.weights"] = weights
    for i, model in enumerate(lexical.models):
        for n, level in enumerate(model.levels):
            arrays |= _level_arrays(f"lexical.model.{i}.{n}", level)
    return arrays


def lexical_from(arrays: dict[str, AnyArray]) -> LexicalClassifier:
    """The inverse of `lexical_arrays`."""
    names = {name: _unpacked(arrays[f"lexical.names.{name}"]) for name in _SETS}
    unseen = arrays["lexical.unseen"]
    views = tuple(
        NgramView(arrays[f"lexical.{i}.vocabulary"], arrays[f"lexical.{i}.idf"], float(value))
        for i, value in enumerate(unseen)
    )
    return LexicalClassifier(
        names=NameRecord(**names),
        skeleton=Skeleton(_unpacked(arrays["lexical.skeleton"])),
        views=views,
        weights=tuple(arrays[f"lexical.{i}.weights"] for i in range(len(unseen))),
        models=tuple(_language_model(arrays, i) for i in range(len(arrays["lexical.centre"]))),
        centre=arrays["lexical.centre"],
        scale=arrays["lexical.scale"],
        gate=ExpertGate(arrays["lexical.gate"], arrays["lexical.pool"]),
    )


def _language_model(arrays: dict[str, AnyArray], number: int) -> ClassLanguageModel:
    levels: list[Level] = []
    while (prefix := f"lexical.model.{number}.{len(levels)}") + ".ids" in arrays:
        parts = {name: arrays[f"{prefix}.{name}"] for name in _LEVEL}
        counts = sparse.csr_matrix(
            (parts["counts"], parts["columns"], parts["ends"]), shape=tuple(parts["shape"])
        )
        levels.append(Level(parts["ids"], counts, parts["contexts"], parts["context_of"]))
    return ClassLanguageModel(tuple(levels))


def _level_arrays(prefix: str, level: Level) -> dict[str, AnyArray]:
    counts = level.counts
    values: tuple[AnyArray, ...] = (level.ids, level.contexts, level.context_of)
    values += (counts.data, counts.indices, counts.indptr, np.array(counts.shape))
    return {f"{prefix}.{name}": value for name, value in zip(_LEVEL, values)}


def _packed(words: frozenset[str]) -> AnyArray:
    return np.frombuffer("\n".join(sorted(words)).encode(), np.uint8)


def _unpacked(array: AnyArray) -> frozenset[str]:
    return frozenset(array.tobytes().decode().split("\n"))
