"""The sums over what all workers have read: an actor of its own.

It imports nothing besides Ray: a process that loads torch to add numbers takes seconds of a core
from the workers.
"""

from dataclasses import dataclass

import ray


@dataclass(frozen=True)
class Reading:
    """Sums over passes of an LM.

    Attributes:
        passes, tokens, characters, seconds: of the passes that have ended.
    """

    passes: int = 0
    tokens: int = 0
    characters: int = 0
    seconds: float = 0.0

    def plus(self, more: "Reading") -> "Reading":
        """Both together."""
        pairs = zip(vars(self).values(), vars(more).values())
        return Reading(*(mine + theirs for mine, theirs in pairs))

    def tokens_of(self, characters: int) -> int:
        """How many tokens so many characters will be, by what has been read."""
        return round(characters * self.tokens / max(self.characters, 1))


@ray.remote(num_cpus=0)
class Tally:
    """Adds up over all workers."""

    def __init__(self) -> None:
        self._sum = Reading()

    def add(self, more: Reading) -> None:
        """Passes that a worker has ended."""
        self._sum = self._sum.plus(more)

    def read(self) -> Reading:
        """The sums."""
        return self._sum
