"""`POST /v1/attribute`: texts -> verdicts, and what the policy makes of them."""

import time
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from copylens.records import Verdict
from serve.context import Context, Ctx
from serve.errors import RequestError, internal
from serve.gate import KEY
from serve.limits import check_texts
from serve.log import event, sha256
from serve.policy import Policy
from serve.schema import REFUSALS, AttributeRequest, BatchOut, VerdictOut
from serve.wire import Failed

router = APIRouter()


@router.post("/v1/attribute", response_model=VerdictOut | BatchOut, responses=REFUSALS)
async def attribute(body: AttributeRequest, request: Request, context: Ctx) -> JSONResponse:
    """Says of each text whether it draws on something registered, on what, and how much."""
    start = time.perf_counter()
    batch = body.texts is not None
    texts = body.texts if body.texts is not None else (body.text or "",)
    limits = context.args.limits
    check_texts(texts, limits, batch)
    answers = await context.backend.score(texts, body.alpha, body.timeline, limits.deadline_s)
    policy = context.policy.current()
    rows = [_row(context, policy, answer) for answer in answers]
    _log(context, request, texts, rows, time.perf_counter() - start)
    if batch:
        return JSONResponse({"verdicts": rows})
    if isinstance(answers[0], Failed):
        raise _refusal(answers[0])
    return JSONResponse(rows[0])


def _row(context: Context, policy: Policy, answer: Verdict | Failed) -> dict[str, Any]:
    if isinstance(answer, Failed):
        return _refusal(answer).body()
    ruling = policy.rule_on(answer)
    context.counted(answer, ruling)
    return {**answer.to_dict(), "policy": asdict(ruling)}


def _refusal(failed: Failed) -> RequestError:
    if failed.reason is None:
        return internal()
    return RequestError(422, "cannot_score", failed.reason, hint="send a longer text")


def _log(
    context: Context,
    request: Request,
    texts: tuple[str, ...],
    rows: list[dict[str, Any]],
    seconds: float,
) -> None:
    key = request.scope.get(KEY)
    common = {"key": key.name if key else None, "ms": round(1000 * seconds, 1)}
    for text, row in zip(texts, rows, strict=True):
        kept: dict[str, Any] = {"text_sha256": sha256(text), **common}
        if "policy" in row:
            kept |= {"decision": row["decision"], "version": row["model"]["version"]}
            kept["policy"] = row["policy"]
        if context.args.log_texts:
            kept["text"] = text
        event("verdict", **kept)
