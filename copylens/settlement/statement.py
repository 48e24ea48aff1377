"""A log of verdicts and an amount -> the statement: payment per holder, basis, intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
UNCLEAR = "unclear"
"""A line that is not paid since its interval includes 0."""
EQUAL: Literal["equal"] = "equal"
_DIGITS = 6


@dataclass(frozen=True)
class Terms:
    """The terms of a settlement.

    Attributes:
        total: amount to split, e.g. "100000" or "99999.95".
        currency: ISO 4217 code.
        fee: what uncertain payment shrinks toward: parts of holders or sub-datasets, or `EQUAL`
            for the same part of every holder. None: toward nothing, payment follows the shares
            alone, and whoever cannot be told from absent is not paid.
        allow: holders or sub-datasets that are licensed otherwise: listed, not paid.
        period: what the log covers, in the parties' own words.
    """

    total: str
    currency: str
    fee: dict[str, Any] | Literal["equal"] | None = None
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
    paying = _paying(log, names, terms.allow)
    seed = int(log.sha256[:16], 16)
    found = estimate(log.ordered(names), log.texts, version.held_out, seed, resamples)
    split = _split(found, paying, _fee(log, names, paying, terms.fee))
    total = smallest_units(terms.total, terms.currency)
    *units, unclear = split_exactly(total, [*split.weight, split.unclear])
    units[-1] += unclear
    lines = _lines(log, names, found, split, units, terms.currency)
    method = {"seed": seed, "trust": _rounded(split.trust), "resamples": resamples}
    return {
        "terms": _terms(terms),
        "lines": [{key: value for key, value in e.items() if key != "units"} for e in lines],
        "holders": _holders(lines, terms.currency),
        "totals": _totals(lines, unclear, terms.currency),
        "method": method | {"interval": LEVEL} | _held(version),
        "log": {
            "sha256": log.sha256,
            "texts": int(log.texts.sum()),
            "documents": log.documents,
            "carried": log.carried,
        },
        "model": {**log.model, "scorer_sha256": version.scorer_sha256, "lineage": version.lineage},
        "audit": {name: list(version.audit[name]) for name in names if name in version.audit},
        "limits": limits(log, names, version.held_out, split.kinds.count(UNCLEAR)),
    }


def _terms(terms: Terms) -> dict[str, Any]:
    return {
        "pool": amount(smallest_units(terms.total, terms.currency), terms.currency),
        "currency": terms.currency,
        "period": terms.period,
        "fee": terms.fee,
        "allow": list(terms.allow),
    }


def _paying(log: VerdictLog, names: Sequence[str], allow: Sequence[str]) -> list[bool]:
    """Which sub-datasets take part in the split."""
    known = set(names) | {log.rights[name]["holder"] for name in names}
    unknown = sorted(set(allow) - known)
    if unknown:
        raise SettlementError(
            f"--allow {unknown[0]}: no holder or sub-dataset of that name; there are "
            f"{', '.join(sorted(known))}"
        )
    paying = [not {name, log.rights[name]["holder"]} & set(allow) for name in names]
    if not any(paying):
        raise SettlementError("every sub-dataset is allow-listed; there is nobody to pay")
    return paying


def _fee(
    log: VerdictLog,
    names: Sequence[str],
    paying: Sequence[bool],
    fee: dict[str, Any] | Literal["equal"] | None,
) -> FloatArray | None:
    """[P] parts of those who may be paid; None where the terms name no fee."""
    if fee is None:
        return None
    sub_datasets = [name for name, pays in zip(names, paying) if pays]
    holders = [log.rights[name]["holder"] for name in sub_datasets]
    return equal_fee(holders) if fee == EQUAL else contract_fee(fee, sub_datasets, holders)


@dataclass(frozen=True)
class _Split:
    """How the amount is split.

    Attributes:
        kinds: of each line: paid, unclear, allow-listed, unregistered.
        weight: [C] each line's part, `unregistered` last.
        unclear: the part that would be the unclear lines'; it is kept.
        fee: [C] of each line; NaN where there is none.
        trust: weight of the shares in the payment.
    """

    kinds: list[str]
    weight: FloatArray
    unclear: float
    fee: FloatArray
    trust: float


def _split(found: Estimate, paying: Sequence[bool], fee: FloatArray | None) -> _Split:
    """`unregistered` keeps its part, allow-listed shares are left out: see docs/statement.md."""
    columns, C = np.flatnonzero(paying), len(found.share)
    share, clear = found.share[columns], found.interval()[0][columns] > 0
    counted = share.sum() + found.share[-1]
    part = share.sum() / counted if counted > 0 else float(fee is not None)
    kinds = ["paid" if pays else "allow-listed" for pays in paying] + [UNREGISTERED]
    weight, fees, followed = np.zeros(C), np.full(C, np.nan), 1.0
    if fee is not None:
        scaled, draws = normalised(share, fee), found.draws[:, columns].clip(0, 1)
        followed = trust(normalised(draws, fee), scaled, fee)
        weight[columns] = part * (followed * scaled + (1 - followed) * fee)
        fees[columns] = fee
    elif counted > 0:
        weight[columns] = np.where(clear, share, 0.0) / counted
        for column in columns[~clear]:
            kinds[column] = UNCLEAR
    weight[-1] = 1 - part
    return _Split(kinds, weight, max(0.0, 1 - weight.sum()), fees, followed)


def _lines(
    log: VerdictLog,
    names: Sequence[str],
    found: Estimate,
    split: _Split,
    units: Sequence[int],
    currency: str,
) -> list[dict[str, Any]]:
    """One line per sub-dataset, the most owed first, those not paid after them; last what is kept.

    `units` is the amount in the currency's smallest unit.
    """
    low, high = found.interval()
    lines: list[dict[str, Any]] = []
    for c, name in enumerate([*names, UNREGISTERED]):
        registered = c < len(names)
        rights = log.rights[name] if registered else {"holder": "", "license": "", "basis": ""}
        lines.append(
            {
                "kind": split.kinds[c],
                "sub_dataset": name,
                **rights,
                "observed": _rounded(found.observed[c]),
                "share": _rounded(found.share[c]),
                "low": _rounded(low[c]),
                "high": _rounded(high[c]),
                "fee": None if np.isnan(split.fee[c]) else _rounded(split.fee[c]),
                "amount": amount(units[c], currency),
                "units": units[c],
            }
        )
    place = {"paid": 0, UNCLEAR: 1, "allow-listed": 2, UNREGISTERED: 3}
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


def _totals(lines: Sequence[dict[str, Any]], unclear: int, currency: str) -> dict[str, Any]:
    """`kept` includes `kept_unclear`, the part of lines that are not paid for want of certainty."""
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
        "kept_unclear": amount(unclear, currency),
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
