"""What a version must show before it may become the champion."""

import operator
import re
from collections.abc import Mapping
from typing import Any

from copylens.errors import ConfigError

_COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND = re.compile(r"(>=|<=|>|<)\s*(-?[0-9.]+(?:e-?[0-9]+)?)")


def failed_gates(report: Mapping[str, Any], gates: Mapping[str, str]) -> list[str]:
    """One line per gate that does not hold; [] when all do.

    Args:
        report: a report by the contract.
        gates: dotted figure -> bound, e.g. {"attribution.accuracy": ">= 0.9"}.

    Raises:
        ConfigError: a bound is not `>= number` (or <=, >, <), or the report has no such figure.
    """
    failed = []
    for figure, bound in gates.items():
        match = _BOUND.fullmatch(bound.strip())
        if match is None:
            raise ConfigError(f"tracking.gates.{figure}: '{bound}' is no bound such as '>= 0.9'")
        value = _figure(report, figure)
        if value is None:
            failed.append(f"{figure} was not measured, must be {bound}")
        elif not _COMPARE[match[1]](value, float(match[2])):
            failed.append(f"{figure} = {value:.4g}, must be {bound}")
    return failed


def _figure(report: Mapping[str, Any], figure: str) -> float | None:
    value: Any = report
    for key in figure.split("."):
        if value is None:  # a group that was not measured, such as ood.near
            return None
        if not isinstance(value, Mapping) or key not in value:
            raise ConfigError(f"tracking.gates: the report has no figure '{figure}'")
        value = value[key]
    if isinstance(value, Mapping | list | str):
        raise ConfigError(f"tracking.gates: '{figure}' is no single figure; name one in it")
    return None if value is None else float(value)
