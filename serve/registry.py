"""The only reader of MLflow: a model URI -> the scorer behind it."""

from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from copylens import storage
from copylens.bundle import SCORER_FILE
from copylens.errors import ModelError
from copylens.scorer import Scorer

SCORER_HASH_TAG = "scorer.sha256"


def load_scorer(uri: str, tracking_uri: str, probe: str | None = None) -> Scorer:
    """The scorer that a registry URI or a local folder names.

    Args:
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or the folder of a saved scorer.
        tracking_uri: the MLflow server or database.
        probe: where the LM lies now, if it has moved since training.

    Raises:
        ModelError: the registry has no such model, or what it holds is damaged.
    """
    if not uri.startswith("models:/"):
        return Scorer.load(uri, probe=probe)
    name, version = resolve_version(uri, tracking_uri)
    try:
        mlflow.set_tracking_uri(tracking_uri)
        folder = mlflow.artifacts.download_artifacts(f"models:/{name}/{version}")
    except (MlflowException, OSError) as error:
        raise ModelError(f"{uri}: the registry's files cannot be read: {_line(error)}") from None
    found = sorted(Path(folder).rglob(SCORER_FILE))
    if not found:
        raise ModelError(f"{uri} is no CopyLens model ({SCORER_FILE} is missing)")
    check_hash(found[0], name, version, tracking_uri)
    return Scorer.load(str(found[0].parent), name=name, version=version, probe=probe)


def check_hash(scorer_file: Path, name: str, version: str, tracking_uri: str) -> None:
    """Refuses files that are not those which were registered.

    The scorer's JSON names the hash of its arrays, so that this one hash stands for all of it.
    """
    tags = MlflowClient(tracking_uri).get_model_version(name, version).tags
    found = storage.sha256(scorer_file.read_bytes())
    expected = tags.get(SCORER_HASH_TAG, "")
    if found != expected:
        raise ModelError(
            f"version {version} of '{name}' is not what was registered ({SCORER_FILE} has sha256 "
            f"{found[:12]}, the registry says {expected[:12] or 'nothing'}); promote it anew"
        )


def resolve_version(uri: str, tracking_uri: str) -> tuple[str, str]:
    """Name and version number behind `models:/NAME@ALIAS` or `models:/NAME/VERSION`."""
    rest = uri.removeprefix("models:/")
    client = MlflowClient(tracking_uri)
    try:
        if "@" in rest:
            name, alias = rest.rsplit("@", 1)
            return name, str(client.get_model_version_by_alias(name, alias).version)
        name, _, version = rest.partition("/")
        return name, str(client.get_model_version(name, version).version)
    except MlflowException as error:
        raise ModelError(
            f"{uri} is not in the registry at {tracking_uri}: {_line(error)}; "
            "run `copylens promote` first, or name a saved folder"
        ) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
