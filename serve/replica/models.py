"""Where a Scorer replica's models come from: the registry, or a saved folder."""

from copylens.registry.reader import load_scorer, resolve_version
from copylens.registry.server import tracking_uri
from copylens.verdict.scorer import Scorer
from serve.ops.settings import ServeArgs

_WARM = "The quick brown fox jumps over the lazy dog, and the dog does not mind. " * 8


class ModelSource:
    """What a Follower is told: which version, how to load it, how to warm it up."""

    def __init__(self, args: ServeArgs):
        self._uri = args.model
        self._tracking = tracking_uri(args.tracking_uri)
        self._probe = args.probe
        # Only an alias moves. What is fixed needs no registry once it is known.
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

        An LM that the model before has already is taken over: most versions differ in what was
        trained on its states, and it is by far the largest part.
        """
        uri = self._uri
        if uri.startswith("models:/"):
            # By number: the alias may move while this version is loaded.
            name = uri.removeprefix("models:/").rpartition("@" if "@" in uri else "/")[0]
            uri = f"models:/{name}/{version}"
        scorer = load_scorer(uri, self._tracking, self._probe)
        shared = before is not None and scorer.share_lm(before)
        reads_lm = scorer.config.reads_lm
        if reads_lm and not shared and scorer.config.probe.dtype == "float32":
            # Beside the model that answers. While another precision is loaded torch's default
            # is another one for all threads: such an LM is loaded by `warm`, between two batches.
            _ = scorer.probe
        return scorer

    def warm(self, scorer: Scorer) -> None:
        """The first pass allocates and compiles; no request should wait for that."""
        scorer.verdicts([_WARM])
