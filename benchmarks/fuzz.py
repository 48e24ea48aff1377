"""`python -m benchmarks.fuzz MODEL` or `--url URL`: whatever is sent, the service keeps its word.

MODEL is a saved scorer: the whole HTTP application runs in this process over it, gate included.
URL is a running service. Two sources of cases:
- schemathesis reads /openapi.json and sends what fits it and what does not;
- raw bodies that no schema thinks of: broken UTF-8, control characters, halves of surrogate pairs,
  deep JSON, a megabyte, huge numbers, other content types.
A server error is a 5xx. A contract violation is an answer that /openapi.json does not announce
(status, type, form), a refusal of what it allows, or an answer to what it forbids.
"""

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from starlette.testclient import TestClient

from benchmarks.support.fuzz_bodies import RawBody, raw_bodies

# Long texts only cost time here; what bounds them is tested by numbers beyond the bounds.
_LEVEL = 0.5
_TOKENS = 8
_REFUSED = ["400", "401", "403", "404", "405", "413", "415", "422", "429"]


@dataclass
class Found:
    """What was asked, and what was wrong with the answers, one line each."""

    cases: int = 0
    server_errors: list[str] = field(default_factory=list)
    contract_violations: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def figures(self) -> dict[str, int]:
        """The benchmark's last line."""
        return {
            "cases": self.cases,
            "server_errors": len(self.server_errors),
            "contract_violations": len(self.contract_violations),
        }


def by_schema(found: Found, target: Any, examples: int, seed: int) -> None:
    """Cases that schemathesis makes of the schema, checked by all its checks.

    Args:
        target: an ASGI application, or the address of a service.
        examples: random ones per endpoint, beside those at the bounds of each field.
    """
    import schemathesis
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events, from_schema

    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "continue-on-failure": True,
            "headers": {"Host": "localhost"},
            "request-timeout": 120,
            "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
            "phases": {"stateful": {"enabled": False}},
            # A body that is wrong and too large besides is refused for its size.
            "checks": {"negative_data_rejection": {"expected-statuses": _REFUSED}},
        }
    )
    options: dict[str, Any] = {"config": config, "headers": {"Host": "localhost"}}
    if isinstance(target, str):
        schema = schemathesis.openapi.from_url(f"{target}/openapi.json", **options)
    else:
        schema = schemathesis.openapi.from_asgi("/openapi.json", target, **options)
    schema.hook("map_case")(_short)
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _note(found, event.recorder)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            raise RuntimeError(f"schemathesis failed: {event}")


def _short(context: Any, case: Any) -> Any:
    """A generation of allowed length becomes a short one; a level in (0, 1), which the model may
    refuse as too small, one that it allows.
    """
    if not isinstance(case.body, dict):
        return case
    tokens = case.body.get("max_tokens", 200)
    if isinstance(tokens, int) and not isinstance(tokens, bool) and 1 <= tokens <= 4096:
        case.body = {**case.body, "max_tokens": min(tokens, _TOKENS)}
    ours = case.body.get("copylens")  # of the OpenAI-like routes
    case.body = _allowed_level(case.body)
    if isinstance(ours, dict):
        case.body = {**case.body, "copylens": _allowed_level(ours)}
    return case


def _allowed_level(body: dict[str, Any]) -> dict[str, Any]:
    alpha = body.get("alpha")
    small = isinstance(alpha, float) and 0 < alpha < _LEVEL
    return {**body, "alpha": _LEVEL} if small else body


def _note(found: Found, recorder: Any) -> None:
    """One batch of schemathesis' cases and what its checks say."""
    found.cases += len(recorder.cases)
    for case, interaction in recorder.interactions.items():
        response = interaction.response
        status = response.status_code if response is not None else None
        found.statuses[f"{recorder.label} {status}"] += 1
        for check in recorder.checks.get(case, ()):
            if check.failure_info is None:
                continue
            failure = check.failure_info.failure
            curl = recorder.cases[case].value.as_curl_command()
            line = f"{recorder.label} {status} {failure.title}: {failure.message} [{curl}]"
            server = check.name == "not_a_server_error"
            (found.server_errors if server else found.contract_violations).append(line)


def by_hand(found: Found, client: Any, bodies: list[RawBody]) -> None:
    """Raw bodies to every endpoint that reads one.

    Args:
        client: has `get` and `post` as httpx and requests have them.
    """
    from jsonschema import Draft202012Validator

    schema = client.get("/openapi.json").json()
    refusal = {"$ref": "#/components/schemas/ErrorOut", "components": schema["components"]}
    well_formed = Draft202012Validator(refusal)
    for path, operations in schema["paths"].items():
        if "post" not in operations:
            continue
        known = operations["post"]["responses"]
        for body in bodies:
            headers = {} if body.type is None else {"Content-Type": body.type.encode("latin-1")}
            answer = client.post(path, content=body.content, headers=headers)
            found.cases += 1
            found.statuses[f"POST {path} {answer.status_code}"] += 1
            line = f"POST {path} {answer.status_code} for {body.name}: {answer.text[:200]}"
            if answer.status_code >= 500:
                found.server_errors.append(line)
            kind = answer.headers.get("content-type", "").partition(";")[0]
            documented = known.get(str(answer.status_code), {}).get("content", {})
            right = kind in documented and (
                answer.status_code < 400 or well_formed.is_valid(answer.json())
            )
            if not right:
                found.contract_violations.append(line)


def main() -> None:
    """Asks, tells what was wrong on stderr, and prints the JSON line last."""
    asked = _arguments()
    found = Found()
    bodies = raw_bodies(asked.seed, asked.bodies)
    if asked.url is not None:
        import httpx2

        by_schema(found, asked.url, asked.examples, asked.seed)
        with httpx2.Client(base_url=asked.url, timeout=120) as client:
            by_hand(found, client, bodies)
    else:
        from benchmarks.support.fuzz_app import application

        app = application(asked.model, asked.probe)
        by_schema(found, app, asked.examples, asked.seed)
        by_hand(found, TestClient(app, base_url="http://localhost"), bodies)
    for name, count in sorted(found.statuses.items()):
        print(f"{count:6d}  {name}", file=sys.stderr)
    for line in found.server_errors + found.contract_violations:
        print(line, file=sys.stderr)
    print(json.dumps(found.figures()))
    raise SystemExit(bool(found.server_errors or found.contract_violations))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", help="the folder of a saved scorer")
    parser.add_argument("--probe", help="where its LM lies now")
    parser.add_argument("--url", help="a running, open service instead")
    parser.add_argument("--examples", type=int, default=1200, help="random ones per endpoint")
    parser.add_argument("--bodies", type=int, default=200, help="raw ones per endpoint")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if (asked.model is None) == (asked.url is None):
        parser.error("name either a saved scorer or --url")
    return asked


if __name__ == "__main__":
    main()
