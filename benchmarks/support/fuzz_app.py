"""The HTTP application over a scorer in this process, without a cluster, for `benchmarks.fuzz`."""

import asyncio
from collections.abc import Sequence

from copylens.errors import TextError
from copylens.records import Verdict
from copylens.verdict.scorer import Scorer
from serve.http.context import make_context
from serve.http.middleware import AccessMiddleware
from serve.http.web import create_app
from serve.ops.settings import ServeArgs
from serve.replica.deployment import Item, registered_model, score_items, score_outcome
from serve.replica.generation_backend import LocalGenerationBackend
from serve.replica.messages import FailedText, ModelStatus, RegisteredModel, ScoringBackend


class InProcessBackend(ScoringBackend):
    """A scorer of this process, with the Scorer deployment's own functions; without its queue."""

    def __init__(self, scorer: Scorer):
        self._scorer = scorer

    async def score(
        self,
        texts: Sequence[str],
        alpha: float | None,
        timeline: bool,
        evidence: bool,
        seconds: float,
    ) -> tuple[Verdict | FailedText, ...]:
        items = [Item(text, alpha, evidence) for text in texts]
        results = [await asyncio.to_thread(self._result, item) for item in items]
        return tuple(score_outcome(result, timeline) for result in results)

    def _result(self, item: Item) -> Verdict | Exception:
        try:
            return score_items(self._scorer, [item])[0]
        except TextError as error:
            return error

    async def status(self) -> ModelStatus:
        return ModelStatus(self._scorer.identity)

    async def registered(self) -> RegisteredModel:
        return registered_model(self._scorer)


def application(folder: str, probe: str | None) -> AccessMiddleware:
    """The whole application over a saved scorer, open to localhost."""
    scorer = Scorer.load(folder, probe=probe)
    context = make_context(
        ServeArgs(open_access=True),
        InProcessBackend(scorer),
        LocalGenerationBackend(lambda: scorer),
    )
    return create_app(context)
