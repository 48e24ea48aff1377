"""What every verdict passes on its way to the client: the policy's ruling, the metrics, the log."""

from dataclasses import asdict
from typing import Any

from fastapi import Request

from copylens.records import Verdict
from serve.api.policy import ContentPolicy
from serve.http.context import Context
from serve.http.middleware import KEY
from serve.ops.log import event, sha256


def verdict_response(context: Context, policy: ContentPolicy, verdict: Verdict) -> dict[str, Any]:
    """The verdict and the policy's ruling on it, as JSON values; counted in the metrics."""
    ruling = policy.rule_on(verdict)
    context.metrics.verdict(verdict, ruling)
    return {**verdict.to_dict(), "policy": asdict(ruling)}


def log_response(
    context: Context, request: Request, text: str, row: dict[str, Any], seconds: float
) -> None:
    """Logs one verdict or refusal; with the text only where `log_texts` is set.

    Args:
        row: of `verdict_response`, or the body of a refusal.
        seconds: until the response.
    """
    key = request.scope.get(KEY)
    values: dict[str, Any] = {
        "text_sha256": sha256(text),
        "key": key.name if key else None,
        "ms": round(1000 * seconds, 1),
    }
    if "policy" in row:
        values |= {"decision": row["decision"], "version": row["model"]["version"]}
        values["policy"] = row["policy"]
    values |= {key: row[key] for key in ("id", "document") if row.get(key) is not None}
    if context.args.log_texts:
        values["text"] = text
    event("verdict", **values)
