"""The same pipeline where nothing lies on a local disk: PostgreSQL, S3, an MLflow server."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import requests
from pyarrow import fs

from copylens import cli
from copylens.config.schema import RunConfig
from copylens.registry.reader import load_scorer
from copylens.store import storage
from copylens.store.stages import STAGES
from copylens.verdict.scorer import Scorer
from ray_jobs.pipeline import run_stages
from tests.pipeline_samples import tiny_config, write_corpus
from tests.ray_jobs.test_pipeline import report_of, state_hashes
from tests.servers import BUCKET, mlflow_server, postgres, refusing_port, s3_server

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.cluster]

ROOT = Path(__file__).parents[2]
MEASURED = ("attribution", "channels", "mixture", "ood", "conformal", "baselines")
TEXTS = ["The captain and the crew sail to the harbour. " * 6, "Bake the dough in the oven."]


@dataclass(frozen=True)
class Servers:
    """Where they are."""

    store: str
    mlflow: str


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("servers")
    hosts = {"MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*,tracking.example:5000"}
    before = mlflow.get_tracking_uri()
    with (
        postgres() as database,
        s3_server() as store,
        mlflow_server(folder, database, f"{store}/mlflow", hosts) as address,
    ):
        yield Servers(store, address)
        mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def remote(servers, lm_folder, tmp_path_factory):
    """(config, summaries) of a whole run as a user starts it, all of it on the servers."""
    folder = tmp_path_factory.mktemp("remote")
    write_corpus(folder)
    for name in ("registered.jsonl", "ood.jsonl"):
        storage.write_bytes(f"{servers.store}/corpus/{name}", (folder / name).read_bytes())
    config = tiny_config(
        folder,
        lm_folder("gpt_neox"),
        **{
            "output": f"{servers.store}/runs/remote",
            "corpus.paths": [f"{servers.store}/corpus/reg*.jsonl"],
            "corpus.ood_paths": [f"{servers.store}/corpus/ood.jsonl"],
            "tracking.uri": servers.mlflow,
        },
    )
    done = call("copylens.cli", "run", "--json", config=config, folder=folder)
    assert done.returncode == 0, done.stderr
    return config, [json.loads(line) for line in done.stdout.splitlines()]


def call(module: str, *words: str, config: RunConfig, folder: Path) -> subprocess.CompletedProcess:
    """A command of its own process, so that its Ray workers get what its environment holds."""
    (folder / "config.yaml").write_text(config.to_yaml())
    return subprocess.run(
        [sys.executable, "-m", module, *words, "--config", str(folder / "config.yaml")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def changed(config: RunConfig, section: str, **values: object) -> RunConfig:
    part = getattr(config, section).model_copy(update=values)
    return config.model_copy(update={section: part})


def test_where_things_lie_does_not_change_what_is_measured(finished, remote):
    (local, _), (config, summaries) = finished, remote
    assert [summary["stage"] for summary in summaries] == list(STAGES)
    assert not any(summary["skipped"] for summary in summaries)
    here, there = report_of(local), report_of(config)
    for section in MEASURED:
        assert here[section] == there[section], section
    assert state_hashes(local) == state_hashes(config)
    assert len(state_hashes(config)) == summaries[1]["shards"]


def test_nothing_was_left_on_the_local_disk(remote, servers, tmp_path_factory):
    _, summaries = remote
    left = sorted(path.name for path in tmp_path_factory.getbasetemp().glob("remote0/*"))
    assert left == ["config.yaml", "ood.jsonl", "registered.jsonl"]
    client = mlflow.MlflowClient(servers.mlflow)
    version = client.get_model_version("copylens", summaries[-1]["version"])
    assert client.get_run(version.run_id).info.artifact_uri.startswith("mlflow-artifacts:/")
    filesystem, path = storage.resolve(f"{servers.store}/mlflow")
    stored = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    names = {info.base_name for info in stored}
    assert {"report.json", "report.html", "config.yaml", "model.safetensors", "MLmodel"} <= names


def test_a_second_run_finds_everything_done(remote):
    config, _ = remote
    assert all(summary["skipped"] for summary in run_stages(config, STAGES))


def test_the_champion_is_one_and_the_same_however_it_is_loaded(finished, remote):
    (local, _), (config, summaries) = finished, remote
    served = load_scorer("models:/copylens@champion", config.tracking.uri)
    assert served.identity.version == summaries[-1]["version"]
    verdicts = [unnamed(verdict.to_dict()) for verdict in served.verdicts(TEXTS)]
    assert verdicts[0]["shares"][0]["sub_dataset"] == "sea"
    mlflow.set_tracking_uri(config.tracking.uri)
    table = mlflow.pyfunc.load_model("models:/copylens@champion").predict(
        pd.DataFrame({"text": TEXTS})
    )
    assert [unnamed(json.loads(line)) for line in table["verdict"]] == verdicts
    for output in (config.output, local.output):
        saved = Scorer.load(storage.join(output, "model")).verdicts(TEXTS)
        assert [unnamed(verdict.to_dict()) for verdict in saved] == verdicts


def unnamed(verdict: dict) -> dict:
    """As JSON has it, without the name and version that the model was loaded by."""
    return {key: value for key, value in plain(verdict).items() if key != "model"}


def plain(verdict: dict) -> dict:
    """As JSON has it: lists for tuples."""
    return json.loads(json.dumps(verdict))


def test_a_log_on_s3_is_scored_onto_s3(remote, servers, tmp_path):
    config, _ = remote
    source, target = f"{servers.store}/logs/log.jsonl", f"{servers.store}/verdicts"
    lines = [json.dumps({"text": text}) for text in TEXTS]
    storage.write_bytes(source, "\n".join(lines).encode())
    words = ("--input", source, "--output", target)
    done = call("ray_jobs.score", *words, config=config, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (part,) = storage.list_files(target, ".jsonl")
    rows = [json.loads(line) for line in storage.read_bytes(part).splitlines()]
    served = load_scorer("models:/copylens@champion", config.tracking.uri)
    verdicts = enumerate(served.verdicts(TEXTS), start=1)
    assert rows == [{"row": n, **plain(verdict.to_dict())} for n, verdict in verdicts]


@pytest.mark.parametrize(
    ("host", "status"),
    [(None, 200), ("tracking.example:5000", 200), ("tracking.example", 403), ("evil.example", 403)],
)
def test_the_server_answers_to_its_own_names_only(servers, host, status):
    answer = requests.post(
        f"{servers.mlflow}/api/2.0/mlflow/experiments/search",
        json={"max_results": 1},
        headers={"Host": host} if host else {},
        timeout=10,
    )
    assert answer.status_code == status
    assert ("experiments" in answer.text) == (status == 200)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("attributor", {"epochs": 4}),
        ("evaluation", {"study_passages": 7}),
        ("tracking", {"model_name": "other"}),
    ],
)
def test_a_missing_mlflow_is_told_before_the_work(
    finished, section, values, tmp_path, monkeypatch, capsys
):
    config, _ = finished
    stage = {"attributor": "train", "evaluation": "evaluate", "tracking": "promote"}[section]
    before = {path: path.stat().st_mtime_ns for path in Path(config.output).rglob("*")}
    monkeypatch.setattr("sys.argv", ["copylens", stage, "--config", str(tmp_path / "c.yaml")])
    capsys.readouterr()
    with refusing_port() as port:
        nobody = f"http://somebody:secret@127.0.0.1:{port}"
        config = changed(changed(config, section, **values), "tracking", uri=nobody)
        (tmp_path / "c.yaml").write_text(config.to_yaml())
        with pytest.raises(SystemExit) as stop:
            cli.main()
    err = capsys.readouterr().err
    assert stop.value.code == 2
    assert err.count("\n") == 1, err
    assert err.startswith("error: MLflow at http://127.0.0.1:")
    assert "secret" not in err
    assert {path: path.stat().st_mtime_ns for path in Path(config.output).rglob("*")} == before


def test_an_output_without_a_bucket_is_one_line(servers, lm_folder, tmp_path):
    write_corpus(tmp_path, per_class=12)
    nowhere = f"s3://no-{BUCKET}/run"
    config = tiny_config(tmp_path, lm_folder("gpt_neox"), output=nowhere)
    done = call("ray_jobs.ingest", config=config, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"'{nowhere}'" in done.stderr
    assert "create the bucket" in done.stderr
