"""Loads a Scorer replica's models from the registry or a saved folder."""

from copylens.registry.reader import load_scorer, resolve_version
from copylens.registry.server import tracking_uri
from copylens.verdict.scorer import Scorer
from serve.ops.settings import ServeArgs

_WARM = "The quick brown fox jumps over the lazy dog, and the dog does not mind. " * 8


class ModelSource:
    """The functions that a Follower calls: resolve a version, load it, warm it up."""

    def __init__(self, args: ServeArgs):
        self._uri = args.model
        self._tracking = tracking_uri(args.tracking_uri)
        self._probe = args.probe
        # Only an alias can move; any other version is resolved once.
        self._fixed = None if self._uri.startswith("models:/") else "unregistered"

    def resolve(self) -> str:
        """The version that the URI names now."""
        if self._fixed is not None:
            return self._fixed
        version = resolve_version(self._uri, self._tracking)[1]
        if "@" not in self._uri:
            self._fixed = version
        return version

    def load(self, version: str, before: Scorer | None) -> Scorer:
        """The scorer of a version, its LM in memory.

        Where both versions use the same LM, the loaded one is shared: it is by far the largest
        part, and most versions differ only in what was trained on its states.

        Args:
            before: the current scorer; None where there is none.
        """
        uri = self._uri
        if uri.startswith("models:/"):
            # Loaded by number, since the alias may move meanwhile.
            name = uri.removeprefix("models:/").rpartition("@" if "@" in uri else "/")[0]
            uri = f"models:/{name}/{version}"
        scorer = load_scorer(uri, self._tracking, self._probe)
        shared = before is not None and scorer.share_lm(before)
        reads_lm = scorer.config.reads_lm
        if reads_lm and not shared and scorer.config.probe.dtype == "float32":
            # Loaded here, while the current model serves. An LM of another precision is loaded by
            # `warm`, between two batches: loading it changes torch's default dtype globally.
            _ = scorer.probe
        return scorer

    def warm(self, scorer: Scorer) -> None:
        """Runs a first pass, which allocates and compiles, so that no request waits for that."""
        scorer.verdicts([_WARM])
