"""Config: typed, closed, frozen, replayable."""

import pytest
import yaml
from pydantic import ValidationError

from copylens.config.load import build_config, load_config
from copylens.config.schema import RunConfig, fingerprint
from copylens.errors import ConfigError


def test_overrides_are_yaml_and_win_over_the_file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("seed: 3\nprobe: {window: 8, tap: mlp}\n")
    config = load_config(path, ["probe.window=2", "corpus.paths=[a.jsonl, 'b c.jsonl']"])
    assert (config.seed, config.probe.window, config.probe.tap) == (3, 2, "mlp")
    assert config.corpus.paths == ("a.jsonl", "b c.jsonl")


def test_what_is_saved_can_be_replayed():
    config = build_config({"probe": {"layers": [0, -1]}, "tracking": {"gates": {"a.b": ">= 1"}}})
    assert build_config(yaml.safe_load(config.to_yaml())) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sead": 1}, "unknown key 'sead'; the nearest valid key is 'seed'"),
        ({"probe": {"modle": "x"}}, "'probe.modle'; the nearest valid key is 'probe.model'"),
        ({"probe": {"tap": "ears"}}, "probe.tap"),
        ({"attributor": {"dropout": 1.0}}, "attributor.dropout: Input should be less than 1"),
        ({"seed": -1}, "seed"),
        (
            {"channels": {"attention": False, "lexical": False}},
            "at least one of",
        ),
    ],
)
def test_mistakes_are_named(values, message):
    with pytest.raises(ConfigError) as error:
        build_config(values, "x.yaml")
    assert message in str(error.value)
    assert str(error.value).startswith("x.yaml")
    assert "\n" not in str(error.value)


def test_files_that_are_no_config(tmp_path):
    for name, content in (("list", "- 1\n"), ("broken", "a: [")):
        (tmp_path / name).write_text(content)
        with pytest.raises(ConfigError, match=name):
            load_config(tmp_path / name)
    (tmp_path / "empty").write_text("")
    assert load_config(tmp_path / "empty", ["output=/x"]) == RunConfig(output="/x")
    with pytest.raises(ConfigError, match="key=value"):
        load_config(None, ["seed"])


def test_frozen():
    with pytest.raises(ValidationError):
        RunConfig().seed = 4  # type: ignore[misc]


def test_fingerprint_follows_content():
    one, other = RunConfig(), RunConfig(seed=1)
    assert fingerprint(one) == fingerprint(RunConfig()) != fingerprint(other)


def test_local_places_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lm").mkdir()
    config = load_config(None, ["output=runs/a", "probe.model=lm"])
    assert config.output == str(tmp_path / "runs" / "a")
    assert config.probe.model == str(tmp_path / "lm")
    config = load_config(None, ["output=s3://bucket/a", "probe.model=org/name"])
    assert (config.output, config.probe.model) == ("s3://bucket/a", "org/name")
