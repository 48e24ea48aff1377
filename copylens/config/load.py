"""YAML and `key=value` overrides -> a checked RunConfig.

Unknown keys are errors that name the nearest valid key, because a silently ignored setting is a
wrong experiment.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from copylens.config.schema import RunConfig
from copylens.config.section import Section
from copylens.errors import ConfigError, one_line

# Types of pydantic's errors for keys that a section does not have.
_UNKNOWN = ("extra_forbidden", "invalid_key")


def load_config(
    path: str | Path | None, overrides: Sequence[str] = (), *, as_written: bool = False
) -> RunConfig:
    """Reads a YAML file, applies `key=value` overrides, checks everything.

    Args:
        path: YAML file, or None for the defaults alone.
        overrides: dotted keys with YAML values, e.g. `corpus.paths=[a.jsonl]`, `seed=1`.
        as_written: leaves every location as the user wrote it. Otherwise `output` and local LMs
            are made absolute, since workers run in folders of their own.

    Raises:
        ConfigError: the file is missing or no mapping, a key is unknown, a value is out of range.
    """
    values = {} if path is None else _read_yaml(Path(path))
    where = "config" if path is None else str(path)
    for override in overrides:
        _apply_override(values, override)
    config = build_config(values, where)
    return config if as_written else anchored(config)


def anchored(config: RunConfig) -> RunConfig:
    """The config with `output`, local LMs and what the audit compares with from the root."""
    output = config.output
    if "://" not in output:
        output = str(Path(output).absolute())
    lm = config.probe.model
    adapter = config.probe.adapter
    changes = {"model": lm and _absolute(lm), "adapter": adapter and _absolute(adapter)}
    probe = config.probe.model_copy(update=changes)
    control = {"control_model": _absolute(config.evaluation.control_model)}
    evaluation = config.evaluation.model_copy(update=control)
    audit = config.audit.model_copy(update={"reference": _absolute(config.audit.reference)})
    return config.model_copy(
        update={"output": output, "probe": probe, "evaluation": evaluation, "audit": audit}
    )


def _absolute(model: str) -> str:
    """A local LM's place from the root; a hub id and a distribution's as they are."""
    return str(Path(model).absolute()) if model and Path(model).exists() else model


def build_config(values: Mapping[str, Any], where: str = "config") -> RunConfig:
    """Builds a RunConfig from nested plain values; `where` names their origin in errors."""
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        unknown = [entry for entry in error.errors() if entry["type"] in _UNKNOWN]
        first = (unknown or error.errors())[0]
        key = ".".join(str(part) for part in first["loc"])
        if unknown:
            near = difflib.get_close_matches(key, _valid_keys(RunConfig, ""), n=1, cutoff=0.0)[0]
            message = f"{where}: unknown key '{key}'; the nearest valid key is '{near}'"
            raise ConfigError(message) from None
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {key}: {reason}, got {first['input']!r}") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ConfigError(f"config file '{path}' is not there") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"config file '{path}' cannot be read: {one_line(error)}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"config file '{path}' must hold keys and values, not a {type(values)}")
    return values


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, raw = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set takes key=value, got '{override}'")
    try:
        value = yaml.safe_load(raw)
    except yaml.YAMLError:
        raise ConfigError(f"--set {key}: '{raw}' is not valid YAML") from None
    *parents, last = key.split(".")
    node = values
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {key}: '{parent}' holds a value, not further keys")
        node = child
    node[last] = value


def _valid_keys(section: type[BaseModel], prefix: str) -> list[str]:
    keys: list[str] = []
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys += _valid_keys(field.annotation, f"{prefix}{name}.")
        keys.append(f"{prefix}{name}")
    return keys
