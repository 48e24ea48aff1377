"""Network policies as a cluster would judge them: what must flow flows, what must not does not."""

import ipaddress
from dataclasses import dataclass, field

import pytest

from tests.k8s.render import OVERLAYS, everything
from tests.k8s.workloads import named, pods, selects

DOCS = {overlay: everything(overlay) for overlay in OVERLAYS}


@dataclass(frozen=True)
class Peer:
    """One end of a connection: a pod here, a pod of another namespace, or an address outside."""

    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = "copylens"
    namespace_labels: dict[str, str] = field(default_factory=dict)
    address: str = ""


def part(component, node=None):
    labels = {"app.kubernetes.io/part-of": "copylens", "app.kubernetes.io/component": component}
    return Peer(labels | ({"ray.io/node-type": node} if node else {}))


HEAD, WORKER = part("pipeline", "head"), part("pipeline", "worker")
SCORER_HEAD, SCORER = part("scorer", "head"), part("scorer", "worker")
SUBMITTER, MLFLOW, POSTGRES = part("submitter"), part("mlflow"), part("postgres")
STORE, BUCKET = part("object-store"), part("bucket")
OPERATOR, DNS = Peer(namespace="ray-system"), Peer(namespace="kube-system")
PROMETHEUS, STRANGER = Peer(namespace="monitoring"), Peer(namespace="default")
GATEWAY = Peer(namespace="ingress", namespace_labels={"copylens/clients": "true"})
CLIENT = Peer({"copylens/client": "true"})
API_SERVER, WEB = (
    Peer(namespace="", address="10.96.0.1"),
    Peer(namespace="", address="140.82.121.3"),
)


def allowed(docs, source, target, port, protocol="TCP"):
    """True when the source may send and the target may receive."""
    sends = source.namespace != "copylens" or _side(
        docs, source, "Egress", "to", target, port, protocol
    )
    takes = target.namespace != "copylens" or _side(
        docs, target, "Ingress", "from", source, port, protocol
    )
    return sends and takes


def _side(docs, pod, direction, key, peer, port, protocol):
    policies = [p["spec"] for p in named(docs, "NetworkPolicy").values()]
    about = [
        p
        for p in policies
        if direction in p["policyTypes"] and selects(p["podSelector"], pod.labels)
    ]
    if not about:
        return True
    rules = [rule for policy in about for rule in policy.get(direction.lower(), [])]
    return any(
        any(_matches(one, peer) for one in rule[key])
        and ("ports" not in rule or {"protocol": protocol, "port": port} in rule["ports"])
        for rule in rules
    )


def _matches(rule, peer):
    if "ipBlock" in rule:
        # Policies see pods by their labels; an address block is for what is no pod.
        address = ipaddress.ip_address(peer.address or "0.0.0.0")
        inside = [ipaddress.ip_network(n) for n in rule["ipBlock"].get("except", [])]
        return bool(peer.address) and not any(address in network for network in inside)
    if peer.address:
        return False
    if "namespaceSelector" in rule:
        labels = {"kubernetes.io/metadata.name": peer.namespace, **peer.namespace_labels}
        return selects(rule["namespaceSelector"], labels)
    return peer.namespace == "copylens" and selects(rule["podSelector"], peer.labels)


NEEDED = {
    "Ray inside the pipeline": (WORKER, HEAD, 6379),
    "Ray between workers": (WORKER, WORKER, 34567),
    "Ray inside the scorer": (SCORER, SCORER_HEAD, 6379),
    "a job is submitted": (SUBMITTER, HEAD, 8265),
    "KubeRay asks for a job": (OPERATOR, HEAD, 8265),
    "KubeRay asks for an application": (OPERATOR, SCORER_HEAD, 8265),
    "the autoscaler asks for pods": (HEAD, API_SERVER, 443),
    "runs are logged": (WORKER, MLFLOW, 5000),
    "the champion is looked up": (SCORER, MLFLOW, 5000),
    "MLflow's metadata": (MLFLOW, POSTGRES, 5432),
    "a hub model is loaded": (SCORER, WEB, 443),
    "a gateway asks for verdicts": (GATEWAY, SCORER, 8000),
    "a pod asks for verdicts": (CLIENT, SCORER, 8000),
}
IN_CLUSTER_STORE = {
    "states are written": (WORKER, STORE, 8333),
    "artifacts are written": (MLFLOW, STORE, 8333),
    "the bucket is made": (BUCKET, STORE, 8333),
}
FORBIDDEN = {
    "the dashboard from outside": (STRANGER, HEAD, 8265),
    "the dashboard from a gateway": (GATEWAY, SCORER_HEAD, 8265),
    "the scorer into the pipeline": (SCORER, HEAD, 8265),
    "the pipeline into the scorer": (WORKER, SCORER_HEAD, 8265),
    "verdicts for strangers": (STRANGER, SCORER, 8000),
    "MLflow for strangers": (STRANGER, MLFLOW, 5000),
    "the submitter in MLflow": (SUBMITTER, MLFLOW, 5000),
    "Ray in the database": (WORKER, POSTGRES, 5432),
    "a worker at the API server": (WORKER, API_SERVER, 443),
    "the database to the outside": (POSTGRES, WEB, 443),
}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_must_flow_flows(overlay):
    needed = NEEDED | ({} if overlay == "production" else IN_CLUSTER_STORE)
    assert [why for why, flow in needed.items() if not allowed(DOCS[overlay], *flow)] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_must_not_flow_does_not(overlay):
    assert [why for why, flow in FORBIDDEN.items() if allowed(DOCS[overlay], *flow)] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_finds_names(overlay):
    for pod in pods(DOCS[overlay]):
        assert allowed(DOCS[overlay], Peer(pod.labels), DNS, 53, "UDP"), pod.owner


@pytest.mark.parametrize(("port", "node"), [(8080, HEAD), (8080, SCORER), (44217, HEAD)])
def test_only_prometheus_scrapes_and_only_where_it_is_asked_for(port, node):
    assert allowed(DOCS["production"], PROMETHEUS, node, port)
    assert not allowed(DOCS["production"], STRANGER, node, port)
    assert not allowed(DOCS["local"], PROMETHEUS, node, port)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_selector_finds_pods(overlay):
    """A selector that takes no pod of ours is a misspelt one, clients' labels aside."""
    labels = [pod.labels for pod in pods(DOCS[overlay])] + [CLIENT.labels]
    for name, policy in named(DOCS[overlay], "NetworkPolicy").items():
        rules = policy["spec"].get("ingress", []) + policy["spec"].get("egress", [])
        peers = [peer for rule in rules for peer in rule.get("from", []) + rule.get("to", [])]
        inner = [peer["podSelector"] for peer in peers if "podSelector" in peer]
        for selector in [policy["spec"]["podSelector"], *inner]:
            assert any(selects(selector, one) for one in labels), (name, selector)
