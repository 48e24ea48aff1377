"""A verdict on its way out: the policy's word on it, the metrics, a line in the log."""

from dataclasses import asdict
from typing import Any

from fastapi import Request

from copylens.records import Verdict
from serve.api.policy import Policy
from serve.http.context import Context
from serve.http.middleware import KEY
from serve.ops.log import event, sha256


def ruled(context: Context, policy: Policy, verdict: Verdict) -> dict[str, Any]:
    """The answer for one text, counted: the verdict and what the policy makes of it."""
    ruling = policy.rule_on(verdict)
    context.metrics.verdict(verdict, ruling)
    return {**verdict.to_dict(), "policy": asdict(ruling)}


def note(
    context: Context, request: Request, text: str, row: dict[str, Any], seconds: float
) -> None:
    """Logs one answer; the text itself only where the operator asked for that."""
    key = request.scope.get(KEY)
    kept: dict[str, Any] = {
        "text_sha256": sha256(text),
        "key": key.name if key else None,
        "ms": round(1000 * seconds, 1),
    }
    if "policy" in row:
        kept |= {"decision": row["decision"], "version": row["model"]["version"]}
        kept["policy"] = row["policy"]
    if context.args.log_texts:
        kept["text"] = text
    event("verdict", **kept)
