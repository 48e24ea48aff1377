"""The renderer says what kustomize says."""

import shutil
import subprocess

import pytest
import yaml

from tests.k8s.render import K8S, OVERLAYS, render

FOLDERS = [f"overlays/{name}{jobs}" for name in OVERLAYS for jobs in ("", "/jobs")]


def _by_name(docs):
    keyed = {(doc["kind"], doc["metadata"]["name"]): doc for doc in docs}
    assert len(keyed) == len(docs), "two documents of one kind and name"
    return keyed


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")
@pytest.mark.parametrize("folder", FOLDERS)
def test_renders_as_kubectl_does(folder):
    command = ["kubectl", "kustomize", str(K8S / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert _by_name(render(K8S / folder)) == _by_name(list(yaml.safe_load_all(done.stdout)))


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_document_has_the_namespace(folder):
    docs = render(K8S / folder)
    homeless = [d["metadata"]["name"] for d in docs if d["metadata"].get("namespace") != "copylens"]
    assert homeless == (["copylens"] if not folder.endswith("jobs") else [])


def test_every_manifest_is_used():
    """A file that no kustomization names would never be applied, nor tested."""
    kinds = {"kustomization.yaml", "copylens-metrics.yaml"}
    used = {
        (file.parent / name).resolve()
        for file in K8S.rglob("kustomization.yaml")
        for name in _names(yaml.safe_load(file.read_text()))
    }
    lost = [p for p in K8S.rglob("*.yaml") if p.name not in kinds and p.resolve() not in used]
    assert lost == []


def _names(spec):
    yield from spec.get("resources", [])
    yield from (patch["path"] for patch in spec.get("patches", []) if "path" in patch)
