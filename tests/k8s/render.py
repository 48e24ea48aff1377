"""Renders the part of kustomize that k8s/ uses, so that a machine without kubectl can test it.

Where kubectl is at hand, test_render.py holds this against `kubectl kustomize`.
"""

import copy
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
OVERLAYS = ("local", "gpu", "production")
_KNOWN = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "components",
    "patches",
    "images",
    "configMapGenerator",
    "generatorOptions",
}

Doc = dict[str, Any]


def render(folder: Path) -> list[Doc]:
    """The documents that `kubectl kustomize folder` would print, in any order."""
    spec = yaml.safe_load((folder / "kustomization.yaml").read_text())
    docs: list[Doc] = []
    for name in spec.get("resources", []):
        path = (folder / name).resolve()
        docs += render(path) if path.is_dir() else load_all(path)
    return _apply(folder, spec, docs)


def everything(overlay: str) -> list[Doc]:
    """An overlay together with its jobs: what runs in one namespace."""
    folder = K8S / "overlays" / overlay
    return render(folder) + render(folder / "jobs")


def load_all(path: Path) -> list[Doc]:
    return [doc for doc in yaml.safe_load_all(path.read_text()) if doc]


def _apply(folder: Path, spec: Doc, docs: list[Doc]) -> list[Doc]:
    unknown = set(spec) - _KNOWN
    assert not unknown, f"{folder}: {unknown} is not rendered here; add it or do without"
    for name in spec.get("components", []):
        part = (folder / name).resolve()
        component = yaml.safe_load((part / "kustomization.yaml").read_text())
        added = [d for r in component.get("resources", []) for d in load_all(part / r)]
        docs = _apply(part, {k: v for k, v in component.items() if k != "resources"}, docs + added)
    for generator in spec.get("configMapGenerator", []):
        docs.append(_config_map(folder, generator, spec["generatorOptions"]))
    for patch in spec.get("patches", []):
        text = patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text()
        targets = [doc for doc in docs if _is_target(doc, patch["target"])]
        assert targets, f"{folder}: no document for the patch of {patch['target']}"
        for doc in targets:
            for operation in yaml.safe_load(text):
                _operate(doc, operation)
    for doc in docs:
        if "namespace" in spec and doc["kind"] != "Namespace":
            doc["metadata"]["namespace"] = spec["namespace"]
        for image in spec.get("images", []):
            _rename_images(doc, image)
    return docs


def _config_map(folder: Path, generator: Doc, options: Doc) -> Doc:
    assert options["disableNameSuffixHash"], "hashes are not rendered here"
    data = {name: (folder / name).read_text() for name in generator["files"]}
    metadata = {"name": generator["name"], "labels": dict(options["labels"])}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _is_target(doc: Doc, target: dict[str, str]) -> bool:
    name = re.fullmatch(target.get("name", ".*"), doc["metadata"]["name"])
    return doc["kind"] == target["kind"] and name is not None


def _operate(doc: Doc, operation: Doc) -> None:
    """One JSON patch operation (RFC 6902)."""
    *path, last = operation["path"].lstrip("/").split("/")
    place: Any = doc
    for step in path:
        place = place[int(step)] if isinstance(place, list) else place[step]
    key: Any = int(last) if isinstance(place, list) else last
    match operation["op"]:
        case "replace":
            place[key]  # a path that is not there is an error, as in kustomize
            place[key] = copy.deepcopy(operation["value"])
        case "add" if isinstance(place, dict):
            place[key] = copy.deepcopy(operation["value"])
        case "remove":
            del place[key]
        case other:
            raise AssertionError(f"operation {other} is not rendered here")


def _rename_images(value: Any, image: dict[str, str]) -> None:
    if isinstance(value, list):
        for item in value:
            _rename_images(item, image)
    elif isinstance(value, dict):
        for container in [*value.get("containers", []), *value.get("initContainers", [])]:
            name, _, tag = container["image"].partition(":")
            if name == image["name"]:
                container["image"] = f"{image['newName']}:{tag}"
        for item in value.values():
            _rename_images(item, image)
