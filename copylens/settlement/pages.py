"""A statement as files: JSON for programs, CSV for a spreadsheet, one printable page."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from copylens.settlement.wording import BASES
from copylens.store import storage
from copylens.templates import page_template

_TEMPLATE = Path(__file__).parent / "statement.html.jinja"
FILES = ("statement.json", "statement.csv", "statement.html")
_COLUMNS = (
    "kind",
    "sub_dataset",
    "holder",
    "license",
    "basis",
    "observed",
    "share",
    "low",
    "high",
    "fee",
    "amount",
    "currency",
)
# A cell that begins so would be run as a formula by a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_statement(folder: str, statement: Mapping[str, Any]) -> None:
    """Writes all three files; the JSON file last, for it makes the folder count."""
    rendered = (as_json(statement), as_csv(statement), as_html(statement))
    for name, text in reversed(list(zip(FILES, rendered))):
        storage.write_bytes(storage.join(folder, name), text.encode())


def as_json(statement: Mapping[str, Any]) -> str:
    """Stable key order, so that equal statements are equal bytes."""
    return json.dumps(statement, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def as_csv(statement: Mapping[str, Any]) -> str:
    """One row per line of the statement; amounts as plain decimals."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in statement["lines"]:
        row = {**line, "currency": statement["terms"]["currency"]}
        writer.writerow({key: _cell(row[key]) for key in _COLUMNS})
    return stream.getvalue()


def as_html(statement: Mapping[str, Any]) -> str:
    """One page without other files; every text in it is escaped."""
    lines = statement["lines"]
    # The bars share one scale, up to the largest end of an interval.
    top = max(line["high"] for line in lines) or 1.0
    return page_template(_TEMPLATE, _FILTERS).render(
        s=statement,
        top=top,
        bases={basis: BASES[basis] for basis in sorted({e["basis"] for e in lines if e["basis"]})},
    )


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _money(value: str) -> str:
    """Thousands set apart by a narrow space."""
    whole, point, rest = value.partition(".")
    return f"{int(whole):,}".replace(",", "\u202f") + point + rest


def _spaced(basis: str) -> str:
    return basis.replace("_", " ")


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "percent": _percent,
    "money": _money,
    "spaced": _spaced,
}


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
