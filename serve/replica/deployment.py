"""The two deployments: Ingress (HTTP, keys, policy) and Scorer (the model and its queue).

torch and the model are imported on a Scorer replica only, not by importing this module.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from copylens.corpus.quarantine import reason
from copylens.errors import LevelError, TextError
from copylens.records import Verdict
from copylens.verdict.attachments import audit_sentences
from serve.api.policy import ContentPolicy
from serve.http.context import make_context
from serve.http.middleware import AccessMiddleware
from serve.http.web import create_app
from serve.ops.log import LOG
from serve.ops.metrics import IngressMetrics, ScorerMetrics
from serve.ops.settings import ServeArgs
from serve.replica.backend import RayScoringBackend
from serve.replica.batcher import GreedyBatcher, OverloadedError
from serve.replica.follow import Follower
from serve.replica.generation import Event, GenerateRequest, ModelCard, error_event
from serve.replica.generation_handle import RayGenerationBackend
from serve.replica.messages import (
    FailedText,
    ModelStatus,
    NotReady,
    Overloaded,
    RegisteredModel,
    ScoreResponse,
)

if TYPE_CHECKING:
    from copylens.verdict.scorer import Scorer

_NO_MODEL = "no model is loaded yet"


@dataclass(frozen=True)
class Item:
    """One text of one request."""

    text: str
    alpha: float | None
    evidence: bool


# The queue of the Scorer's batcher is the real limit: it counts texts and says how long to wait.
# Serve's own limits count requests and lie above it, so that they do not apply first.
@serve.deployment(
    name="Scorer",
    max_ongoing_requests=512,
    max_queued_requests=1024,
    health_check_timeout_s=60,
    graceful_shutdown_timeout_s=60,
)
class ScorerDeployment:
    """Holds the model, batches texts for it, and reloads it when its alias moves."""

    async def __init__(self, args: ServeArgs):
        """Returns once a model is loaded, or at once where `wait_for_model` is off."""
        import torch

        from serve.replica.generation_backend import LocalGenerationBackend
        from serve.replica.models import ModelSource

        torch.set_num_threads(args.threads)
        self._name = serve.get_replica_context().replica_id.unique_id
        self._stalled_s = args.batching.stalled_s
        self._metrics = ScorerMetrics()
        self._batcher: GreedyBatcher[Item, Verdict] = GreedyBatcher(
            self._verdicts,
            lambda item: len(item.text),
            args.batching.texts,
            args.batching.chars,
            args.batching.queue_texts,
            args.batching.answer_s,
        )
        source = ModelSource(args)
        self._follower: Follower[Scorer] = Follower(
            source.resolve,
            source.load,
            # In the scoring thread: two models may share one LM, and only one of them may have its
            # forward hooks on it at a time.
            lambda model: self._batcher.run(lambda: source.warm(model)),
            self._metrics.reload,
        )
        # Generations run in their own threads; a lock alternates their LM calls with the batches'.
        self._generation = LocalGenerationBackend(
            self._model, args.batching.generations, args.batching.queue_generations
        )
        await self._follower.poll()
        while args.wait_for_model and self._follower.current is None:
            await asyncio.sleep(args.poll_s)
            await self._follower.poll()
        self._following = asyncio.create_task(self._follower.run(args.poll_s))

    async def score(
        self, texts: Sequence[str], alpha: float | None, timeline: bool, evidence: bool
    ) -> ScoreResponse | Overloaded | NotReady:
        """One entry per text. Expected failures are returned as messages, not raised."""
        model = self._follower.current
        if model is None:
            return self._not_ready()
        try:
            # Before it is queued: in a batch it would hold up the texts of others.
            model.level(alpha)
        except LevelError as error:
            return ScoreResponse((score_outcome(error, timeline),) * len(texts), self._name)
        try:
            results = await self._batcher.submit([Item(text, alpha, evidence) for text in texts])
        except OverloadedError as full:
            return Overloaded(full.waiting, full.limit, full.wait_s, full.room_s, self._name)
        return ScoreResponse(
            tuple(score_outcome(result, timeline) for result in results), self._name
        )

    async def status(self) -> ModelStatus:
        """The loaded model, and the last attempt to load another version."""
        return self._follower.status()

    async def registered(self) -> RegisteredModel | NotReady:
        """The model, its sub-datasets and its lineage."""
        model = self._follower.current
        if model is None:
            return self._not_ready()
        return registered_model(model)

    async def generate(
        self, request: GenerateRequest, policy: ContentPolicy
    ) -> AsyncIterator[Event]:
        """Events of one generation; `policy` may block it."""
        if self._follower.current is None:
            yield error_event(503, "not_ready", self._not_ready().reason, "try again later")
            return
        try:
            async with aclosing(self._generation.stream(request, policy)) as events:
                async for event in events:
                    self._metrics.generations(self._generation.open)
                    yield event
        finally:
            self._metrics.generations(self._generation.open)

    async def card(self) -> ModelCard | NotReady | None:
        """The LM that generates."""
        if self._follower.current is None:
            return self._not_ready()
        return await self._generation.card()

    async def check_health(self) -> None:
        """Called by Serve, which replaces a replica that raises.

        Raises:
            RuntimeError: a background task has ended, or a pass of the LM hangs.
        """
        if self._following.done() or self._batcher.broken:
            raise RuntimeError("a loop of the replica has ended")
        if self._batcher.busy_s > self._stalled_s:
            raise RuntimeError(f"a pass of the LM takes longer than {self._stalled_s:g} s")

    def _model(self) -> "Scorer":
        model = self._follower.current
        assert model is not None
        return model

    def _not_ready(self) -> NotReady:
        return NotReady(self._follower.status().reason or _NO_MODEL)

    def _verdicts(self, items: list[Item]) -> list[Verdict]:
        """Scores a batch in the scoring thread; a reload meanwhile does not affect it."""
        self._metrics.batch(len(items), self._batcher.waiting)
        return score_items(self._model(), items)


def score_items(model: "Scorer", items: Sequence[Item]) -> list[Verdict]:
    """One verdict per item, in order.

    Raises:
        TextError: one of the texts cannot be scored.
    """
    verdicts: dict[int, Verdict] = {}
    options = [(item.alpha, item.evidence) for item in items]
    # Texts with the same options share a pass; nearly always all have.
    for alpha, evidence in set(options):
        places = [n for n, option in enumerate(options) if option == (alpha, evidence)]
        found = model.verdicts([items[n].text for n in places], alpha, evidence)
        verdicts |= dict(zip(places, found, strict=True))
    return [verdicts[n] for n in range(len(items))]


def score_outcome(result: Verdict | Exception, timeline: bool) -> Verdict | FailedText:
    """A result of the batcher for one text as a message."""
    if isinstance(result, LevelError):
        return FailedText(reason(result), result.smallest)
    if isinstance(result, TextError):
        return FailedText(reason(result))
    if isinstance(result, Exception):
        LOG.error("a text could not be scored", exc_info=result)
        return FailedText(None)
    return result if timeline else replace(result, timeline=())


def registered_model(model: "Scorer") -> RegisteredModel:
    """The message that describes a model."""
    calibration = model.config.calibration
    return RegisteredModel(
        model.identity,
        calibration.alpha,
        model.smallest_p,
        calibration.interval,
        model.can_write,
        tuple(model.rights.values()),
        model.lineage,
        audit_sentences(model.attachments),
    )


@serve.deployment(
    name="Ingress",
    max_ongoing_requests=1024,
    max_queued_requests=1024,
    graceful_shutdown_timeout_s=60,
)
@serve.ingress()
class IngressDeployment:
    """HTTP: access control, routes, policy. Holds no model, so replicas are cheap."""

    def __init__(self, args: ServeArgs, scorer: "DeploymentHandle[Any]"):
        """Reads policy and keys.

        Raises:
            CopyLensError: one of the files cannot be used.
        """
        self._context = make_context(
            args, RayScoringBackend(scorer), RayGenerationBackend(scorer), IngressMetrics()
        )

    def __serve_build_asgi_app__(self) -> AccessMiddleware:
        """Called by Serve on the replica."""
        return create_app(self._context)

    async def drain(self) -> None:
        """Refuses new requests with 503 from now on; running ones are answered."""
        self._context.draining = True

    async def readiness(self) -> ModelStatus:
        """The Scorer's status, for `copylens serve`, which asks without HTTP."""
        return await self._context.backend.status()
