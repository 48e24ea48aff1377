"""Every document against the schema of its kind: KubeRay's definitions, Kubernetes' own."""

import copy

import kubernetes_validate
import pytest
import yaml

from tests.k8s.render import K8S, OVERLAYS, everything, render
from tests.k8s.schemas import ray_errors
from tests.k8s.workloads import named

# Both ends of what is supported: the oldest still common, and the newest that is known here.
VERSIONS = ("1.29", "1.37")
POD_MONITOR = {"selector", "podMetricsEndpoints"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ray_documents_fit_kuberay(overlay):
    docs = [doc for doc in everything(overlay) if doc["apiVersion"].startswith("ray.io/")]
    assert {doc["kind"] for doc in docs} == {"RayCluster", "RayJob", "RayService"}
    assert {doc["metadata"]["name"]: ray_errors(doc) for doc in docs if ray_errors(doc)} == {}


def _misspelt(doc, path, wrong):
    doc = copy.deepcopy(doc)
    *way, last = path
    place = doc
    for step in way:
        place = place[step]
    place[wrong] = place.pop(last)
    return doc


@pytest.mark.parametrize(
    ("kind", "path", "wrong"),
    [
        ("RayCluster", ["spec", "enableInTreeAutoscaling"], "enableInTreeAutoScaling"),
        ("RayCluster", ["spec", "authOptions", "secretName"], "secret"),
        ("RayCluster", ["spec", "workerGroupSpecs", 0, "maxReplicas"], "maxReplica"),
        (
            "RayCluster",
            ["spec", "headGroupSpec", "template", "spec", "securityContext", "runAsNonRoot"],
            "runAsNonroot",
        ),
        ("RayService", ["spec", "serveConfigV2"], "serveConfig"),
    ],
)
def test_a_misspelt_ray_field_is_found(kind, path, wrong):
    doc = next(iter(named(render(K8S / "base"), kind).values()))
    assert ray_errors(doc) == []
    assert any(wrong in error for error in ray_errors(_misspelt(doc, path, wrong)))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_core_documents_fit_kubernetes(overlay, version):
    docs = everything(overlay)
    core = [d for d in docs if not d["apiVersion"].startswith(("ray.io/", "monitoring."))]
    for doc in core:
        kubernetes_validate.validate(doc, version, strict=True)
    assert {"StatefulSet", "Deployment", "NetworkPolicy"} <= {doc["kind"] for doc in core}


def test_a_misspelt_core_field_is_found():
    mlflow = named(render(K8S / "base"), "Deployment")["mlflow"]
    pod = ["spec", "template", "spec", "automountServiceAccountToken"]
    with pytest.raises(kubernetes_validate.ValidationError, match="automountToken"):
        kubernetes_validate.validate(_misspelt(mlflow, pod, "automountToken"), "1.37", strict=True)


def _unknown_serve_keys(config):
    """Keys that Ray's models of the file do not have; some of the models let any key through."""
    from ray.serve import schema
    from ray.serve.config import AutoscalingConfig

    (application,) = config["applications"]
    parts = [
        (schema.ServeDeploySchema, config),
        (schema.HTTPOptionsSchema, config["http_options"]),
        (schema.ServeApplicationSchema, application),
    ]
    for deployment in application["deployments"]:
        parts += [
            (schema.DeploymentSchema, deployment),
            (AutoscalingConfig, deployment["autoscaling_config"]),
            (schema.RayActorOptionsSchema, deployment["ray_actor_options"]),
        ]
    for model, part in parts:
        model.model_validate(part)
    return {key for model, part in parts for key in set(part) - set(model.model_fields)}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_serve_config_fits_ray(overlay):
    (service,) = named(everything(overlay), "RayService").values()
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    assert _unknown_serve_keys(config) == set()
    (application,) = config["applications"]
    assert application["import_path"] == "serve.app:build"
    assert [deployment["name"] for deployment in application["deployments"]] == [
        "Ingress",
        "Scorer",
    ]
    scaling = application["deployments"][0]["autoscaling_config"]
    scaling["min_replica"] = scaling.pop("min_replicas")
    assert _unknown_serve_keys(config) == {"min_replica"}


def test_pod_monitor_has_only_known_fields():
    """No schema of the Prometheus operator is at hand; these are the fields that we know it has."""
    (monitor,) = named(render(K8S / "overlays" / "production"), "PodMonitor").values()
    assert set(monitor["spec"]) == POD_MONITOR
    for endpoint in monitor["spec"]["podMetricsEndpoints"]:
        assert set(endpoint) == {"port", "interval", "relabelings"}
        assert {k for rule in endpoint["relabelings"] for k in rule} == {
            "sourceLabels",
            "targetLabel",
        }
