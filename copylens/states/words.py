"""States of texts that no LM reads: windows of words with their spans, and no features."""

from collections.abc import Sequence

import numpy as np

from copylens.errors import TextError
from copylens.records import States
from copylens.text import UNIT


class WordReader:
    """Stands in the probe's place where no channel reads an LM."""

    def __init__(self, window: int):
        """`window`: words and marks per window."""
        self._window = window

    def states(self, texts: Sequence[str]) -> list[States]:
        """See `word_states`."""
        return word_states(texts, self._window)


def word_states(texts: Sequence[str], window: int) -> list[States]:
    """States of each text: values [W, 0], spans [W, 2] of `window` units each.

    A unit is a word, a number or a mark; longer runs of letters without a blank (as in scripts
    that write none) count as several.

    Raises:
        TextError: a text is empty or blank.
    """
    found = []
    for number, text in enumerate(texts):
        units = [match.span() for match in UNIT.finditer(text)]
        if not units:
            raise TextError(f"text {number} is empty; give at least one word")
        last = len(units) - 1
        places = range(0, len(units), window)
        spans = [(units[i][0], units[min(i + window - 1, last)][1]) for i in places]
        nothing = np.zeros((len(spans), 0), np.float16)
        found.append(States(nothing, np.array(spans, np.int32), len(units)))
    return found
