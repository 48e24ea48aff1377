"""An amount of money, split to the last cent by shares that are not known exactly."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import numpy as np

from copylens.errors import SettlementError
from copylens.records import FloatArray
from copylens.store import storage

# ISO 4217: currencies whose smallest unit is not a hundredth.
_WHOLE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
# Shares enter the split rounded to so many decimals: machines may differ in the last binary digit.
_ROUNDED = 9


def decimals(currency: str) -> int:
    """Decimals of a currency's smallest unit.

    Raises:
        SettlementError: it is no code of three capital letters.
    """
    if not (
        len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()
    ):
        raise SettlementError(f"currency must be a code such as EUR, got '{currency}'")
    return 0 if currency in _WHOLE else 3 if currency in _THOUSANDTHS else 2


def smallest_units(total: str, currency: str) -> int:
    """An amount in the currency's smallest unit, such as cents.

    Raises:
        SettlementError: no amount > 0, or one with more decimals than the currency has.
    """
    try:
        units = Decimal(total).scaleb(decimals(currency))
    except InvalidOperation:
        raise SettlementError(f"pool must be an amount such as 100000.00, got '{total}'") from None
    if not units.is_finite() or units <= 0 or units != units.to_integral_value():
        raise SettlementError(
            f"pool must be > 0 with at most {decimals(currency)} decimals in {currency}, "
            f"got {total}"
        )
    return int(units)


def amount(units: int, currency: str) -> str:
    """Smallest units as a plain decimal number."""
    return f"{Decimal(units).scaleb(-decimals(currency)):f}"


def split_exactly(total: int, weights: Sequence[float]) -> list[int]:
    """Splits whole units by weights >= 0: largest remainder (Hamilton), in exact fractions.

    Returns:
        Whole numbers that sum to `total`, each within 1 of its exact part. Of equal remainders
        the earlier weight's goes first.
    """
    exact = [Fraction(round(weight * 10**_ROUNDED)) for weight in weights]
    whole = sum(exact)
    if whole <= 0:
        raise ValueError("a split needs a weight above 0")
    parts = [total * weight / whole for weight in exact]
    units = [int(part) for part in parts]
    order = sorted(range(len(parts)), key=lambda i: (units[i] - parts[i], i))
    for i in order[: total - sum(units)]:
        units[i] += 1
    return units


def trust(draws: FloatArray, share: FloatArray, fee: FloatArray) -> float:
    """Weight of the measured shares in the payment, in [0, 1]; the rest is paid by the fee.

    trust = max(0, 1 - noise / distance), with noise = the sum of the shares' variances and
    distance = the sum of squares of (share - fee). That is the positive-part James-Stein factor:
    distance estimates signal + noise, so trust = signal / (signal + noise), the weight that
    minimises the expected squared error of the payment. After "noisy attribution should shrink
    payment toward a fixed fee" (arXiv 2607.00641).

    Args:
        draws: [B, P] resampled shares of those who are paid, rows sum to 1.
        share, fee: [P], each sums to 1.
    """
    noise = float(draws.var(axis=0).sum())
    distance = float(((share - fee) ** 2).sum())
    return max(0.0, 1 - noise / distance) if distance > 0 else 0.0


def normalised(values: FloatArray, fee: FloatArray) -> FloatArray:
    """Rows [.., P] scaled to sum to 1; a row without anything takes the fee."""
    total = values.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(total > 0, values / np.where(total > 0, total, 1), fee))


def equal_fee(holders: Sequence[str]) -> FloatArray:
    """[P] the same for every holder, spread evenly over the sub-datasets of each."""
    counts = {holder: holders.count(holder) for holder in holders}
    return np.array([1 / (len(counts) * counts[holder]) for holder in holders])


def contract_fee(
    contract: Mapping[str, Any], sub_datasets: Sequence[str], holders: Sequence[str]
) -> FloatArray:
    """[P] by a contract: parts >= 0 of sub-datasets or of holders (spread evenly), scaled to 1.

    Raises:
        SettlementError: a part is missing, or is no number >= 0, or all are 0.
    """
    parts = []
    for name, holder in zip(sub_datasets, holders):
        key = name if name in contract else holder
        if key not in contract:
            raise SettlementError(f"the contract names neither '{name}' nor its holder '{holder}'")
        value = contract[key]
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not 0 <= value < float("inf"):
            raise SettlementError(f"the contract's part of '{key}' must be >= 0, got {value!r}")
        sharing = [h for n, h in zip(sub_datasets, holders) if n not in contract and h == holder]
        parts.append(value / (1 if name in contract else len(sharing)))
    if sum(parts) <= 0:
        raise SettlementError("the contract gives nobody a part above 0")
    return np.asarray(np.array(parts) / sum(parts))


def read_contract(uri: str) -> dict[str, Any]:
    """A YAML (or JSON) mapping of sub-datasets or holders to parts.

    Raises:
        SettlementError: it is not there, or no such mapping.
    """
    import yaml

    if not storage.exists(uri):
        raise SettlementError(
            f"there is no contract at '{storage.shown(uri)}'; --fee equal needs none"
        )
    try:
        contract = yaml.safe_load(storage.read_bytes(uri))
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise SettlementError(f"'{storage.shown(uri)}' is no YAML: {said}") from None
    if not isinstance(contract, dict):
        raise SettlementError(f"'{storage.shown(uri)}' must map holders or sub-datasets to parts")
    return {str(key): value for key, value in contract.items()}
