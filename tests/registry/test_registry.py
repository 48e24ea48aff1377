"""Versions: lineage, going back, and files that are not those which were registered."""

from pathlib import Path

import mlflow
import pytest

from copylens.errors import ModelError
from copylens.registry.reader import load_scorer
from copylens.registry.tracker import CHAMPION, PREVIOUS
from copylens.verdict.bundle import SCORER_FILE
from copylens.verdict.lineage import code_hash
from ray_jobs.pipeline import run_stages
from ray_jobs.promote import roll_back

pytestmark = pytest.mark.ray


def named(config, name, **gates):
    tracking = config.tracking.model_copy(
        update={"model_name": name, "gates": config.tracking.gates | gates}
    )
    return config.model_copy(update={"tracking": tracking})


def aliases(config) -> dict[str, str]:
    client = mlflow.MlflowClient(config.tracking.uri)
    found = client.get_registered_model(config.tracking.model_name).aliases
    return {alias: str(version) for alias, version in found.items()}


def test_rollback_swaps_champion_and_previous(finished, capfd):
    config = named(finished[0], "rolled")
    next(run_stages(config, ("promote",)))
    # `--json` promises one line of JSON; what MLflow has to say is none of it.
    out, err = capfd.readouterr()
    assert out == "" and "registered model" not in err
    with pytest.raises(ModelError, match="no previous champion"):
        roll_back(config)
    second = named(finished[0], "rolled", **{"attribution.n": ">= 1"})
    next(run_stages(second, ("promote",)))
    assert aliases(config) == {CHAMPION: "2", PREVIOUS: "1"}
    assert roll_back(config)["champion"] == "1"
    assert aliases(config) == {CHAMPION: "1", PREVIOUS: "2"}
    assert load_scorer("models:/rolled@champion", config.tracking.uri).identity.version == "1"
    roll_back(config)
    assert aliases(config) == {CHAMPION: "2", PREVIOUS: "1"}
    with pytest.raises(ModelError, match="no model 'unheard'"):
        roll_back(named(config, "unheard"))


def test_a_version_carries_its_lineage_and_its_parent(finished):
    config = named(finished[0], "lineage")
    for bound in (">= 1", ">= 2"):
        next(run_stages(named(config, "lineage", **{"attribution.n": bound}), ("promote",)))
    client = mlflow.MlflowClient(config.tracking.uri)
    first, second = (client.get_model_version("lineage", v).tags for v in ("1", "2"))
    assert first["lineage.parent_version"] == "None"
    assert second["lineage.parent_version"] == "1"
    assert second["lineage.code"] == code_hash()
    assert second["lineage.corpus_manifest"] == finished[1][0]["hash"]


def test_a_version_that_was_changed_is_refused(finished):
    config = named(finished[0], "tampered")
    next(run_stages(config, ("promote",)))
    uri = "models:/tampered/1"
    mlflow.set_tracking_uri(config.tracking.uri)
    file = next(Path(mlflow.artifacts.download_artifacts(uri)).rglob(SCORER_FILE))
    before = file.read_text()
    file.write_text(before.replace('"alpha": 0.05', '"alpha": 0.06'))
    try:
        with pytest.raises(ModelError, match="is not what was registered"):
            load_scorer(uri, config.tracking.uri)
    finally:
        file.write_text(before)
    assert load_scorer(uri, config.tracking.uri).identity.version == "1"
