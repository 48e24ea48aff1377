"""KubeRay's own schemas, closed: a field they do not name is an error, as with kubectl --strict."""

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

_CRDS = Path(__file__).parent / "crds"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def ray_validator(kind: str, version: str) -> Draft202012Validator:
    """The validator of a kind of ray.io, e.g. RayJob."""
    path = _CRDS / f"ray.io_{kind.lower()}s.v1.7.0.yaml.gz"
    crd = yaml.load(gzip.decompress(path.read_bytes()), Loader=_LOADER)
    assert crd["spec"]["names"]["kind"] == kind
    (found,) = [v for v in crd["spec"]["versions"] if v["name"] == version]
    schema = found["schema"]["openAPIV3Schema"]
    top = {"type": "object", "required": ["name"]}
    schema["properties"] = {**schema["properties"], "metadata": top}
    return Draft202012Validator(close(schema, top))


def close(schema: Any, stays_open: Any = None) -> Any:
    """A copy of the schema in which objects hold nothing but what is named."""
    if isinstance(schema, list):
        return [close(item, stays_open) for item in schema]
    if not isinstance(schema, dict) or schema is stays_open:
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    closed = {
        key: {name: close(part, stays_open) for name, part in value.items()}
        if key == "properties"
        else close(value, stays_open)
        for key, value in schema.items()
    }
    is_open = schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("type") == "object" and "additionalProperties" not in schema and not is_open:
        closed["additionalProperties"] = False
    return closed


def ray_errors(doc: dict[str, Any]) -> list[str]:
    """What KubeRay's schema has against a document, one line each."""
    group, version = doc["apiVersion"].split("/")
    assert group == "ray.io"
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error in ray_validator(doc["kind"], version).iter_errors(doc)
    ]
