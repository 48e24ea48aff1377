"""A scorer without an LM: verdicts whose shares the text itself asks for."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.testclient import TestClient

from copylens.records import ModelIdentity, Rights, Share, TimelineItem, Verdict
from serve.http.context import Metrics, make_context
from serve.http.errors import RequestError
from serve.http.middleware import AccessMiddleware
from serve.http.web import create_app
from serve.ops.settings import ServeArgs
from serve.replica.generation import GenerationBackend
from serve.replica.messages import FailedText, ModelStatus, RegisteredModel, ScoringBackend

RIGHTS = (
    Rights("sea", "Sea Press", "all rights reserved"),
    Rights("ships", "Sea Press", "all rights reserved"),
    Rights("law", "Law Press", "CC-BY-4.0"),
)
IDENTITY = ModelIdentity("copylens", "7", "tiny", None)
SMALLEST_P = 0.004
AUDIT = {"sea": ("Trained on sea: yes.", "Of 9 passages of sea 2 can be drawn word for word.")}


def make_verdict(text: str = "A text.", p_value: float = 0.5, **shares: float) -> Verdict:
    """A verdict with these shares; what they leave is unregistered, and the decision follows."""
    unregistered = 1 - sum(shares.values()) if shares else 0.0
    foreign = unregistered >= 0.5
    decision = (
        "unregistered" if foreign and p_value < 0.05 else "abstain" if foreign else "registered"
    )
    return Verdict(
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        decision=decision,
        abstain_reason="most of it may be of none of them" if decision == "abstain" else None,
        p_value=p_value,
        ood_score=1.0,
        shares=tuple(
            Share(r.sub_dataset, r.holder, r.license, s, s / 2, (1 + s) / 2)
            for r in RIGHTS
            if (s := shares.get(r.sub_dataset, 0.0)) or not shares
        ),
        unregistered=unregistered,
        timeline=(TimelineItem(0, len(text), dict(shares), unregistered),),
        model=IDENTITY,
        tokens=len(text.split()),
    )


@dataclass
class FakeBackend:
    """Gives `sea` 0.75 of every text; refuses "unscorable" and levels below SMALLEST_P, breaks at
    "broken"."""

    delay_s: float = 0.0
    ready: bool = True
    refusal: Exception | None = None
    asked: list[tuple[tuple[str, ...], float | None]] = field(default_factory=list)
    outcome: str | None = "loaded"
    reason: str | None = None

    async def score(
        self,
        texts: Sequence[str],
        alpha: float | None,
        timeline: bool,
        evidence: bool,
        seconds: float,
    ) -> tuple[Verdict | FailedText, ...]:
        self.asked.append((tuple(texts), alpha))
        if self.refusal is not None:
            raise self.refusal
        await asyncio.sleep(self.delay_s)
        if alpha is not None and alpha < SMALLEST_P:
            return (FailedText(f"alpha must be above {SMALLEST_P}", SMALLEST_P),) * len(texts)
        return tuple(self._answer(text, timeline) for text in texts)

    def _answer(self, text: str, timeline: bool) -> Verdict | FailedText:
        if text == "unscorable":
            return FailedText("holds nothing that the LM's tokenizer knows")
        if text == "broken":
            return FailedText(None)
        verdict = make_verdict(text, sea=0.75)
        return verdict if timeline else replace(verdict, timeline=())

    async def status(self) -> ModelStatus:
        model = IDENTITY if self.ready else None
        return ModelStatus(model, self.outcome, "7", self.reason, 3.0)

    async def registered(self) -> RegisteredModel:
        if not self.ready:
            raise RequestError(503, "not_ready", "no model is loaded yet", retry_after_s=10)
        lineage = {"copylens": "0.1.0", "probe": "/home/alice/lms/tiny", "probe_license": "MIT"}
        return RegisteredModel(IDENTITY, 0.05, SMALLEST_P, 0.9, True, RIGHTS, lineage, AUDIT)


def make_app(
    backend: ScoringBackend | None = None,
    generation: GenerationBackend | None = None,
    metrics: Metrics | None = None,
    **args: Any,
) -> AccessMiddleware:
    """The whole application with a fake scorer, access middleware included."""
    if "keys" not in args:
        args.setdefault("open_access", True)
    return create_app(
        make_context(ServeArgs(**args), backend or FakeBackend(), generation, metrics)
    )


def make_client(*given: Any, **args: Any) -> TestClient:
    """A client of `make_app`."""
    app = make_app(*given, **args)
    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=True)
    client.api = app.app
    client.context = app.app.state.context
    return client


def error_of(response: Any) -> dict[str, Any]:
    """The error of a refusal, checked for its form."""
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "limit", "hint", "type", "param"}
    assert "\n" not in body["error"]["message"]
    return body["error"]
