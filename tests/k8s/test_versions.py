"""One version of everything: manifests, image and constraints.txt."""

import os
import re
import subprocess
import sys
import tomllib

import pytest

from tests.k8s.render import K8S, OVERLAYS, ROOT, everything
from tests.k8s.workloads import find_all, pods, ray_clusters, settings

PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
)
DOCKERFILE = (K8S / "Dockerfile").read_text().replace("\\\n", " ")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def _images(docs):
    containers = [c for pod in pods(docs) for c in pod.spec["containers"]]
    images = {container["image"] for container in containers}
    assert images == set(find_all(docs, "image"))
    return images


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_have_a_version_and_ours_is_the_projects(overlay):
    for image in _images(everything(overlay)):
        name, _, tag = image.rpartition(":")
        assert re.match(r"v?\d+\.\d+", tag), image
        if name.rsplit("/")[-1].startswith("copylens"):
            assert tag == VERSION, image


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_image_of_ours_is_built_by_the_dockerfile(overlay):
    ours = {i.rpartition(":")[0].rsplit("/")[-1] for i in _images(everything(overlay))}
    built = set(re.findall(r"docker build .*?-t (\S+):(\S+)", DOCKERFILE))
    assert {(name, VERSION) for name in ours if name.startswith("copylens")} <= built


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_rays_version_is_the_one_that_is_installed(overlay):
    clusters = ray_clusters(everything(overlay))
    assert {cluster["rayVersion"] for cluster in clusters} == {PINS["ray"]}
    for cluster in clusters:
        names = {i.partition(":")[2] for i in find_all(cluster, "image")}
        assert names == {VERSION}


def test_the_dockerfile_installs_what_is_pinned():
    installs = [line.strip() for line in DOCKERFILE.splitlines() if "pip install" in line]
    assert len(installs) == 3
    assert all("-c constraints.txt" in line for line in installs)
    pinned = re.findall(r"(\S+)==(\S+)", "\n".join(installs))
    assert pinned == [("torch", PINS["torch"])]
    assert re.search(r"torch==(\S+)", (ROOT / "Makefile").read_text())[1] == PINS["torch"]
    lines = (K8S / "requirements-mlflow.txt").read_text().splitlines()
    names = {line.partition("[")[0] for line in lines if not line.startswith("#")}
    assert names <= set(PINS)


def test_the_image_is_pinned_and_runs_as_the_user_of_the_manifests():
    bases = re.findall(r"^FROM (\S+) AS (\S+)", DOCKERFILE, re.M)
    assert bases == [
        ("python:3.11.14-slim-bookworm", "base"),
        ("base", "mlflow"),
        ("base", "copylens"),
    ]
    users = set(re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.M))
    ours = [
        (
            str(pod.spec["securityContext"]["runAsUser"]),
            str(pod.spec["securityContext"]["runAsGroup"]),
        )
        for pod in pods(everything("gpu"))
        if any(c["image"].startswith("copylens") for c in pod.spec["containers"])
    ]
    assert users == set(ours)


def test_copied_files_are_there_and_not_ignored():
    """What .dockerignore hides cannot be copied; `*` hides all but what is named."""
    shown = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.M)
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.M):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source in shown, source


def test_pyarrow_reads_the_settings_that_are_given_to_it():
    """The endpoint and the region come by environment alone; a fake store sees the request."""
    shared = settings(everything("local"))
    code = (
        "import http.server as h, os, threading\n"
        "seen = []\n"
        "class Store(h.BaseHTTPRequestHandler):\n"
        "    def do_HEAD(self):\n"
        "        seen.append((self.path, self.headers['Authorization']))\n"
        "        self.send_response(404); self.end_headers()\n"
        "    do_GET = do_HEAD\n"
        "    def log_message(self, *words): pass\n"
        "server = h.ThreadingHTTPServer(('127.0.0.1', 0), Store)\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "os.environ['AWS_ENDPOINT_URL'] = f'http://127.0.0.1:{server.server_port}'\n"
        "from copylens.store import storage\n"
        "print(storage.exists(os.environ['COPYLENS_OUTPUT'] + '/report.json'))\n"
        "print(*seen[0])\n"
    )
    keys = {"AWS_ACCESS_KEY_ID": "who", "AWS_SECRET_ACCESS_KEY": "secret", "PYTHONPATH": str(ROOT)}
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, **shared, **keys},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found, request = done.stdout.splitlines()
    assert found == "False"
    assert request.startswith("/copylens/runs/local/report.json ")
    assert "Credential=who/" in request
    assert f"/{shared['AWS_REGION']}/s3/" in request
