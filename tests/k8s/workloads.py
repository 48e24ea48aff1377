"""What the tests ask of rendered documents: pods with the labels they will carry, references."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.k8s.render import Doc


@dataclass(frozen=True)
class PodSpec:
    """A kind of pod: who makes it, with which labels, from which spec."""

    owner: str
    labels: dict[str, str]
    spec: Doc
    claims: tuple[str, ...] = ()

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def is_ray(self) -> bool:
        return "ray.io/node-type" in self.labels


def pods(docs: list[Doc]) -> list[PodSpec]:
    return [pod for doc in docs for pod in _pods(doc)]


def _pods(doc: Doc) -> Iterator[PodSpec]:
    owner, spec = f"{doc['kind']}/{doc['metadata']['name']}", doc.get("spec", {})
    match doc["kind"]:
        case "Deployment" | "Job":
            yield _pod(owner, spec["template"])
        case "StatefulSet":
            claims = [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]]
            yield _pod(owner, spec["template"], claims=tuple(claims))
        case "RayJob":
            yield _pod(owner, spec["submitterPodTemplate"])
        case "RayCluster" | "RayService":
            for cluster in ray_clusters([doc]):
                head = {"ray.io/node-type": "head", "ray.io/is-ray-node": "yes"}
                worker = {"ray.io/node-type": "worker", "ray.io/is-ray-node": "yes"}
                yield _pod(f"{owner} head", cluster["headGroupSpec"]["template"], head)
                for group in cluster["workerGroupSpecs"]:
                    yield _pod(f"{owner} {group['groupName']}", group["template"], worker)


def _pod(owner: str, template: Doc, extra: Doc | None = None, claims: tuple[str, ...] = ()):
    # KubeRay adds the labels in `extra` to what the template names.
    return PodSpec(
        owner, {**template["metadata"]["labels"], **(extra or {})}, template["spec"], claims
    )


def ray_clusters(docs: list[Doc]) -> list[Doc]:
    plain = [doc["spec"] for doc in docs if doc["kind"] == "RayCluster"]
    return plain + [d["spec"]["rayClusterConfig"] for d in docs if d["kind"] == "RayService"]


def named(docs: list[Doc], kind: str) -> dict[str, Doc]:
    return {doc["metadata"]["name"]: doc for doc in docs if doc["kind"] == kind}


def settings(docs: list[Doc]) -> dict[str, str]:
    data: dict[str, str] = named(docs, "ConfigMap")["copylens-settings"]["data"]
    return data


def selects(selector: Doc, labels: dict[str, str]) -> bool:
    """A label selector, with matchLabels and `In` expressions; the empty one takes all."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True


def find_all(value: Any, key: str) -> list[Any]:
    """Every value that stands under a key, at any depth."""
    if isinstance(value, list):
        return [found for item in value for found in find_all(item, key)]
    if not isinstance(value, dict):
        return []
    here = [value[key]] if key in value else []
    return here + [found for item in value.values() for found in find_all(item, key)]
