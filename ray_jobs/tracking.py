"""The only writer to MLflow: parameters, curves, reports, registered versions and aliases."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric

from copylens import storage
from copylens.config import RunConfig
from copylens.stages import marker_uri

CHAMPION, PREVIOUS = "champion", "previous"


def tracking_uri(config: RunConfig) -> str:
    """The configured server; $MLFLOW_TRACKING_URI; else a SQLite file in the working folder."""
    configured = config.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI")
    return configured or f"sqlite:///{Path('copylens.db').absolute()}"


def run_link(config: RunConfig) -> str:
    """Where a person sees the run of the finished training.

    The page of a server; for a database the run's id and the command that shows it.
    """
    uri = tracking_uri(config)
    run_id = str(storage.read_json(marker_uri(config, "train"))["summary"]["mlflow_run"])
    if uri.startswith(("http://", "https://")):
        experiment = MlflowClient(uri).get_run(run_id).info.experiment_id
        return f"{_public(uri).rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
    return f"run {run_id}, shown by `mlflow ui --backend-store-uri {_public(uri)}`"


def _public(uri: str) -> str:
    """The URI without the user and password it may carry: logs are read by many."""
    host = urlsplit(uri).netloc
    return uri.replace(host, host.rpartition("@")[2], 1) if host else uri


class Tracker:
    """One MLflow run per training; later stages add to the same run."""

    def __init__(self, config: RunConfig):
        uri = tracking_uri(config)
        mlflow.set_tracking_uri(uri)
        self._client = MlflowClient(uri)
        self._experiment = self._ensure_experiment(config.tracking.experiment, uri)
        self._output = config.output

    def log_training(
        self,
        config: RunConfig,
        curves: Mapping[str, list[dict[str, float]]],
        seconds: float,
        lineage: Mapping[str, Any],
    ) -> str:
        """Opens a run with parameters, lineage and curves; returns its id."""
        run = self._client.create_run(self._experiment, run_name=Path(config.output).name)
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

    def register(
        self, run_id: str, name: str, bundle: str, example: str, lineage: Mapping[str, Any]
    ) -> str:
        """Logs the saved scorer as a pyfunc model and registers it; returns the version."""
        import pandas as pd
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, Schema

        from copylens.pyfunc import REQUIREMENTS, output_columns

        types = {"double": DataType.double, "string": DataType.string}
        outputs = [ColSpec(types[kind], column) for column, kind in output_columns().items()]
        with mlflow.start_run(run_id=run_id):
            info = mlflow.pyfunc.log_model(
                name=name,
                loader_module="copylens.pyfunc",
                data_path=bundle,
                signature=ModelSignature(
                    inputs=Schema([ColSpec(DataType.string, "text")]), outputs=Schema(outputs)
                ),
                input_example=pd.DataFrame({"text": [example]}),
                pip_requirements=list(REQUIREMENTS),
                registered_model_name=name,
                metadata={"lineage": dict(lineage)},
            )
        version = str(info.registered_model_version)
        for key, value in lineage.items():
            self._client.set_model_version_tag(name, version, f"lineage.{key}", str(value))
        return version

    def move_alias(self, name: str, version: str) -> str | None:
        """Makes a version the champion; the old one stays reachable as `previous`."""
        aliases = self._client.get_registered_model(name).aliases
        old = aliases.get(CHAMPION)
        if old is not None and str(old) != version:
            self._client.set_registered_model_alias(name, PREVIOUS, str(old))
        self._client.set_registered_model_alias(name, CHAMPION, version)
        return None if old is None else str(old)

    def _ensure_experiment(self, name: str, uri: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # Beside a SQLite file there is no server to hold the artifacts.
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
