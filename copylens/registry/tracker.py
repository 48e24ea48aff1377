"""Writes to MLflow: parameters, curves, reports, registered versions and aliases."""

import json
import os
from collections.abc import Mapping
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from copylens.config.schema import RunConfig
from copylens.errors import ModelError
from copylens.registry.reader import SCORER_HASH_TAG
from copylens.registry.server import mlflow_errors, require_server, tracking_uri
from copylens.store import storage
from copylens.store.stages import marker_uri
from copylens.verdict.bundle import SCORER_FILE

CHAMPION, PREVIOUS = "champion", "previous"


def run_link(config: RunConfig) -> str:
    """Where to see the run of the finished training: a URL, or a command.

    The run's page on a server; for a database its id and the command that shows it.
    """
    uri = tracking_uri(config.tracking.uri)
    run_id = str(storage.read_json(marker_uri(config, "train"))["summary"]["mlflow_run"])
    if uri.startswith(("http://", "https://")):
        experiment = MlflowClient(uri).get_run(run_id).info.experiment_id
        return f"{storage.shown(uri).rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
    return f"run {run_id}, shown by `mlflow ui --backend-store-uri {storage.shown(uri)}`"


class Tracker:
    """One MLflow run per training; later stages add to the same run.

    To be built before the work whose results it stores, since it checks that the server answers.

    Raises:
        TrackingError: the server does not answer, or refuses.
    """

    @mlflow_errors()
    def __init__(self, config: RunConfig):
        uri = tracking_uri(config.tracking.uri)
        require_server(uri)
        # A stage prints its summary and nothing else; MLflow would print the URL of the run.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        mlflow.set_tracking_uri(uri)
        self._client = MlflowClient(uri)
        self._experiment = self._ensure_experiment(config.tracking.experiment, uri)
        self._output = config.output

    @mlflow_errors()
    def log_training(
        self,
        config: RunConfig,
        curves: Mapping[str, list[dict[str, float]]],
        seconds: float,
        lineage: Mapping[str, Any],
    ) -> str:
        """Opens a run with parameters, lineage and curves; returns its id."""
        run = self._client.create_run(self._experiment, run_name=storage.name_of(config.output))
        run_id = str(run.info.run_id)
        for section, values in config.model_dump(mode="json").items():
            entries = values if isinstance(values, dict) else {"": values}
            for key, value in entries.items():
                name = f"{section}.{key}" if key else section
                self._client.log_param(run_id, name, json.dumps(value)[:6000])
        for key, value in lineage.items():
            self._client.set_tag(run_id, f"lineage.{key}", str(value))
        self._client.log_batch(run_id, metrics=_curve_metrics(curves))
        self._client.log_metric(run_id, "train_seconds", seconds)
        self._client.log_text(run_id, config.to_yaml(), "config.yaml")
        self._client.set_terminated(run_id)
        return run_id

    @mlflow_errors()
    def log_report(self, run_id: str, report: Mapping[str, Any]) -> None:
        """Adds every number of the report as a metric, and both report files."""
        numbers = [
            Metric(key.replace("[", "_").replace("]", ""), value, 0, 0)
            for key, value in flatten(report)
        ]
        for start in range(0, len(numbers), 500):
            self._client.log_batch(run_id, metrics=numbers[start : start + 500])
        for name in ("report.json", "report.html"):
            text = storage.read_bytes(storage.join(self._output, name)).decode()
            self._client.log_text(run_id, text, name)

    @mlflow_errors()
    def register(
        self, run_id: str, name: str, bundle: str, example: str, lineage: Mapping[str, Any]
    ) -> str:
        """Logs the saved scorer as a pyfunc model and registers it; returns the version.

        Its tags hold its lineage, the version that was champion before it, and the hash that is
        checked when it is loaded.
        """
        import pandas as pd
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, Schema, TensorSpec

        from copylens.verdict.pyfunc import REQUIREMENTS, output_columns

        types = {"double": DataType.double, "string": DataType.string}
        outputs: list[ColSpec | TensorSpec] = [
            ColSpec(types[kind], column) for column, kind in output_columns().items()
        ]
        inputs: list[ColSpec | TensorSpec] = [
            ColSpec(DataType.string, column, required=column == "text")
            for column in ("text", "id", "document")
        ]
        # MLflow prints a line for each model that it registers; the stage's summary says it too.
        with mlflow.start_run(run_id=run_id), redirect_stderr(StringIO()):
            info = mlflow.pyfunc.log_model(
                name=name,
                loader_module="copylens.verdict.pyfunc",
                data_path=bundle,
                signature=ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs)),
                input_example=pd.DataFrame({"text": [example]}),
                pip_requirements=list(REQUIREMENTS),
                registered_model_name=name,
                metadata={"lineage": dict(lineage)},
            )
        version = str(info.registered_model_version)
        scorer = storage.read_bytes(storage.join(bundle, SCORER_FILE))
        parent = self._aliases(name).get(CHAMPION)
        tags = {f"lineage.{key}": value for key, value in lineage.items()}
        tags |= {"lineage.parent_version": parent, SCORER_HASH_TAG: storage.sha256(scorer)}
        for key, value in tags.items():
            self._client.set_model_version_tag(name, version, key, str(value))
        return version

    @mlflow_errors()
    def move_alias(self, name: str, version: str) -> str | None:
        """Moves the alias champion to a version; the old champion gets the alias `previous`."""
        old = self._aliases(name).get(CHAMPION)
        if old is not None and old != version:
            self._client.set_registered_model_alias(name, PREVIOUS, old)
        self._client.set_registered_model_alias(name, CHAMPION, version)
        return old

    @mlflow_errors()
    def forget_previous(self, name: str) -> None:
        """Deletes the alias `previous`: no alias then names a version that has removed data."""
        if PREVIOUS in self._aliases(name):
            self._client.delete_registered_model_alias(name, PREVIOUS)

    @mlflow_errors()
    def roll_back(self, name: str) -> tuple[str, str]:
        """Makes the previous version the champion again, and the champion the previous one.

        Returns:
            The new champion's version and the one that was.

        Raises:
            ModelError: the registry has no such model, or it has had one champion only.
        """
        try:
            aliases = self._aliases(name)
        except MlflowException:
            raise ModelError(f"the registry has no model '{name}'") from None
        if PREVIOUS not in aliases or CHAMPION not in aliases:
            raise ModelError(
                f"'{name}' has no previous champion to go back to; see its versions in MLflow"
            )
        return aliases[PREVIOUS], str(self.move_alias(name, aliases[PREVIOUS]))

    def _aliases(self, name: str) -> dict[str, str]:
        found = self._client.get_registered_model(name).aliases
        return {alias: str(version) for alias, version in found.items()}

    def _ensure_experiment(self, name: str, uri: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # With a SQLite file there is no server to store the artifacts.
        local = uri.startswith("sqlite:///")
        folder = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts"
        location = folder.absolute().as_uri() if local else None
        return str(self._client.create_experiment(name, artifact_location=location))


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Dotted keys of all numbers in nested mappings; lists and texts are left out."""
    found: list[tuple[str, float]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += flatten(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((f"{prefix}{key}", float(value)))
    return found


def _curve_metrics(curves: Mapping[str, list[dict[str, float]]]) -> list[Metric]:
    return [
        Metric(f"{fit}/{name}", value, 0, epoch)
        for fit, curve in curves.items()
        for epoch, entry in enumerate(curve, start=1)
        for name, value in entry.items()
    ]
