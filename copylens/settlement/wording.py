"""The sentences of a statement: its bases and its limits."""

from collections.abc import Sequence

import numpy as np

from copylens.fit.confusion import HeldOutShares
from copylens.settlement.log import VerdictLog

BASES = {
    "trained_on": "an audit found that the LLM was trained on it",
    "resemblance": "the texts resemble it; training on it was not found or not asked",
}


FEW_TEXTS = 100


def limits(
    log: VerdictLog, sub_datasets: Sequence[str], held_out: HeldOutShares, unclear: int
) -> list[str]:
    """One sentence each: what a reader must know before money changes hands.

    Args:
        unclear: number of lines that are not paid since their interval includes 0.
    """
    texts = int(log.texts.sum())
    said = [
        "A share tells what the texts resemble. Only the basis says whether the LLM was trained "
        "on the sub-dataset.",
        "Every text counts the same, however long it is.",
        *_of_correction(sub_datasets, held_out),
    ]
    if texts < FEW_TEXTS:
        said.insert(
            0,
            f"The log has {texts} texts: fewer than {FEW_TEXTS} are too few for exact intervals, "
            "and only large shares can be told from none.",
        )
    if unclear:
        said.append(
            f"{unclear} of {len(sub_datasets)} sub-datasets cannot be told from absent ones: they "
            "are paid nothing, and the part of their shares is kept."
        )
    if log.carried:
        said.append(
            f"{log.carried:,} of {texts:,} verdicts were carried over from an "
            "earlier version and not scored again, since nothing removed had a part in them."
        )
    return said


def _of_correction(sub_datasets: Sequence[str], held_out: HeldOutShares) -> list[str]:
    said = [
        "The correction takes the texts to be like the held-out passages in length and kind; "
        "texts of a few words, or of several sources, fit it less."
    ]
    if held_out.counts[-1] == 0:
        said.append(
            "How unregistered texts score was assumed, not measured: the corpus had no OOD "
            "passages. The amount kept depends on it."
        )
    else:
        said.append(
            "How unregistered texts score was measured on the OOD passages of the corpus; other "
            "unregistered texts may score otherwise, and the amount kept with them."
        )
    groups = held_out.group_counts[:-1]
    single = [name for name, count in zip(sub_datasets, groups) if count < 2]
    if single:
        said.append(
            f"{len(single)} of {len(sub_datasets)} sub-datasets have a single held-out work. How "
            "their works differ is not in the intervals, which are too narrow for that."
        )
    elif int(np.min(groups)) < 5:
        said.append(
            f"Some sub-datasets have only {int(np.min(groups))} held-out works; their intervals "
            "are rough."
        )
    return said
