"""Monitoring: what is scraped is open, and what is drawn exists."""

import json
import re
from pathlib import Path

import pytest
import ray
import yaml

from tests.k8s.render import K8S, ROOT, everything
from tests.k8s.workloads import named, pods, selects

MONITORING = K8S / "components" / "monitoring"
OWN = set(yaml.safe_load((MONITORING / "copylens-metrics.yaml").read_text()))
DOCS = everything("production")


def _ray_metrics():
    """Every metric that the dashboards of the installed Ray draw."""
    folder = Path(ray.__file__).parent / "dashboard" / "modules" / "metrics" / "dashboards"
    text = "\n".join(path.read_text() for path in folder.glob("*_panels.py"))
    return set(re.findall(r"\b(?:ray|autoscaler)_[a-z_]+", text))


def _metrics(expression):
    """Names in PromQL: what is left when strings, grouping labels, ranges and functions go."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    return set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", bare))


def _panels():
    (board,) = [
        doc
        for doc in named(DOCS, "ConfigMap").values()
        if doc["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    ]
    (text,) = board["data"].values()
    return {panel["title"]: panel for panel in json.loads(text)["panels"]}


@pytest.mark.parametrize("title", sorted(_panels()))
def test_panels_draw_metrics_that_exist(title):
    known = _ray_metrics() | {f"ray_{name}" for name in OWN}
    for target in _panels()[title]["targets"]:
        names = _metrics(target["expr"])
        assert names, target["expr"]
        assert names <= known, names - known


def test_a_metric_that_does_not_exist_is_found():
    invented = 'sum(rate(ray_serve_num_htpp_requests_total{route!~"/x"}[5m])) by (route)'
    assert _metrics(invented) == {"ray_serve_num_htpp_requests_total"}
    assert not _metrics(invented) <= _ray_metrics()


def test_own_metrics_are_drawn_and_are_those_of_the_code():
    drawn = {
        name.removeprefix("ray_")
        for panel in _panels().values()
        for target in panel["targets"]
        for name in _metrics(target["expr"])
        if name.startswith("ray_copylens_")
    }
    assert drawn == OWN
    sources = [p.read_text() for room in ("serve", "ray_jobs") for p in (ROOT / room).rglob("*.py")]
    made = set(re.findall(r'"(copylens_[a-z_]+)"', "\n".join(sources)))
    if not made:
        pytest.skip("no metric of our own is made yet")
    assert made >= OWN


def test_panels_have_places_of_their_own():
    places = [tuple(sorted(panel["gridPos"].items())) for panel in _panels().values()]
    assert len(set(places)) == len(places)
    ids = [panel["id"] for panel in _panels().values()]
    assert len(set(ids)) == len(ids)


def test_the_pod_monitor_scrapes_ports_that_pods_open():
    (monitor,) = named(DOCS, "PodMonitor").values()
    watched = [pod for pod in pods(DOCS) if selects(monitor["spec"]["selector"], pod.labels)]
    assert {pod.component for pod in watched} == {"pipeline", "scorer"}
    assert all(pod.is_ray for pod in watched)
    for pod in watched:
        opened = {port["name"] for c in pod.spec["containers"] for port in c["ports"]}
        assert "metrics" in opened, pod.owner
        if pod.labels["ray.io/node-type"] == "head":
            assert {e["port"] for e in monitor["spec"]["podMetricsEndpoints"]} <= opened
