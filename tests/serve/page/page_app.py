"""A small service for the page: its answers follow from the text in a way a test can foresee."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from copylens.records import Basis, ModelIdentity, Share, TimelineItem, Verdict
from copylens.verdict.evidence import NO_INDEX
from serve.page import router

RIGHTS = {
    "harbour-press-novels": ("Harbour Press Ltd", "All rights reserved"),
    "networkx": ("NetworkX developers", "BSD-3-Clause"),
    "courier-newsroom-1990-2020": ("Courier Media Group", "Licensed, no derivatives"),
    "field-journals": ("Institute of Field Studies", "CC-BY-NC-4.0"),
    "cookery-archive": ("The Cookery Archive Foundation", "All rights reserved"),
}
# What an audit found the LM to be trained on.
TRAINED = ("harbour-press-novels", "networkx")
AUDITED = ["The LM was trained on it: p 0.001.", "Of 40 passages 3 can be drawn word for word."]
# A stretch belongs to whom most of these words come from.
WORDS = {
    "harbour-press-novels": ("captain", "sea", "said", "wife", "Bennet", "daughters"),
    "networkx": ("graph", "node", "def ", "return", "import", "distance"),
    "courier-newsroom-1990-2020": ("minister", "police", "percent"),
    "field-journals": ("species", "sample", "method"),
    "cookery-archive": ("butter", "oven", "tomatoes", "cup"),
}
STRETCH = 120
QUOTED = "harbour-press-novels"
WHY = "58% of it may be of none of them, but registered texts look like that too"
CSP = "default-src 'self'"

WRITTEN = (
    "The captain said nothing for a while. The sea lay grey and flat, and the sea birds had gone. "
    "“We wait,” said the captain, and the mate said that waiting was all they had done since "
    "Tuesday. Below, the cook put butter in a pan, and a cup of flour, and the oven smoked. "
    "Nobody came up. The captain said the wind would turn before the morning. "
)


def basis_of(name: str) -> Basis:
    return "trained_on" if name in TRAINED else "resemblance"


def judged(text: str) -> Verdict:
    """`strange` in the text makes it unregistered, `unsure` an abstention."""
    p = 0.004 if "strange" in text else 0.31 if "unsure" in text else 0.42
    least = 0.93 if p == 0.004 else 0.58 if p == 0.31 else 0.12
    timeline = tuple(
        stretch(start, text[start : start + STRETCH], least)
        for start in range(0, len(text), STRETCH)
    )

    def part_of_text(part: Callable[[TimelineItem], float]) -> float:
        return sum(part(item) * (item.end - item.start) for item in timeline) / len(text)

    shares = []
    for name, (holder, license) in RIGHTS.items():
        share = part_of_text(lambda item: item.shares[name])  # noqa: B023 - called at once
        low, high = max(0.0, share - 0.09), min(1.0, share + 0.07)
        quoted = 0.43 if name == QUOTED and p == 0.42 else 0.0
        shares.append(Share(name, holder, license, share, low, high, basis_of(name), quoted))
    unregistered = part_of_text(lambda item: item.unregistered)
    decision = "registered" if unregistered < 0.5 else "unregistered" if p < 0.05 else "abstain"
    return Verdict(
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        decision=decision,
        abstain_reason=WHY if decision == "abstain" else None,
        p_value=p,
        ood_score=1.37,
        shares=tuple(sorted(shares, key=lambda item: -item.share)),
        unregistered=unregistered,
        timeline=timeline,
        model=ModelIdentity("copylens", "7", "EleutherAI/pythia-70m", "a39f36b100fe"),
        tokens=max(1, len(text) // 4),
    )


def stretch(start: int, text: str, least: float) -> TimelineItem:
    """Its shares follow from its words; one without any is of none of them."""
    found = {name: sum(map(text.count, words)) for name, words in WORDS.items()}
    unregistered = least if any(found.values()) else max(least, 0.8)
    weight = {name: 0.3 + count**1.5 for name, count in found.items()}
    total = sum(weight.values()) / (1 - unregistered)
    shares = {name: value / total for name, value in weight.items()}
    return TimelineItem(start, start + len(text), shares, unregistered)


def policy_for(verdict: Verdict) -> dict[str, Any] | None:
    top = verdict.shares[0]
    if verdict.decision != "registered" or top.share < 0.4:
        return None
    return {
        "action": "flag",
        "rule": "novels",
        "holder": top.holder,
        "sub_dataset": top.sub_dataset,
        "share": top.share,
        "policy": "b1946ac92492",
    }


@dataclass
class Behaviour:
    """What the next answers are like; a test changes it."""

    key: str | None = None
    writes: bool = True
    error: tuple[int, Any] | None = None
    before: float = 0.0  # seconds to the first token ...
    pause: float = 0.0  # ... and from token to token
    verdict: dict[str, Any] = field(default_factory=dict)


def build() -> tuple[FastAPI, Behaviour]:
    app, behaviour = FastAPI(), Behaviour()
    app.include_router(router())

    @app.middleware("http")
    async def guard(request: Request, proceed):
        asks = request.url.path.startswith("/v1/")
        given = request.headers.get("authorization")
        if asks and behaviour.key and given != f"Bearer {behaviour.key}":
            what = "this API key is not known" if given else "an API key is needed"
            error = {"code": "key", "message": what, "limit": None, "hint": "ask for one"}
            response = JSONResponse({"error": error}, 403 if given else 401)
        elif request.url.path == "/v1/generate" and not behaviour.writes:
            response = JSONResponse({"error": {"code": "x", "message": "no such thing"}}, 404)
        else:
            response = await proceed(request)
        response.headers["content-security-policy"] = CSP
        return response

    @app.get("/v1/registry")
    def registry() -> dict[str, Any]:
        entries = [
            {
                "sub_dataset": name,
                "holder": holder,
                "license": license,
                "basis": basis_of(name),
            }
            for name, (holder, license) in RIGHTS.items()
        ]
        model = {"name": "copylens", "version": "7", "probe": "p", "probe_revision": None}
        levels = {
            "alpha": 0.05,
            "smallest_p": 0.003,
            "interval": 0.8,
            "generation": behaviour.writes,
        }
        lineage = {
            "probe_source": "pythia-70m",
            "probe_license": "Apache-2.0",
            "probe_layers": "2 of 6",
        }
        audit = dict.fromkeys(TRAINED[:1], AUDITED)
        return {
            "model": model,
            **levels,
            "sub_datasets": entries,
            "audit": audit,
            "lineage": lineage,
        }

    @app.post("/v1/attribute")
    async def attribute(request: Request):
        body = await request.json()
        assert body["timeline"] is True
        if behaviour.error:
            status, content = behaviour.error
            return JSONResponse(content, status)
        verdict = judged(body["text"])
        assert body["evidence"] is True
        none = {"evidence_reason": NO_INDEX}
        return {**verdict.to_dict(), **none, "policy": policy_for(verdict), **behaviour.verdict}

    @app.post("/v1/generate")
    async def generate(request: Request) -> StreamingResponse:
        body = await request.json()
        events = written(body["prompt"], behaviour)
        return StreamingResponse(events, media_type="text/event-stream")

    return app, behaviour


async def written(prompt: str, behaviour: Behaviour) -> AsyncIterator[str]:
    """A prompt with `block` is stopped, one with `fail` breaks off."""
    text, tokens = "", WRITTEN.split(" ")
    yield ": open\r\n\r\n"
    await asyncio.sleep(behaviour.before)
    for count, token in enumerate(tokens, 1):
        text += f"{token} "
        yield event("token", {"text": f"{token} "})
        await asyncio.sleep(behaviour.pause)
        if count % 16:
            continue
        now = judged(text)
        shares = {item.sub_dataset: item.share for item in now.shares}
        figures = {"shares": shares, "unregistered": now.unregistered, "p_value": now.p_value}
        figures["quoted"] = {item.sub_dataset: item.quoted for item in now.shares}
        yield event("shares", {**figures, "tokens": count})
        top = now.shares[0]
        if count == 32:
            said = {"decision": "registered", "sub_dataset": top.sub_dataset}
            yield event("flag", {**said, "share": top.share, "tokens": count})
        if count == 48 and "fail" in prompt:
            yield event("error", {"message": "the probe was lost"})
            return
        if count == 48 and "block" in prompt:
            reason = "more than half resembles a catalogue that may not be used"
            whose = {"sub_dataset": top.sub_dataset, "holder": top.holder}
            yield event("blocked", {"reason": reason, **whose})
            return
    yield event("verdict", {**judged(text).to_dict(), "policy": None})


def event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n"
