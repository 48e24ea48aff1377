"""Statements over logs whose shares are known: do intervals hold the truth, is the right one paid?

Six sub-datasets and `unregistered`; 20 to 60 held-out passages of each in 4 to 10 works; a log's
texts are drawn from the same kind, a document each. Every log has a world of its own.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from benchmarks.support.worlds import MODEL, World, world
from copylens.fit.confusion import HeldOutShares
from copylens.settlement import ScoringVersion, Terms, VerdictLog, make_statement

K = 6
NAMES = tuple(f"s{k}" for k in range(K))
RIGHTS = {name: {"holder": name, "license": "", "basis": "resemblance"} for name in NAMES}
SIZES = (30, 300, 3000)
# Shares of the six, and of `unregistered`.
MIXTURES = {
    "even": (1 / 7,) * 7,
    "uneven": (0.4, 0.2, 0.1, 0.05, 0.03, 0.02, 0.2),
    "three absent": (0.5, 0.2, 0.1, 0, 0, 0, 0.2),
    "half unregistered": (1 / 6, 1 / 6, 1 / 6, 0, 0, 0, 1 / 2),
}
# Accuracy of the verdicts' largest share, and how little works and texts scatter around it.
WORLDS = {"rough": ((0.6, 0.9), 30.0, 1.5), "sharp": ((0.85, 0.97), 60.0, 3.0)}


@dataclass
class KnownLogs:
    """What statements over logs of one mixture and size came to; a row each log."""

    mixture: np.ndarray
    held: list[np.ndarray] = field(default_factory=list)
    paid: list[np.ndarray] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)

    def add(self, made: dict) -> None:
        lines = {line["sub_dataset"]: line for line in made["lines"]}
        ordered = [lines[name] for name in (*NAMES, "unregistered")]
        low, high = (np.array([line[end] for line in ordered]) for end in ("low", "high"))
        self.held.append((low <= self.mixture + 1e-6) & (self.mixture <= high + 1e-6))
        self.paid.append(np.array([float(line["amount"]) for line in ordered[:K]]))
        self.widths.append(float((high - low).mean()))

    def figures(self) -> dict[str, object]:
        """Coverage over logs, lines with a share apart from those without; of 100,000 paid."""
        by_line, paid = np.mean(self.held, axis=0), np.array(self.paid)
        there = self.mixture > 0
        absent, present = paid[:, ~there[:K]], paid[:, there[:K]]
        return {
            "coverage": round(float(by_line[there].mean()), 3),
            "coverage_by_line": [round(float(value), 3) for value in by_line],
            "width": round(float(np.mean(self.widths)), 3),
            "absent_paid": round(float(absent.sum(axis=1).mean()), 1),
            "logs_that_pay_absent": round(float((absent > 0).any(axis=1).mean()), 3),
            "present_paid": round(float(present.sum(axis=1).mean())),
            "lines_paid": [round(float(value), 2) for value in (present > 0).mean(axis=0)],
        }


def known_logs(
    kind: str, mixture: str, texts: int, logs: int, resamples: int = 1000, fee: str | None = None
) -> dict[str, object]:
    """Figures over so many logs of one mixture, each with its own world and held-out works."""
    rng = np.random.default_rng([texts, len(mixture), len(kind)])
    shares = np.array(MIXTURES[mixture])
    (least, most), document_spread, text_spread = WORLDS[kind]
    found = KnownLogs(shares)
    for number in range(logs):
        rows = world(rng, K, float(rng.uniform(least, most))).rows
        made = World(rows, document_spread, text_spread)
        held, log = held_out(made, rng), made.log(rng, shares, texts)
        sha256 = hashlib.sha256(f"{kind} {mixture} {texts} {number}".encode()).hexdigest()
        ones = np.ones(texts, np.int64)
        verdicts = VerdictLog(NAMES, RIGHTS, log, ones, texts, MODEL, 0, sha256)
        terms = Terms("100000", "EUR", fee)
        found.add(make_statement(verdicts, ScoringVersion(NAMES, held, ""), terms, resamples))
    return found.figures()


def held_out(made: World, rng: np.random.Generator) -> HeldOutShares:
    """20 to 60 passages of each origin in 4 to 10 works."""
    labels, groups = [], []
    for origin in range(made.origins):
        passages, works = int(rng.integers(20, 61)), int(rng.integers(4, 11))
        labels += [origin] * passages
        groups += [100 * origin + int(work) for work in rng.integers(0, works, passages)]
    return HeldOutShares(
        made.shares(rng, np.array(labels), np.array(groups)), np.array(labels), np.array(groups)
    )


def all_known_logs(logs: int) -> dict[str, object]:
    """Every kind of world, mixture and size."""
    return {
        f"{kind}, {mixture}, {texts} texts": known_logs(kind, mixture, texts, logs)
        for kind in WORLDS
        for mixture in MIXTURES
        for texts in SIZES
    }
