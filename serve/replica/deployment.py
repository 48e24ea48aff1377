"""The two deployments: Ingress speaks HTTP and knows the policy, Scorer holds the model.

Everything heavy is imported and loaded by a Scorer replica, nothing by who only imports this.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from copylens.corpus.quarantine import reason
from copylens.errors import CopyLensError, TextError
from copylens.records import Verdict
from serve.api.policy import Policy
from serve.http.context import make_context
from serve.http.middleware import Gate
from serve.http.web import create_app
from serve.ops.log import LOG
from serve.ops.metrics import IngressMetrics, ScorerMetrics
from serve.ops.settings import ServeArgs
from serve.replica.backend import HandleBackend
from serve.replica.batcher import GreedyBatcher, OverloadedError
from serve.replica.follow import Follower
from serve.replica.generation import Event, GenerateRequest, ModelCard, error_event
from serve.replica.generation_handle import HandleGeneration
from serve.replica.messages import Busy, Failed, NotReady, Registered, Scored, Status

if TYPE_CHECKING:
    from copylens.verdict.scorer import Scorer as Model

_NO_MODEL = "no model is loaded yet"


@dataclass(frozen=True)
class Item:
    """One text of one request."""

    text: str
    alpha: float | None
    evidence: bool


# The Scorer's queue is the one that is bounded by texts; what Serve itself holds back waits for
# the deadline only, so both numbers lie above it.
@serve.deployment(
    name="Scorer",
    max_ongoing_requests=512,
    max_queued_requests=1024,
    health_check_timeout_s=60,
    graceful_shutdown_timeout_s=60,
)
class Scorer:
    """A model, the queue before it, and the alias it follows."""

    async def __init__(self, args: ServeArgs):
        """Returns once a model answers, or at once where `wait_for_model` is off."""
        import torch

        from serve.replica.generation_backend import LocalBackend
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
        self._follower: Follower[Model] = Follower(
            source.resolve,
            source.load,
            # In the scoring thread: two models may share one LM, whose taps are no one else's
            # while it runs.
            lambda model: self._batcher.run(lambda: source.warm(model)),
            self._metrics.reload,
        )
        # Generations have threads of their own; they and the batches take turns at the LM.
        self._generation = LocalBackend(
            self._model, args.batching.generations, args.batching.queue_generations
        )
        await self._follower.poll()
        while args.wait_for_model and self._follower.current is None:
            await asyncio.sleep(args.poll_s)
            await self._follower.poll()
        self._following = asyncio.create_task(self._follower.run(args.poll_s))

    async def score(
        self, texts: Sequence[str], alpha: float | None, timeline: bool, evidence: bool
    ) -> Scored | Busy | NotReady:
        """One entry a text. What can go wrong comes back as data: nothing is raised on purpose."""
        if self._follower.current is None:
            return self._not_ready()
        try:
            results = await self._batcher.submit([Item(text, alpha, evidence) for text in texts])
        except OverloadedError as full:
            return Busy(full.waiting, full.limit, full.wait_s, full.room_s, self._name)
        return Scored(tuple(_entry(result, timeline) for result in results), self._name)

    async def status(self) -> Status:
        """Which model answers, and how the last change of it went."""
        return self._follower.status()

    async def registered(self) -> Registered | NotReady:
        """What the model knows."""
        model = self._follower.current
        if model is None:
            return self._not_ready()
        calibration = model.config.calibration
        return Registered(
            model.identity,
            calibration.alpha,
            calibration.interval,
            model.can_write,
            tuple(model.rights.values()),
            model.lineage,
        )

    async def generate(self, request: GenerateRequest, policy: Policy) -> AsyncIterator[Event]:
        """Events of one generation, the policy's block among them."""
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

    async def card(self) -> ModelCard | NotReady:
        """The LM that writes."""
        if self._follower.current is None:
            return self._not_ready()
        return await self._generation.card()

    async def check_health(self) -> None:
        """A replica whose loops ended or hang would look alive and answer nothing.

        Raises:
            RuntimeError: so it is, and Serve replaces the replica.
        """
        if self._following.done() or self._batcher.broken:
            raise RuntimeError("a loop of the replica has ended")
        if self._batcher.busy_s > self._stalled_s:
            raise RuntimeError(f"a pass of the LM takes longer than {self._stalled_s:g} s")

    def _model(self) -> "Model":
        model = self._follower.current
        assert model is not None
        return model

    def _not_ready(self) -> NotReady:
        return NotReady(self._follower.status().reason or _NO_MODEL)

    def _verdicts(self, items: list[Item]) -> list[Verdict]:
        """One pass of the LM, in the scoring thread; the model is the same throughout."""
        model = self._follower.current
        assert model is not None
        self._metrics.batch(len(items), self._batcher.waiting)
        verdicts: dict[int, Verdict] = {}
        index = any(item.evidence for item in items) and _has_index(model)
        asked = [(item.alpha, item.evidence and index) for item in items]
        # Nearly always one kind, and so one pass.
        for alpha, evidence in set(asked):
            places = [n for n, kind in enumerate(asked) if kind == (alpha, evidence)]
            found = model.verdicts([items[n].text for n in places], alpha, evidence)
            verdicts |= dict(zip(places, found, strict=True))
        return [verdicts[n] for n in range(len(items))]


def _has_index(model: "Model") -> bool:
    """A verdict stands without its evidence: an index that is gone is the log's business."""
    try:
        return model.evidence_index is not None
    except CopyLensError as error:
        LOG.error("there is no evidence to give: %s", error)
        return False


def _entry(result: Verdict | Exception, timeline: bool) -> Verdict | Failed:
    if isinstance(result, TextError):
        return Failed(reason(result))
    if isinstance(result, Exception):
        LOG.error("a text could not be scored", exc_info=result)
        return Failed(None)
    return result if timeline else replace(result, timeline=())


@serve.deployment(
    name="Ingress",
    max_ongoing_requests=1024,
    max_queued_requests=1024,
    graceful_shutdown_timeout_s=60,
)
@serve.ingress()
class Ingress:
    """HTTP: gate, routes, policy. Holds no model, so there may be many."""

    def __init__(self, args: ServeArgs, scorer: "DeploymentHandle[Any]"):
        """Reads policy and keys.

        Raises:
            CopyLensError: one of the files cannot be used.
        """
        self._context = make_context(
            args, HandleBackend(scorer), HandleGeneration(scorer), IngressMetrics()
        )

    def __serve_build_asgi_app__(self) -> Gate:
        """Called by Serve on the replica."""
        return create_app(self._context)

    async def drain(self) -> None:
        """From now on new requests get a 503; those under way are answered."""
        self._context.draining = True

    async def readiness(self) -> Status:
        """For who starts the service, past HTTP."""
        return await self._context.backend.status()
