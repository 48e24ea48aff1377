"""Loads scorers from the registry: a model URI -> the scorer."""

from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from copylens.errors import ModelError
from copylens.registry.server import mlflow_errors, short_query, without_secrets
from copylens.store import storage
from copylens.store.storage import shown
from copylens.verdict.bundle import SCORER_FILE
from copylens.verdict.evidence import scorer_folder
from copylens.verdict.scorer import UNREGISTERED, Scorer

# MLflow's error codes for a model, version or alias that does not exist.
_NO_SUCH = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"}

SCORER_HASH_TAG = "scorer.sha256"


def load_scorer(uri: str, tracking_uri: str, probe: str | None = None) -> Scorer:
    """The scorer that a registry URI or a local folder names.

    Args:
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, the folder of a saved scorer, or
            the output of a run.
        tracking_uri: the MLflow server or database.
        probe: where the LM lies now, if it has moved since training.

    Raises:
        ModelError: the registry has no such model, or what it holds is damaged.
        TrackingError: the registry cannot be reached.
    """
    return Scorer.load(*bundle_folder(uri, tracking_uri), probe=probe)


def bundle_folder(uri: str, tracking_uri: str) -> tuple[str, str, str]:
    """Folder, name and version of a saved scorer; see `load_scorer`."""
    if not uri.startswith("models:/"):
        return scorer_folder(uri), "copylens", UNREGISTERED
    name, version = resolve_version(uri, tracking_uri)
    mlflow.set_tracking_uri(tracking_uri)
    with mlflow_errors(tracking_uri):
        folder = mlflow.artifacts.download_artifacts(f"models:/{name}/{version}")
    found = sorted(Path(folder).rglob(SCORER_FILE))
    if not found:
        raise ModelError(f"{uri} is no CopyLens model ({SCORER_FILE} is missing)")
    check_hash(found[0], name, version, tracking_uri)
    return str(found[0].parent), name, version


def check_hash(scorer_file: Path, name: str, version: str, tracking_uri: str) -> None:
    """Checks a downloaded scorer against the hash in the registry.

    The scorer's JSON holds the hash of its arrays, so this one hash covers all files.
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
    """Name and version number behind `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        ModelError: the registry has no such version.
        TrackingError: the registry does not answer within a few seconds.
    """
    rest = uri.removeprefix("models:/")
    with short_query(tracking_uri):
        client = MlflowClient(tracking_uri)
        try:
            if "@" in rest:
                name, alias = rest.rsplit("@", 1)
                return name, str(client.get_model_version_by_alias(name, alias).version)
            name, _, version = rest.partition("/")
            return name, str(client.get_model_version(name, version).version)
        except MlflowException as error:
            if error.error_code not in _NO_SUCH:
                raise
            raise ModelError(
                f"{uri} is not in the registry at {shown(tracking_uri)}: {without_secrets(error)}; "
                "run `copylens promote` first, or name a saved folder"
            ) from None
