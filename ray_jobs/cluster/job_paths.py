"""The paths of a submitted job: relative ones are refused.

A job runs in a copy of the working directory that has a new name whenever a file in it changes, and
is deleted with the cluster. What a job wrote there would be lost; a corpus or an LM found there
would look like another one at each submission.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from copylens.config.load import anchored, load_config
from copylens.config.schema import RunConfig
from copylens.errors import ConfigError

# Set by Ray's job server for the entry point of a job, and nowhere else. RAY_ADDRESS is no sign:
# users set it to run a stage from their own folder on a cluster.
_JOB_MARK = "RAY_JOB_CONFIG_JSON_ENV_VAR"
_SQLITE = "sqlite:///"


def job_config(path: str | None, overrides: Sequence[str], tracks: bool = False) -> RunConfig:
    """The config as `load_config` gives it; in a submitted job relative paths are refused.

    Args:
        tracks: the job will write to MLflow, so the config or the environment must name a server.

    Raises:
        ConfigError: as `load_config`; or a path is relative in a submitted job.
    """
    config = load_config(path, overrides, as_written=True)
    if submitted():
        require_absolute(config)
        if tracks:
            _require_tracking(config)
    return anchored(config)


def submitted() -> bool:
    """True in a process that Ray's job server started."""
    return _JOB_MARK in os.environ


def require_absolute(config: RunConfig) -> None:
    """Refuses a config in which a path depends on the working directory.

    Raises:
        ConfigError: names the first such key.
    """
    for key, path in _paths(config):
        require_absolute_path(key, path)
    for key, model in (
        ("probe.model", config.probe.model),
        ("probe.adapter", config.probe.adapter),
        ("evaluation.control_model", config.evaluation.control_model),
        ("evaluation.encoder", config.evaluation.encoder),
        ("audit.reference", config.audit.reference),
    ):
        # What does not lie here is the id of a model on the hub.
        if model and (model.startswith((".", "~")) or Path(model).exists()):
            require_absolute_path(key, model)


def require_absolute_path(key: str, path: str) -> None:
    """Refuses one relative path; `key` names it in the error: a config key or an option."""
    local = path.removeprefix(_SQLITE) if path.startswith(_SQLITE) else path
    if "://" in local or Path(local).is_absolute():
        return
    raise ConfigError(
        f"{key}: '{path}' is relative, and a submitted job runs in a temporary copy of the "
        "working directory; give an absolute path or a URI that every node reaches"
    )


def _paths(config: RunConfig) -> Iterator[tuple[str, str]]:
    yield "output", config.output
    corpus = config.corpus
    for key in ("paths", "ood_paths", "background_paths"):
        for path in getattr(corpus, key):
            yield f"corpus.{key}", path
    for path in config.audit.against:
        yield "audit.against", path
    if (config.tracking.uri or "").startswith(_SQLITE):
        yield "tracking.uri", str(config.tracking.uri)


def _require_tracking(config: RunConfig) -> None:
    named = config.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not named:
        raise ConfigError(
            "tracking.uri: a submitted job has no MLflow to write to; set it to a server or to "
            "sqlite:////ABSOLUTE/PATH.db, or give the job MLFLOW_TRACKING_URI"
        )
    if named.startswith(_SQLITE):
        require_absolute_path("MLFLOW_TRACKING_URI", named)
