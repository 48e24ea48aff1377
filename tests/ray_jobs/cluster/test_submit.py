"""Every stage as a submitted job on a cluster that wants a token, and what the shell is told."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from copylens.registry.reader import load_scorer
from copylens.store import storage
from tests.pipeline_samples import tiny_config, write_corpus
from tests.ray_jobs.test_pipeline import report_of, state_hashes
from tests.servers import free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.cluster]

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
TOKEN = "a-token-that-only-this-test-knows-0123456789"
LOG = ["The ship and the crew sail on.", "A court of law."]


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def line(self, start: str) -> str:
        found = [line for line in self.out.splitlines() if line.startswith(start)]
        assert len(found) == 1, f"{len(found)} lines with {start!r} in:\n{self.out}\n{self.err}"
        return found[0]

    def summary(self) -> dict:
        return json.loads(self.line('{"'))


@dataclass(frozen=True)
class Head:
    """A running cluster and a finished-to-be run on it."""

    address: str
    config_file: Path
    config: object

    def copylens(self, *words: str, **environment: str) -> Done:
        command = [sys.executable, "-m", "copylens.cli", "submit", "--config"]
        given = {"RAY_API_SERVER_ADDRESS": self.address, "RAY_AUTH_TOKEN": TOKEN, **environment}
        return call([*command, str(self.config_file), *words], given)

    def ray(self, *entrypoint: str) -> Done:
        command = [str(BIN / "ray"), "job", "submit", "--working-dir", str(ROOT), "--"]
        given = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        given["RAY_API_SERVER_ADDRESS"] = self.address
        return call([*command, *entrypoint, "--config", str(self.config_file)], given)


def call(command: list[str], environment: dict[str, str]) -> Done:
    done = subprocess.run(
        command, env=clean(environment), capture_output=True, text=True, timeout=300
    )
    return Done(done.returncode, done.stdout, done.stderr)


def clean(extra: dict[str, str]) -> dict[str, str]:
    """No Ray of this process, no MLflow of the machine; `python` is this one."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MLFLOW_"))}
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **extra}


@pytest.fixture(scope="module")
def head(lm_folder, tmp_path_factory) -> Iterator[Head]:
    folder = tmp_path_factory.mktemp("submit")
    write_corpus(folder)
    config = tiny_config(folder, lm_folder("gpt_neox"), **{"resources.embed_workers": 1})
    (folder / "c.yaml").write_text(config.to_yaml())
    rows = [json.dumps({"text": text}) for text in LOG]
    (folder / "log.jsonl").write_text("\n".join(rows))
    port, dashboard, agent, client = (free_port() for _ in range(4))
    options = {
        "node-ip-address": "127.0.0.1",
        "port": port,
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": agent,
        "ray-client-server-port": client,
        "min-worker-port": 0,
        "max-worker-port": 0,
        "include-dashboard": "true",
        "num-cpus": 4,
        "object-store-memory": 200 * 2**20,
        # Sockets in it have a limit of 107 characters for their whole path.
        "temp-dir": f"/tmp/copylens-{os.getpid()}",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    address = f"http://127.0.0.1:{dashboard}"
    environment = clean({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN})
    # The head must not find this checkout by itself: the code has to travel with the job.
    del environment["PYTHONPATH"]
    with (folder / "head.log").open("wb") as log:
        process = subprocess.Popen(
            [str(BIN / "ray"), "start", "--head", "--block", "--disable-usage-stats", *words],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(process, dashboard, folder / "head.log")
        yield Head(address, folder / "c.yaml", config)
    finally:
        end(process)
        storage.remove_tree(str(options["temp-dir"]))


def end(process: subprocess.Popen) -> None:
    """Ends the cluster; what does not end by itself in time is killed."""
    os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(4)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


def wait_for(process: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        if "ray job submit" in log.read_text() and not socket.socket().connect_ex(
            ("127.0.0.1", port)
        ):
            return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def stages(head) -> dict[str, Done]:
    """Each stage as a job of its own, in order; the two ways of submitting take turns."""
    return {
        "ingest": head.ray("python", "-m", "ray_jobs.ingest"),
        "embed": head.copylens("embed"),
        "index": head.ray("python", "-m", "ray_jobs.index"),
        "train": head.ray("python", "-m", "ray_jobs.train"),
        "evaluate": head.ray("python", "-m", "ray_jobs.evaluate"),
        "promote": head.copylens("promote", "--json"),
    }


def test_submitted_stages_do_what_a_local_run_does(stages, head, finished):
    assert {name: done.code for name, done in stages.items()} == dict.fromkeys(stages, 0), stages
    local, _ = finished
    assert list(state_hashes(head.config).values()) == list(state_hashes(local).values())
    ours, theirs = report_of(head.config), report_of(local)
    for section in ("attribution", "channels", "mixture", "ood", "conformal", "baselines"):
        assert ours[section] == theirs[section], section


def test_the_log_names_the_mlflow_run(stages, head):
    run_id = stages["train"].summary()["mlflow_run"]
    expected = f"mlflow: run {run_id}, shown by `mlflow ui --backend-store-uri "
    for name in ("train", "evaluate"):
        assert stages[name].line("mlflow: ") == f"{expected}{head.config.tracking.uri}`"
    assert "mlflow: " not in stages["ingest"].out + stages["embed"].out


def test_json_is_one_line_and_the_log_stays_readable(stages):
    done = stages["promote"]
    assert len(done.out.splitlines()) == 1
    row = json.loads(done.out)
    assert (row["status"], row["exit_code"]) == ("SUCCEEDED", 0)
    assert re.fullmatch(r"raysubmit_\w+", row["job"])
    assert '"champion": true' in done.err
    assert "mlflow: run " in done.err


def test_all_stages_are_one_job_that_skips_what_is_done(stages, head):
    done = head.copylens("run")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines() if line.startswith('{"')]
    assert [(row["stage"], row["skipped"]) for row in rows] == [(name, True) for name in stages]


def test_a_log_of_texts_is_scored_on_the_cluster(stages, head):
    folder = head.config_file.parent
    places = ("--input", str(folder / "log.jsonl"), "--output", str(folder / "verdicts"))
    # A cluster named by hand goes before one that the environment names.
    environment = {"RAY_API_SERVER_ADDRESS": "http://127.0.0.1:1"}
    done = head.copylens("score", "--address", head.address, "--", *places, **environment)
    assert done.code == 0, done.err
    assert done.summary()["model"] == "models:/copylens/1"
    lines = (folder / "verdicts" / "part-00000.jsonl").read_text().splitlines()
    scorer = load_scorer("models:/copylens/1", head.config.tracking.uri)
    for line, verdict in zip(lines, scorer.verdicts(LOG), strict=True):
        shares = {share["sub_dataset"]: share["share"] for share in json.loads(line)["shares"]}
        expected = {share.sub_dataset: share.share for share in verdict.shares}
        assert shares == pytest.approx(expected, abs=1e-5)


def test_a_users_mistake_in_a_job_is_one_line_and_exit_code_2(head):
    done = head.copylens("run", "--set", "corpus.paths=[/no/such.jsonl]")
    assert done.code == 2
    assert "/no/such.jsonl" in done.line("error: ")
    assert "Traceback" not in done.out + done.err


def test_a_relative_path_fails_the_job_before_it_writes(head):
    done = head.ray("python", "-m", "ray_jobs.ingest", "--set", "output=runs/x")
    assert done.code == 1
    # Ray's client repeats the log when a job failed.
    lines = {line for line in done.out.splitlines() if line.startswith("error: ")}
    assert len(lines) == 1
    assert "output: 'runs/x' is relative" in lines.pop()


@pytest.mark.parametrize("token", ["", "not-the-token"])
def test_without_its_token_the_cluster_takes_no_job(head, token):
    done = head.copylens("ingest", RAY_AUTH_TOKEN=token)
    assert done.code == 2
    assert done.out == ""
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith(f"error: {head.address} takes no job without its token")
