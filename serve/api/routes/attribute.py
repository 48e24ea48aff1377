"""`POST /v1/attribute`: texts -> verdicts, and what the policy makes of them."""

import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from copylens.records import Verdict
from serve.api.openapi import BODY
from serve.api.policy import Policy
from serve.api.responses import note, ruled
from serve.api.schema import AttributeRequest, BatchOut, VerdictOut
from serve.http.context import Context, Ctx
from serve.http.errors import RequestError, internal
from serve.http.limits import check_texts
from serve.replica.messages import Failed

router = APIRouter()


@router.post("/v1/attribute", response_model=VerdictOut | BatchOut, responses=BODY)
async def attribute(body: AttributeRequest, request: Request, context: Ctx) -> JSONResponse:
    """Says of each text whether it draws on something registered, on what, and how much."""
    start = time.perf_counter()
    batch = body.texts is not None
    texts = body.texts if body.texts is not None else (body.text or "",)
    limits = context.args.limits
    check_texts(texts, limits, batch)
    answers = await context.backend.score(
        texts, body.alpha, body.timeline, body.evidence, limits.deadline_s
    )
    policy = context.policy.current()
    rows = [_row(context, policy, answer) for answer in answers]
    seconds = time.perf_counter() - start
    for text, row in zip(texts, rows, strict=True):
        note(context, request, text, row, seconds)
    if batch:
        return JSONResponse({"verdicts": rows})
    if isinstance(answers[0], Failed):
        raise _refusal(answers[0])
    return JSONResponse(rows[0])


def _row(context: Context, policy: Policy, answer: Verdict | Failed) -> dict[str, Any]:
    return _refusal(answer).body() if isinstance(answer, Failed) else ruled(context, policy, answer)


def _refusal(failed: Failed) -> RequestError:
    if failed.reason is None:
        return internal()
    return RequestError(422, "cannot_score", failed.reason, hint="send a longer text")
