"""`POST /v1/attribute`: texts -> verdicts with the policy's ruling."""

import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from copylens.records import Verdict, name_of
from serve.api.openapi import BODY
from serve.api.policy import ContentPolicy
from serve.api.responses import log_response, verdict_response
from serve.api.schema import AttributeRequest, BatchOut, ServedVerdict, TextItem
from serve.http.context import Context, Ctx
from serve.http.errors import RequestError, internal_error
from serve.http.limits import check_texts
from serve.replica.messages import FailedText

router = APIRouter()


@router.post("/v1/attribute", response_model=ServedVerdict | BatchOut, responses=BODY)
async def attribute(body: AttributeRequest, request: Request, context: Ctx) -> JSONResponse:
    """Which registered sub-datasets each text draws on, and how much.

    `text` gives one verdict; `texts` a list, in which a text that cannot be scored has an error.
    """
    start = time.perf_counter()
    batch = body.texts is not None
    items = body.items()
    texts = tuple(item.text for item in items)
    limits = context.args.limits
    check_texts(texts, limits, batch)
    outcomes = await context.backend.score(
        texts, body.alpha, body.timeline, body.evidence, limits.deadline_s
    )
    for outcome in outcomes:
        if isinstance(outcome, FailedText) and outcome.least_alpha is not None:
            # Of the request, not of a text.
            raise _refusal(outcome)
    policy = context.policy.current()
    rows = [_row(context, policy, *each) for each in zip(items, outcomes, strict=True)]
    seconds = time.perf_counter() - start
    for text, row in zip(texts, rows, strict=True):
        log_response(context, request, text, row, seconds)
    if batch:
        return JSONResponse({"verdicts": rows})
    if isinstance(outcomes[0], FailedText):
        raise _refusal(outcomes[0])
    return JSONResponse(rows[0])


def _row(
    context: Context,
    policy: ContentPolicy,
    item: TextItem,
    outcome: Verdict | FailedText,
) -> dict[str, Any]:
    if isinstance(outcome, FailedText):
        names = {"id": name_of(item.id), "document": name_of(item.document)}
        return _refusal(outcome).body() | names
    return verdict_response(context, policy, outcome.named(item.id, item.document))


def _refusal(failed: FailedText) -> RequestError:
    if failed.reason is None:
        return internal_error()
    if failed.least_alpha is not None:
        return RequestError(
            422, "alpha_too_small", failed.reason, failed.least_alpha, param="alpha"
        )
    return RequestError(422, "cannot_score", failed.reason, hint="send a longer text")
