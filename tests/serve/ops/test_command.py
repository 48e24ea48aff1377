"""`copylens serve` and `copylens keys` as a user meets them, and the files that Serve is given."""

import re
from pathlib import Path

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from copylens import cli
from copylens.errors import ConfigError, CopyLensError
from serve.api.policy import parse_policy
from serve.http.auth import find_key, parse_keys
from serve.ops.run import local_args
from serve.ops.settings import ServeArgs
from tests.k8s.render import OVERLAYS, everything
from tests.k8s.workloads import named

ROOT = Path(__file__).parents[3]


def test_the_config_for_serve_deploy_is_valid():
    values = yaml.safe_load((ROOT / "configs" / "serve.yaml").read_text())
    schema = ServeDeploySchema.model_validate(values)
    (application,) = schema.applications
    args = ServeArgs.model_validate(application.args)
    assert args.open_access
    # Open to whoever can connect: then nobody else may be able to.
    assert values["http_options"]["host"] == "127.0.0.1"
    assert values["http_options"]["request_timeout_s"] > args.limits.deadline_s
    assert {d.name for d in application.deployments} == {"Ingress", "Scorer"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_manifests_give_arguments_that_build(overlay):
    (service,) = named(everything(overlay), "RayService").values()
    schema = ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))
    (application,) = schema.applications
    args = ServeArgs.model_validate(application.args)
    assert not args.open_access
    (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    mounts = group["template"]["spec"]["containers"][0]["volumeMounts"]
    assert str(Path(args.keys).parent) in {mount["mountPath"] for mount in mounts}


def test_the_local_overlays_keys_open():
    secret = named(everything("local"), "Secret")["copylens-keys"]
    keys = parse_keys(secret["stringData"]["keys.txt"], "keys.txt")
    assert find_key(keys, "local-only").name == "local-only"


def test_the_example_policy_is_valid():
    path = ROOT / "configs" / "policy.yaml"
    policy = parse_policy(path.read_text(), str(path))
    assert {rule.action for rule in policy.rules} == {"allow", "block"}


def test_a_built_application_has_the_names_that_config_files_use():
    from serve.app import build

    application = build(ServeArgs(open_access=True))
    assert application._bound_deployment.name == "Ingress"
    (inner,) = [
        a for a in application._bound_deployment.init_args if hasattr(a, "_bound_deployment")
    ]
    assert inner._bound_deployment.name == "Scorer"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"host": "0.0.0.0"}, "copylens keys new"),
        ({"policy": "nowhere.yaml"}, "nowhere.yaml"),
        ({"keys": "nowhere.txt"}, "nowhere.txt"),
        ({"replicas_min": 3, "replicas_max": 2}, "replicas_max is 2"),
    ],
)
def test_what_cannot_be_served_is_one_line(values, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CopyLensError, match=says) as caught:
        local_args(**{"host": "127.0.0.1", "model": "models:/copylens@champion", **values})
    assert "\n" not in str(caught.value)


def test_nobody_is_let_in_by_default_and_never_both_ways():
    with pytest.raises(ValueError, match="nobody could ask"):
        ServeArgs()
    with pytest.raises(ValueError, match="contradict"):
        ServeArgs(open_access=True, keys="keys.txt")
    with pytest.raises(ValueError, match="could never be taken"):
        ServeArgs(open_access=True, batching={"queue_texts": 10})
    with pytest.raises(ValueError, match="Extra inputs"):
        ServeArgs(open_access=True, modell="x")


def test_an_empty_keys_file_is_a_mistake(tmp_path):
    path = tmp_path / "keys.txt"
    path.write_text("# none yet\n")
    with pytest.raises(CopyLensError, match="holds no key"):
        local_args("0.0.0.0", model="models:/copylens@champion", keys=path)


def test_keys_new_shows_the_key_once_and_its_line_apart(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["copylens", "keys", "new", "alice", "--per-minute", "30"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    out, err = capsys.readouterr()
    key = re.search(r"copylens_\S+", err)[0]
    assert key not in out
    (entry,) = parse_keys(out, "keys.txt")
    assert find_key((entry,), key).per_minute == 30


def test_a_port_that_is_taken_is_told_before_anything_starts():
    import socket

    from serve.ops.run import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="choose another --port"):
            serve(ServeArgs(open_access=True), "127.0.0.1", taken.getsockname()[1])
