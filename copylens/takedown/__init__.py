"""Takedown: removes a sub-dataset from corpus, states, model, index and verdicts."""

from copylens.takedown.removal import Removal, remove

__all__ = ["Removal", "remove"]
