"""A sub-dataset goes: from the corpus, the states, the model, the index and the verdicts."""

from copylens.takedown.removal import Removal, remove

__all__ = ["Removal", "remove"]
