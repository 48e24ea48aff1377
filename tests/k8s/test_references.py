"""Whatever a manifest names is there: secrets, keys, services, volumes, modules, config keys."""

import re
import shlex
from string import Template
from urllib.parse import urlsplit

import pytest
import yaml

from copylens.config.load import load_config
from tests.k8s.render import K8S, OVERLAYS, ROOT, everything
from tests.k8s.workloads import find_all, named, pods, ray_clusters, selects, settings

STAGES = ("ingest", "embed", "train", "evaluate", "index", "promote", "score")
DOCS = {overlay: everything(overlay) for overlay in OVERLAYS}


def _secrets_asked_for(docs):
    """(secret, key) of every reference that is not optional; Ray's token has a key of its own."""
    references = [r for r in find_all(docs, "secretKeyRef") if not r.get("optional")]
    asked = {(reference["name"], reference["key"]) for reference in references}
    volumes = [volume for pod in pods(docs) for volume in pod.spec.get("volumes", [])]
    mounted = [volume["secret"] for volume in volumes if "secret" in volume]
    asked |= {(secret["secretName"], item["key"]) for secret in mounted for item in secret["items"]}
    return asked | {(c["authOptions"]["secretName"], "auth_token") for c in ray_clusters(docs)}


def _secrets_in_readme():
    rows = re.findall(
        r"^\| `(copylens-[\w-]+)` \| ([^|]+)\|", (K8S / "README.md").read_text(), re.M
    )
    return {(name, key) for name, keys in rows for key in re.findall(r"`([\w.]+)`", keys)}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_those_of_the_readme(overlay):
    assert _secrets_asked_for(DOCS[overlay]) == _secrets_in_readme()


def test_only_the_local_overlay_holds_secrets_and_all_of_them():
    secrets = named(DOCS["local"], "Secret")
    held = {(name, key) for name, secret in secrets.items() for key in secret["stringData"]}
    assert held == _secrets_in_readme()
    assert all(
        s["metadata"]["labels"] == {"copylens/local-use-only": "true"} for s in secrets.values()
    )
    assert not named(DOCS["gpu"], "Secret")
    assert not named(DOCS["production"], "Secret")
    database = secrets["copylens-mlflow-db"]["stringData"]
    assert urlsplit(database["uri"]).password == database["password"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_config_maps_and_volumes_are_defined(overlay):
    docs = DOCS[overlay]
    asked = {ref["name"] for ref in find_all(docs, "configMapRef")}
    assert asked == {"copylens-settings"} <= set(named(docs, "ConfigMap"))
    for pod in pods(docs):
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])} | set(pod.claims)
        mounts = [m for c in pod.spec["containers"] for m in c.get("volumeMounts", [])]
        assert {mount["name"] for mount in mounts} == volumes, pod.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_services_reach_a_port_that_their_pods_open(overlay):
    docs = DOCS[overlay]
    for name, service in named(docs, "Service").items():
        behind = [
            p for p in pods(docs) if selects({"matchLabels": service["spec"]["selector"]}, p.labels)
        ]
        assert len(behind) == 1, name
        opened = {port["name"] for c in behind[0].spec["containers"] for port in c["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= opened, name


def _hosts(overlay):
    docs = DOCS[overlay]
    yield settings(docs)["MLFLOW_TRACKING_URI"]
    yield settings(docs)["AWS_ENDPOINT_URL"]
    for secret in named(docs, "Secret").values():
        yield from (value for value in secret["stringData"].values() if "://" in value)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_addresses_in_the_cluster_name_a_service_and_its_port(overlay):
    services = {
        (name, port["port"])
        for name, service in named(DOCS[overlay], "Service").items()
        for port in service["spec"]["ports"]
    }
    addresses = [(urlsplit(uri).hostname, urlsplit(uri).port) for uri in _hosts(overlay)]
    inside = [(host, port) for host, port in addresses if "." not in host]
    assert set(inside) <= services
    # Production's bucket is the one address outside.
    assert len(addresses) - len(inside) == (1 if overlay == "production" else 0)
    assert ("object-store", 8333) in services or overlay == "production"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_workloads_select_their_own_pods(overlay):
    for doc in DOCS[overlay]:
        if doc["kind"] in ("Deployment", "StatefulSet"):
            labels = doc["spec"]["template"]["metadata"]["labels"]
            assert selects(doc["spec"]["selector"], labels), doc["metadata"]["name"]
    budget = named(DOCS[overlay], "PodDisruptionBudget")["copylens-scorer"]["spec"]
    covered = {p.owner for p in pods(DOCS[overlay]) if selects(budget["selector"], p.labels)}
    assert covered == {"RayService/copylens-scorer scorers"}
    # Pods of a custom resource have no scale that a percentage could be taken of.
    assert isinstance(budget["minAvailable"], int)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_entrypoints_run_what_exists_with_settings_that_load(overlay, stage):
    docs = DOCS[overlay]
    job = named(docs, "RayJob")[f"copylens-{stage}"]["spec"]
    assert set(job["clusterSelector"].values()) == set(named(docs, "RayCluster"))
    # As the submitter's shell does it: a name that is not in the settings is an error here.
    words = shlex.split(Template(job["entrypoint"]).substitute(settings(docs)))
    assert words[:3] == ["python", "-m", f"ray_jobs.{stage}"]
    assert (ROOT / "ray_jobs" / f"{stage}.py").is_file()
    options = list(zip(words[3::2], words[4::2]))
    assert len(options) * 2 == len(words) - 3
    (config,) = [value for name, value in options if name == "--config"]
    image_folder = re.search(r"^WORKDIR (\S+)$", (K8S / "Dockerfile").read_text(), re.M)
    path = ROOT / config.removeprefix(f"{image_folder[1]}/")
    loaded = load_config(path, [value for name, value in options if name == "--set"])
    every, own = (
        set(re.findall(r'"(--\w+)"', (ROOT / "ray_jobs" / name).read_text()))
        for name in ("cluster/command.py", "score.py")
    )
    assert every == {"--config", "--set"}
    allowed = every | own if stage == "score" else every
    assert {name for name, _ in options} <= allowed
    bucket = f"s3://{settings(docs)['COPYLENS_BUCKET']}/"
    places = [v for n, v in options if n in ("--input", "--output")] or [loaded.output]
    assert all(place.startswith(bucket) for place in places)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_stages_of_a_pipeline_are_told_the_same(overlay):
    """A stage finds the one before it by the settings: one that differs starts from nothing."""
    jobs = named(DOCS[overlay], "RayJob")
    told = {jobs[f"copylens-{s}"]["spec"]["entrypoint"].split(maxsplit=3)[3] for s in STAGES[:-1]}
    assert len(told) == 1


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_job_asks_for_what_no_worker_has(overlay):
    (cluster,) = named(DOCS[overlay], "RayCluster").values()
    groups = cluster["spec"]["workerGroupSpecs"]
    gpus = any("nvidia.com/gpu" in limits for limits in find_all(groups, "limits"))
    for job in named(DOCS[overlay], "RayJob").values():
        assert gpus or not job["spec"].get("entrypointNumGpus"), job["metadata"]["name"]
        no_gpus = "resources.gpus_per_worker=0" in job["spec"]["entrypoint"]
        assert gpus != no_gpus, job["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_scorer_and_the_settings_agree(overlay):
    (service,) = named(DOCS[overlay], "RayService").values()
    (application,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    shared = settings(DOCS[overlay])
    assert application["args"]["model"] == shared["COPYLENS_MODEL"]
    assert application["args"]["tracking_uri"] == shared["MLFLOW_TRACKING_URI"]
    scorer = {d["name"]: d for d in application["deployments"]}["Scorer"]
    (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    asked = scorer["ray_actor_options"]
    assert asked["num_cpus"] <= float(limits["cpu"])
    assert asked.get("num_gpus", 0) <= float(limits.get("nvidia.com/gpu", 0))
    # A pod that is to go must outlive the answers it still owes.
    grace = group["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > scorer["graceful_shutdown_timeout_s"]


def test_mlflow_answers_to_every_name_it_has():
    """By the server's own rule: any other Host gets a 403."""
    from mlflow.server.security_utils import is_allowed_host_header

    docs = DOCS["production"]
    (container,) = named(docs, "Deployment")["mlflow"]["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    allowed = environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    suffixes = ("", ".copylens", ".copylens.svc", ".copylens.svc.cluster.local")
    hosts = [f"mlflow{suffix}:5000" for suffix in suffixes] + ["localhost:5000"]
    assert [host for host in hosts if not is_allowed_host_header(allowed, host)] == []
    assert urlsplit(settings(docs)["MLFLOW_TRACKING_URI"]).netloc in hosts
    assert not is_allowed_host_header(allowed, "evil.example:5000")
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert "--workers=1" in container["args"]
