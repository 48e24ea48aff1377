"""A log of verdicts, as `copylens score` and `python -m ray_jobs.score` write it, summed up."""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from copylens.errors import SettlementError
from copylens.records import FloatArray, IntArray, name_of
from copylens.store import storage
from copylens.store.markers import facts_of

# Documents beyond so many are resampled in bundles: sums over bundles have the same variance.
BUNDLES = 4096
_SUFFIXES = (".jsonl", ".jsonl.gz")
_RIGHTS = ("holder", "license", "basis")
# What earlier versions wrote as a share's basis.
_EARLIER_BASES = {"": "resemblance", "contribution": "trained_on"}


@dataclass(frozen=True)
class VerdictLog:
    """A log, aggregated for a statement.

    Attributes:
        sub_datasets: K names, sorted.
        rights: sub-dataset -> holder, license and basis as the verdicts name them.
        sums: [D, K + 1] shares of each bundle of documents, `unregistered` last.
        texts: [D] verdicts in each bundle.
        documents: number of documents; rows without a document or an id are one each.
        model: identity of the one model that made all verdicts.
        carried: verdicts of an earlier version that `rescore` carried over.
        sha256: of the verdicts' lines, however they are cut into files.
    """

    sub_datasets: tuple[str, ...]
    rights: dict[str, dict[str, str]]
    sums: FloatArray
    texts: IntArray
    documents: int
    model: dict[str, Any]
    carried: int
    sha256: str

    def ordered(self, sub_datasets: tuple[str, ...]) -> FloatArray:
        """`sums` in another order of the same sub-datasets."""
        columns = [self.sub_datasets.index(name) for name in sub_datasets]
        return np.asarray(self.sums[:, [*columns, len(columns)]])


def read_log(uri: str) -> VerdictLog:
    """Reads a file or folder of verdicts; any URI.

    Raises:
        SettlementError: there is no verdict, one cannot be read, or several versions made them.
    """
    tally = _Tally()
    for file, content in log_files(uri):
        for number, line in enumerate(content.splitlines(), start=1):
            if line.strip():
                tally.add(line, f"{storage.shown(file)}, line {number}")
    return tally.result(storage.shown(uri))


def log_files(uri: str) -> Iterator[tuple[str, bytes]]:
    """The files of a log in order, each with its content, unpacked.

    Raises:
        SettlementError: there is none, the log is not scored to its end, or a file is damaged.
    """
    for file in _files(uri):
        data = storage.read_bytes(file)
        facts = facts_of(file)
        if facts is not None and facts["sha256"] != storage.sha256(data):
            raise SettlementError(f"'{storage.shown(file)}' is damaged; score that log again")
        yield file, gzip.decompress(data) if file.endswith(".gz") else data


def _files(uri: str) -> list[str]:
    if storage.name_of(uri).endswith(_SUFFIXES):
        if not storage.exists(uri):
            raise SettlementError(f"there is no log at '{storage.shown(uri)}'")
        return [uri]
    plan = storage.join(uri, "input.json")
    if storage.exists(plan):
        count = len(storage.read_json(plan)["shards"])
        files = [storage.join(uri, f"part-{number:05d}.jsonl") for number in range(count)]
        missing = sum(facts_of(file) is None for file in files)
        if missing:
            raise SettlementError(
                f"'{storage.shown(uri)}' lacks {missing} of {count} shards; let score finish"
            )
        return files
    files = [file for suffix in _SUFFIXES for file in storage.list_files(uri, suffix)]
    if not files:
        raise SettlementError(
            f"'{storage.shown(uri)}' holds no verdicts; name a folder that score wrote, or a "
            ".jsonl[.gz] of verdicts"
        )
    return sorted(files)


@dataclass
class _Tally:
    """Aggregates verdicts one by one; memory does not grow with the length of the log."""

    names: tuple[str, ...] = ()
    rights: dict[str, dict[str, str]] = field(default_factory=dict)
    sums: FloatArray | None = None
    texts: IntArray = field(default_factory=lambda: np.zeros(BUNDLES, np.int64))
    documents: int = 0
    models: Counter[str] = field(default_factory=Counter)
    carried: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    _places: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, line: bytes, where: str) -> None:
        try:
            row = json.loads(line)
            shares = {item["sub_dataset"]: float(item["share"]) for item in row["shares"]}
            unregistered, model = float(row["unregistered"]), json.dumps(row["model"])
        except (ValueError, KeyError, TypeError) as error:
            raise SettlementError(
                f"{where}: no verdict ({error!r}); see docs/statement.md"
            ) from None
        if self.sums is None:
            self.names = tuple(sorted(shares))
            self.sums = np.zeros((BUNDLES, len(shares) + 1))
        self.models[model] += 1
        # Versions may differ in their sub-datasets; the one line at the end says what to do.
        if len(self.models) == 1:
            self._check(shares, unregistered, where)
            self._take_rights(row["shares"], where)
            place = self._place(row)
            values = [*(shares[name] for name in self.names), unregistered]
            self.sums[place] += values
            self.texts[place] += 1
        self.carried += "carried_from" in row
        self.digest.update(line.strip() + b"\n")

    def result(self, uri: str) -> VerdictLog:
        if self.sums is None:
            raise SettlementError(f"'{uri}' holds no verdict")
        if len(self.models) > 1:
            raise SettlementError(_mixed(uri, self.models))
        used = self.texts > 0
        return VerdictLog(
            self.names,
            self.rights,
            self.sums[used],
            self.texts[used],
            self.documents,
            json.loads(next(iter(self.models))),
            self.carried,
            self.digest.hexdigest(),
        )

    def _check(self, shares: dict[str, float], unregistered: float, where: str) -> None:
        if tuple(sorted(shares)) != self.names:
            raise SettlementError(f"{where}: other sub-datasets than in the verdicts before it")
        values = [*shares.values(), unregistered]
        if not all(0 <= value <= 1 for value in values) or abs(sum(values) - 1) > 1e-3:
            raise SettlementError(f"{where}: shares must lie in [0, 1] and sum to 1")

    def _take_rights(self, shares: list[dict[str, Any]], where: str) -> None:
        for item in shares:
            found = {key: str(item.get(key) or "") for key in _RIGHTS}
            found["basis"] = current_basis(found["basis"])
            if self.rights.setdefault(item["sub_dataset"], found) != found:
                raise SettlementError(
                    f"{where}: holder, licence or basis of '{item['sub_dataset']}' differs from "
                    "the verdicts before it; a statement takes the verdicts of one version"
                )

    def _place(self, row: dict[str, Any]) -> int:
        """The bundle that a verdict's document belongs to."""
        # A document and an id of the same name are two.
        key = next(
            ((field, name) for field in ("document", "id") if (name := name_of(row.get(field)))),
            None,
        )
        if key is not None and key in self._places:
            return self._places[key]
        place = self.documents % BUNDLES
        self.documents += 1
        if key is not None:
            self._places[key] = place
        return place


def current_basis(basis: str | None) -> str:
    """A share's basis in today's terms; verdicts of earlier versions used others, or none."""
    return _EARLIER_BASES.get(basis or "", basis or "")


def _mixed(uri: str, models: Counter[str]) -> str:
    said = ", ".join(
        f"{found['name']} version {found['version']} ({count:,} texts)"
        for found, count in ((json.loads(model), n) for model, n in models.most_common())
    )
    return (
        f"'{uri}' mixes verdicts of several models: {said}; make one statement for each, or bring "
        "the older ones up to the newer version with `copylens rescore`"
    )
