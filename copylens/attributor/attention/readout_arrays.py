"""The read-out expert as plain arrays, for the bundle on disk."""

import numpy as np

from copylens.attributor.attention.readout_expert import ReadOutExpert
from copylens.attributor.lexical.ngrams import NgramView
from copylens.records import AnyArray


def expert_arrays(expert: ReadOutExpert) -> dict[str, AnyArray]:
    """Every parameter by a dotted name."""
    arrays: dict[str, AnyArray] = {
        "codes.temperature": np.array([expert.temperature]),
        "codes.unseen": np.array([view.unseen for view in expert.views]),
    }
    for i, (view, weights) in enumerate(zip(expert.views, expert.weights)):
        arrays[f"codes.{i}.vocabulary"] = view.vocabulary
        arrays[f"codes.{i}.idf"] = view.idf
        arrays[f"codes.{i}.weights"] = weights
    return arrays


def expert_from(arrays: dict[str, AnyArray]) -> ReadOutExpert | None:
    """The inverse of `expert_arrays`; None where they hold no expert."""
    if "codes.temperature" not in arrays:
        return None
    unseen = arrays["codes.unseen"]
    return ReadOutExpert(
        views=tuple(
            NgramView(arrays[f"codes.{i}.vocabulary"], arrays[f"codes.{i}.idf"], float(value))
            for i, value in enumerate(unseen)
        ),
        weights=tuple(arrays[f"codes.{i}.weights"] for i in range(len(unseen))),
        temperature=float(arrays["codes.temperature"][0]),
    )
