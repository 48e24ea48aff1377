"""`/healthz`, `/readyz` and `GET /v1/registry`: liveness, readiness, registered sub-datasets."""

from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from copylens.verdict.public import public_lineage
from serve.api.openapi import COMMON, RETRY
from serve.api.schema import ReadyOut, RegistryOut
from serve.http.context import Context, Ctx
from serve.http.middleware import KEY

router = APIRouter()


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Liveness: the process answers. For the model see /readyz."""
    return {"status": "ok"}


@router.get(
    "/readyz", response_model=ReadyOut, responses={503: {"model": ReadyOut, "headers": RETRY}}
)
async def readyz(request: Request, context: Ctx) -> JSONResponse:
    """Readiness: 200 where a model is loaded, 503 before that and while the service stops."""
    status = await context.backend.status()
    ready = status.model is not None and not context.draining
    reason = status.reason
    if reason is not None and context.keys is not None and request.scope.get(KEY) is None:
        # The reason may contain host names and paths.
        reason = "send an API key to read the reason"
    body = {
        "ready": ready,
        "draining": context.draining,
        "model": asdict(status.model) if status.model is not None else None,
        "reload": {
            "outcome": status.outcome,
            "version": status.version,
            "reason": reason,
            "seconds_ago": status.seconds_ago,
        },
    }
    headers = {} if ready else {"Retry-After": "5"}
    return JSONResponse(body, 200 if ready else 503, headers)


@router.get("/v1/registry", response_model=RegistryOut, responses=COMMON)
async def registry(context: Ctx) -> JSONResponse:
    """Registered sub-datasets with holders and licences; the model and its lineage; the policy."""
    found = await context.backend.registered()
    body: dict[str, Any] = {
        "model": asdict(found.model),
        "alpha": found.alpha,
        "smallest_p": found.smallest_p,
        "interval": found.interval,
        "generation": found.writes and context.generation is not None,
        "sub_datasets": [asdict(item) for item in found.rights],
        "lineage": public_lineage(found.lineage),
        "audit": found.audit,
        "policy": _policy(context, found.rights),
    }
    return JSONResponse(body)


def _policy(context: Context, rights: Any) -> dict[str, Any]:
    policy, problem = context.policy.current(), context.policy.problem
    if problem is not None and context.args.policy is not None:
        # File name only; the log has the whole path.
        problem = problem.replace(context.args.policy, PurePath(context.args.policy).name)
    return {
        "id": policy.id,
        "idle_rules": policy.idle_rules(rights),
        "problem": problem,
    }
