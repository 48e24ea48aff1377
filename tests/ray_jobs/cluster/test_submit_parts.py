"""What submitting a job rests on, without a cluster: uploads, paths, exit codes, links."""

import json
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from copylens.config.load import build_config, load_config
from copylens.config.schema import RunConfig
from copylens.errors import CopyLensError
from copylens.registry import tracker as tracking
from ray_jobs.cluster import submit
from ray_jobs.cluster.job_paths import job_config, require_absolute
from ray_jobs.cluster.submit import Outcome, Submission, follow, pack
from ray_jobs.cluster.submit_view import show

ROOT = Path(__file__).parents[3]
LIMIT = 2**20
ABSOLUTE = {
    "output": "/data/run",
    "corpus": {"paths": ["hf://a/b?split=train", "/data/a.jsonl"], "ood_paths": ["dist://rich"]},
    "probe": {"model": "EleutherAI/pythia-70m"},
    "tracking": {"uri": "sqlite:////data/mlflow.db"},
}


def uploaded(folder: Path, archive: Path) -> dict[str, int]:
    """Name -> size of each file that Ray would send from a working directory."""
    from ray._private.ray_constants import get_runtime_env_default_excludes
    from ray._private.runtime_env.packaging import create_package

    create_package(
        str(folder),
        archive,
        include_gitignore=True,
        excludes=get_runtime_env_default_excludes(),
    )
    with zipfile.ZipFile(archive) as content:
        return {info.filename: info.file_size for info in content.infolist()}


def code_files(root: Path) -> set[str]:
    """The packages of the jobs."""
    packages = [root / "copylens", root / "ray_jobs"]
    return {
        path.relative_to(root).as_posix()
        for package in packages
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_working_directory_travels_without_what_no_job_needs(tmp_path):
    names = uploaded(ROOT, tmp_path / "package.zip")
    assert code_files(ROOT) <= set(names)
    assert "configs/demo.yaml" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith((".yaml", ".yml"))} == {
        "copylens",
        "ray_jobs",
        "configs",
    }
    assert (tmp_path / "package.zip").stat().st_size < LIMIT


def test_corpora_lms_and_runs_beside_the_code_stay(tmp_path):
    folder = tmp_path / "clone"
    for path in ("runs/a/states", "lm", ".git", ".venv/lib", "data", "copylens/__pycache__"):
        (folder / path).mkdir(parents=True)
        (folder / path / "big.bin").write_bytes(bytes(LIMIT))
    for name in ("books.jsonl.gz", "copylens.db", "notes.txt"):
        (folder / name).write_bytes(bytes(LIMIT))
    (folder / "copylens" / "cli.py").write_text("")
    (folder / "mine.yaml").write_text("seed: 1")
    for name in (".rayignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    assert set(uploaded(folder, tmp_path / "p.zip")) == {"copylens/cli.py", "mine.yaml"}


def test_what_copylens_submit_sends_is_the_code_and_the_config_as_read_here(tmp_path):
    config = load_config(
        ROOT / "configs" / "books.yaml", ["output=/data/x", "seed=7"], as_written=True
    )
    pack(tmp_path / "staged", config)
    names = uploaded(tmp_path / "staged", tmp_path / "package.zip")
    assert set(names) == code_files(ROOT) | {"config.yaml"}
    assert sum(names.values()) < LIMIT
    assert load_config(tmp_path / "staged" / "config.yaml") == config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("output", "runs/x"),
        ("corpus.paths", ["/data/a.jsonl", "a.jsonl"]),
        ("corpus.background_paths", ["../a.jsonl"]),
        ("probe.model", "./lm"),
        ("probe.model", "here"),
        ("probe.model", "here.gguf"),
        ("probe.adapter", "here"),
        ("evaluation.encoder", "here"),
        ("evaluation.control_model", "~/lm"),
        ("tracking.uri", "sqlite:///copylens.db"),
    ],
)
def test_a_relative_path_is_refused_in_a_job_only(key, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here.gguf").touch()
    path = value[-1] if isinstance(value, list) else value
    (tmp_path / "c.yaml").write_text(build_config(ABSOLUTE).to_yaml())
    overrides = [f"{key}={json.dumps(value)}", "evaluation.never_trained=[a]"]
    assert job_config("c.yaml", overrides) == load_config("c.yaml", overrides)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    job_config("c.yaml", overrides)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(CopyLensError, match=f"^{key}: '{path}' is relative"):
        job_config("c.yaml", overrides)
    assert job_config("c.yaml", []).output == "/data/run"


def test_a_job_that_tracks_must_be_told_where(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "c.yaml").write_text(build_config(ABSOLUTE | {"tracking": {}}).to_yaml())
    file = str(tmp_path / "c.yaml")
    job_config(file, [])
    with pytest.raises(CopyLensError, match="no MLflow to write to"):
        job_config(file, [], tracks=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///copylens.db")
    with pytest.raises(CopyLensError, match=r"copylens\.db' is relative"):
        job_config(file, [], tracks=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert job_config(file, [], tracks=True).tracking.uri is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"job": "trian"}, ["trian", "train"]),
        ({"config": RunConfig()}, ["output", "runs/default"]),
        ({"variables": ["NO_SUCH_VARIABLE"]}, ["NO_SUCH_VARIABLE"]),
        ({"address": None}, ["--address", "RAY_API_SERVER_ADDRESS"]),
        ({}, ["http://127.0.0.1:1"]),
    ],
)
def test_mistakes_before_anything_is_sent(arguments, words, monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    given = {"job": "train", "config": build_config(ABSOLUTE), "address": "http://127.0.0.1:1"}
    with pytest.raises(CopyLensError) as caught:
        submit.submit(**(given | arguments))
    assert len(str(caught.value).splitlines()) == 1
    for word in words:
        assert word in str(caught.value)


class FakeClient:
    """A job whose log and end are known; `break_off` is raised where the log would go on."""

    def __init__(self, ends: list, break_off: BaseException | None = None):
        self._ends, self._break_off = list(ends), break_off

    async def tail_job_logs(self, job_id: str):
        yield "first line\n"
        if self._break_off is not None:
            raise self._break_off

    def get_job_info(self, job_id: str):
        end = self._ends.pop(0)
        if isinstance(end, Exception):
            raise end
        status, code, message = end
        from ray.job_submission import JobStatus

        return SimpleNamespace(status=JobStatus(status), driver_exit_code=code, message=message)


RUNNING = ("RUNNING", None, None)
FAILED = "Job entrypoint command failed with exit code 2, last available logs (all):\nfirst line"


@pytest.mark.parametrize(
    ("client", "outcome"),
    [
        (FakeClient([("SUCCEEDED", 0, "done")]), Outcome("SUCCEEDED", 0, "done")),
        (FakeClient([RUNNING, ("FAILED", 2, FAILED)]), Outcome("FAILED", 2, FAILED[:46])),
        (FakeClient([("FAILED", 1, "crash")]), Outcome("FAILED", 1, "crash")),
        (FakeClient([("FAILED", None, "no env")]), Outcome("FAILED", 1, "no env")),
        (FakeClient([("STOPPED", -15, None)]), Outcome("STOPPED", 1, "STOPPED")),
        (
            FakeClient([RUNNING, ("SUCCEEDED", 0, "ok")], RuntimeError("closed")),
            Outcome("SUCCEEDED", 0, "ok"),
        ),
        (
            FakeClient([ConnectionError("gone")], ConnectionError("gone")),
            Outcome("UNKNOWN", 1, "the cluster does not answer: gone"),
        ),
    ],
)
def test_how_a_job_ends_is_what_the_shell_is_told(client, outcome, monkeypatch):
    monkeypatch.setattr(submit, "_POLL_SECONDS", 0)
    log: list[str] = []
    assert follow(Submission(client, "job-1", "http://x"), log.append) == outcome
    assert log[0] == "first line\n"


def test_ctrl_c_ends_the_following_and_not_the_job(capsys):
    client = FakeClient([], KeyboardInterrupt())
    assert show(Submission(client, "job-1", "http://x"), wait=True, as_json=False) == 130
    assert "ray job stop --address http://x job-1" in capsys.readouterr().err


def test_without_waiting_the_answer_names_the_job(capsys):
    job = Submission(FakeClient([]), "job-1", "http://x")
    assert show(job, wait=False, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"job": "job-1", "address": "http://x"}


def test_the_link_to_a_run_on_a_server_keeps_its_password(tmp_path, monkeypatch):
    (tmp_path / "train.done.json").write_text(json.dumps({"summary": {"mlflow_run": "abc"}}))
    run = SimpleNamespace(info=SimpleNamespace(experiment_id="7"))
    server = SimpleNamespace(get_run={"abc": run}.__getitem__)
    monkeypatch.setattr(tracking, "MlflowClient", lambda uri: server)

    def link(uri: str) -> str:
        values = {"output": str(tmp_path), "tracking": {"uri": uri}}
        return tracking.run_link(build_config(values))

    assert link("https://me:pass@host:5000/") == "https://host:5000/#/experiments/7/runs/abc"
    shown = link("sqlite:////data/a@b.db")
    assert shown == "run abc, shown by `mlflow ui --backend-store-uri sqlite:////data/a@b.db`"


@pytest.mark.parametrize("model", ["EleutherAI/pythia-70m", "lm"])
def test_an_id_on_the_hub_travels_where_no_folder_has_its_name(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = build_config(ABSOLUTE | {"probe": {"model": model}})
    require_absolute(config)
    (tmp_path / model).mkdir(parents=True)
    with pytest.raises(CopyLensError, match=f"^probe.model: '{model}' is relative"):
        require_absolute(config)
