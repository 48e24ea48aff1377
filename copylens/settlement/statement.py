"""A log of verdicts and an amount -> the statement: payment per holder, basis, intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from copylens.errors import SettlementError
from copylens.records import FloatArray
from copylens.settlement.correction import LEVEL, RESAMPLES, Estimate, estimate
from copylens.settlement.log import VerdictLog
from copylens.settlement.payment import (
    amount,
    contract_fee,
    decimals,
    equal_fee,
    normalised,
    smallest_units,
    split_exactly,
    trust,
)
from copylens.settlement.scoring_version import ScoringVersion
from copylens.settlement.wording import limits

UNREGISTERED = "unregistered"
_DIGITS = 6


@dataclass(frozen=True)
class Terms:
    """The terms of a settlement.

    Attributes:
        total: amount to split, e.g. "100000" or "99999.95".
        currency: ISO 4217 code.
        contract: parts of holders or sub-datasets that payment shrinks toward; None = equal.
        allow: holders or sub-datasets that are licensed otherwise: listed, not paid.
        period: what the log covers, in the parties' own words.
    """

    total: str
    currency: str
    contract: dict[str, Any] | None = None
    allow: tuple[str, ...] = ()
    period: str = ""

    def __post_init__(self) -> None:
        decimals(self.currency)
        smallest_units(self.total, self.currency)


def make_statement(
    log: VerdictLog, version: ScoringVersion, terms: Terms, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """The statement as JSON-ready values. The same log, version and terms give the same values.

    Raises:
        SettlementError: the version knows other sub-datasets than the log, an allowed name is
            unknown, nobody is left to pay, or the contract does not name all who are paid.
    """
    names = version.sub_datasets
    if tuple(sorted(names)) != log.sub_datasets:
        raise SettlementError(
            f"the log speaks of {len(log.sub_datasets)} sub-datasets, the model of {len(names)} "
            "others; name the version that judged the log with --model"
        )
    paid = _paid(log, names, terms.allow)
    holders = [log.rights[name]["holder"] for name in np.array(names)[paid]]
    fee = _fee(terms.contract, [n for n, p in zip(names, paid) if p], holders)
    seed = int(log.sha256[:16], 16)
    found = estimate(log.ordered(names), log.texts, version.held_out, seed, resamples)
    weight, followed = _weights(found, paid, fee)
    total = smallest_units(terms.total, terms.currency)
    lines = _lines(log, names, found, paid, fee, split_exactly(total, [*weight]), terms.currency)
    method = {"seed": seed, "trust": _rounded(followed), "resamples": resamples}
    return {
        "terms": _terms(terms),
        "lines": [{key: value for key, value in e.items() if key != "units"} for e in lines],
        "holders": _holders(lines, terms.currency),
        "totals": _totals(lines, terms.currency),
        "method": method | {"interval": LEVEL} | _held(version),
        "log": {
            "sha256": log.sha256,
            "texts": int(log.texts.sum()),
            "documents": log.documents,
            "carried": log.carried,
        },
        "model": {**log.model, "scorer_sha256": version.scorer_sha256, "lineage": version.lineage},
        "limits": limits(log, names, version.held_out),
    }


def _terms(terms: Terms) -> dict[str, Any]:
    return {
        "pool": amount(smallest_units(terms.total, terms.currency), terms.currency),
        "currency": terms.currency,
        "period": terms.period,
        "fee": "equal" if terms.contract is None else terms.contract,
        "allow": list(terms.allow),
    }


def _paid(log: VerdictLog, names: Sequence[str], allow: Sequence[str]) -> list[bool]:
    """Which sub-datasets take part in the split."""
    known = set(names) | {log.rights[name]["holder"] for name in names}
    unknown = sorted(set(allow) - known)
    if unknown:
        raise SettlementError(
            f"--allow {unknown[0]}: no holder or sub-dataset of that name; there are "
            f"{', '.join(sorted(known))}"
        )
    paid = [not {name, log.rights[name]["holder"]} & set(allow) for name in names]
    if not any(paid):
        raise SettlementError("every sub-dataset is allow-listed; there is nobody to pay")
    return paid


def _fee(
    contract: dict[str, Any] | None, sub_datasets: Sequence[str], holders: Sequence[str]
) -> FloatArray:
    return equal_fee(holders) if contract is None else contract_fee(contract, sub_datasets, holders)


def _weights(found: Estimate, paid: Sequence[bool], fee: FloatArray) -> tuple[FloatArray, float]:
    """Each line's part of the amount [C], and the weight of the shares in it.

    `unregistered` keeps its part; the others' part goes to those who are paid, by shares shrunk
    toward the fee. Allow-listed shares are left out.
    """
    columns = np.flatnonzero(paid)
    share = normalised(found.share[columns], fee)
    followed = trust(normalised(found.draws[:, columns], fee), share, fee)
    counted = found.share[columns].sum() + found.share[-1]
    part = found.share[columns].sum() / counted if counted > 0 else 1.0
    weight = np.zeros(len(found.share))
    weight[columns] = part * (followed * share + (1 - followed) * fee)
    weight[-1] = 1 - part
    return weight, followed


def _lines(
    log: VerdictLog,
    names: Sequence[str],
    found: Estimate,
    paid: Sequence[bool],
    fee: FloatArray,
    units: Sequence[int],
    currency: str,
) -> list[dict[str, Any]]:
    """One line per sub-dataset, the most owed first, allow-listed after them; last what is kept.

    `units` is the amount in the currency's smallest unit.
    """
    low, high = found.interval()
    agreed = dict(zip(np.flatnonzero(paid), fee))
    lines: list[dict[str, Any]] = []
    for c, name in enumerate([*names, UNREGISTERED]):
        registered = c < len(names)
        rights = log.rights[name] if registered else {"holder": "", "license": "", "basis": ""}
        lines.append(
            {
                "kind": UNREGISTERED if not registered else "paid" if paid[c] else "allow-listed",
                "sub_dataset": name,
                **rights,
                "observed": _rounded(found.observed[c]),
                "share": _rounded(found.share[c]),
                "low": _rounded(low[c]),
                "high": _rounded(high[c]),
                "fee": _rounded(agreed[c]) if c in agreed else None,
                "amount": amount(units[c], currency),
                "units": units[c],
            }
        )
    place = {"paid": 0, "allow-listed": 1, UNREGISTERED: 2}
    lines.sort(key=lambda e: (place[e["kind"]], -e["units"], -e["share"], e["sub_dataset"]))
    return lines


def _holders(lines: Sequence[dict[str, Any]], currency: str) -> list[dict[str, Any]]:
    """The amount per holder and basis; amounts of different bases are never summed."""
    owed: dict[tuple[str, str], int] = {}
    for line in lines:
        if line["kind"] == "paid":
            key = (line["holder"], line["basis"])
            owed[key] = owed.get(key, 0) + line["units"]
    ordered = sorted(owed.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"holder": holder, "basis": basis, "amount": amount(units, currency)}
        for (holder, basis), units in ordered
    ]


def _totals(lines: Sequence[dict[str, Any]], currency: str) -> dict[str, Any]:
    paid = [line for line in lines if line["kind"] == "paid"]
    by_basis = {
        basis: amount(sum(e["units"] for e in paid if e["basis"] == basis), currency)
        for basis in sorted({e["basis"] for e in paid})
    }
    kept = sum(line["units"] for line in lines if line["kind"] == UNREGISTERED)
    total = sum(line["units"] for line in lines)
    return {
        "paid": amount(total - kept, currency),
        "kept": amount(kept, currency),
        "pool": amount(total, currency),
        "paid_by_basis": by_basis,
    }


def _held(version: ScoringVersion) -> dict[str, dict[str, int]]:
    """Held-out passages and split groups per sub-dataset, which the correction uses."""
    names = [*version.sub_datasets, UNREGISTERED]
    counts, groups = version.held_out.counts, version.held_out.group_counts
    return {
        "held_out_passages": dict(zip(names, map(int, counts))),
        "held_out_groups": dict(zip(names, map(int, groups))),
    }


def _rounded(value: float) -> float:
    return round(float(value), _DIGITS)
