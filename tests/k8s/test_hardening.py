"""What every container must have: limits, probes, no root; and what nothing may have: a way in."""

import pytest

from tests.k8s.render import OVERLAYS, everything
from tests.k8s.workloads import find_all, named, pods, ray_clusters

DOCS = {overlay: everything(overlay) for overlay in OVERLAYS}
PODS = [
    pytest.param(overlay, pod, id=f"{overlay}-{pod.owner}")
    for overlay in OVERLAYS
    for pod in pods(DOCS[overlay])
]


@pytest.mark.parametrize(("overlay", "pod"), PODS)
def test_pods_pass_the_restricted_standard(overlay, pod):
    """The namespace enforces it: a pod that misses one of these is refused."""
    context = pod.spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod.spec["containers"]:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
    allowed = {"name", "emptyDir", "configMap", "secret", "persistentVolumeClaim"}
    assert {key for volume in pod.spec.get("volumes", []) for key in volume} <= allowed
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec)
    labels = named(DOCS[overlay], "Namespace")["copylens"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize(("overlay", "pod"), PODS)
def test_containers_are_limited_and_watched(overlay, pod):
    for container in pod.spec["containers"]:
        resources = container["resources"]
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(resources[bound]), container["name"]
        # KubeRay adds probes of Ray's to Ray's containers; jobs and submitters end by themselves.
        if not pod.is_ray and pod.component not in ("submitter", "bucket"):
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


@pytest.mark.parametrize(("overlay", "pod"), PODS)
def test_only_heads_hold_a_token_of_the_api_server(overlay, pod):
    head = pod.labels.get("ray.io/node-type") == "head"
    assert pod.spec.get("automountServiceAccountToken", True) is head


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ray_is_locked_and_scales(overlay):
    for cluster in ray_clusters(DOCS[overlay]):
        assert cluster["authOptions"]["mode"] == "token"
        assert cluster["enableInTreeAutoscaling"] is True
        autoscaler = cluster["autoscalerOptions"]
        assert autoscaler["securityContext"]["allowPrivilegeEscalation"] is False
        assert {"requests", "limits"} == set(autoscaler["resources"])
        # Work on the head can take the whole cluster down.
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        for group in cluster["workerGroupSpecs"]:
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
            assert group["maxReplicas"] > 0


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_opens_a_door_to_the_outside(overlay):
    docs = DOCS[overlay]
    assert not named(docs, "Ingress")
    assert {
        service["spec"].get("type", "ClusterIP") for service in named(docs, "Service").values()
    } == {"ClusterIP"}
    for cluster in ray_clusters(docs):
        assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
        assert cluster["headGroupSpec"]["enableIngress"] is False
    assert not find_all(docs, "hostPort")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_stand_in_no_plain_value(overlay):
    """Whatever is called a key, a password or a token comes by reference."""
    for environment in find_all(DOCS[overlay], "env"):
        for entry in environment:
            if any(word in entry["name"] for word in ("SECRET", "PASSWORD", "TOKEN", "KEY", "URI")):
                assert "secretKeyRef" in entry["valueFrom"], entry["name"]
