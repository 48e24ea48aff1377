"""`python -m benchmarks.statement [--logs N] [RUN ...]`: is a statement right, and how sure?

Three questions. Does every statement sum to its pool (random logs)? Are corrected shares nearer to
the truth than the verdicts' means, and do the intervals cover it, where the world is generative
and its truth known? And the same on a finished run, whose val, test and OOD works no training has
seen. There the works are parted anew for every log, some for the confusion matrix (as many passages
as val has), the others for the log: so coverage is over works, and not over one parting of them. A
log takes no passage twice, and a work is a document, as in a real log. (Drawn with replacement,
2,000 texts would be a few hundred documents, or the same passages twenty times over as new ones.)
And over logs of 30 to 3,000 texts with holders that are not in them: is anybody paid who is absent?
The last line is one JSON object.
"""

import argparse
import json
from decimal import Decimal

import numpy as np

from benchmarks.support.known_logs import all_known_logs
from benchmarks.support.worlds import MODEL, world
from copylens.corpus import load_manifest
from copylens.fit.confusion import HeldOutShares
from copylens.fit.cross_fit import CrossFit
from copylens.fit.data import load_texts
from copylens.settlement import ScoringVersion, Terms, VerdictLog, make_statement
from copylens.settlement.correction import estimate
from copylens.settlement.statement import EQUAL
from copylens.store import storage
from copylens.verdict.scorer import Scorer

_SIZES = (200, 500, 2000)
# From logs of a few sources to logs of all alike.
_MIXTURES = (0.3, 1.0, 3.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", help="folders of finished runs")
    parser.add_argument("--logs", type=int, default=10_000)
    parser.add_argument("--worlds", type=int, default=600)
    parser.add_argument("--run-logs", type=int, default=400, help="drawn from each run")
    parser.add_argument("--known-logs", type=int, default=200, help="of each mixture and size")
    words = parser.parse_args()
    found = {"logs": words.logs, "sum_errors": sum_errors(words.logs), **generative(words.worlds)}
    found["known_logs"] = all_known_logs(words.known_logs)
    for run in words.runs:
        found[storage.name_of(run)] = on_run(run, words.run_logs)
    print(json.dumps(found))


def sum_errors(logs: int) -> int:
    """Statements over random logs whose lines, holders or totals miss the pool."""
    rng = np.random.default_rng(0)
    return sum(not _sums(rng) for _ in range(logs))


def _sums(rng: np.random.Generator) -> bool:
    K, texts = int(rng.integers(1, 12)), int(rng.integers(1, 40))
    names = tuple(f"s{k:02}" for k in range(K))
    shares = rng.dirichlet(np.full(K + 1, rng.choice([0.05, 1.0])), size=texts)
    rights = {
        name: {
            "holder": f"Holder {k // 2}",
            "license": "",
            "basis": str(rng.choice(["trained_on", "resemblance"])),
        }
        for k, name in enumerate(names)
    }
    ones = np.ones(texts, np.int64)
    log = VerdictLog(names, rights, shares, ones, texts, MODEL, 0, rng.bytes(32).hex())
    held = HeldOutShares(
        rng.dirichlet(np.ones(K + 1), size=4 * (K + 1)),
        np.repeat(np.arange(K + 1), 4),
        np.arange(4 * (K + 1)),
    )
    currency, digits = [("EUR", 2), ("JPY", 0), ("KWD", 3)][rng.integers(3)]
    pool = str(Decimal(int(rng.integers(1, 10**12))).scaleb(-digits))
    allow = (names[-1],) if K > 1 and rng.random() < 0.3 else ()
    version = ScoringVersion(names, held, "")
    fee = EQUAL if rng.random() < 0.5 else None
    made = make_statement(log, version, Terms(pool, currency, fee, allow), resamples=20)
    lines = sum(Decimal(line["amount"]) for line in made["lines"])
    holders = sum(Decimal(entry["amount"]) for entry in made["holders"])
    kept = Decimal(made["totals"]["kept"])
    return lines == Decimal(pool) == holders + kept and holders == Decimal(made["totals"]["paid"])


def generative(worlds: int) -> dict[str, object]:
    """Worlds with a known confusion; see support/worlds.py."""
    rng = np.random.default_rng(1)
    tally = Tally()
    for _ in range(worlds):
        made = world(rng, int(rng.integers(4, 17)), float(rng.uniform(0.6, 0.9)))
        mixture = rng.dirichlet(np.full(made.origins, rng.choice(_MIXTURES)))
        log = made.log(rng, mixture, int(rng.choice(_SIZES)))
        tally.add(log, np.arange(len(log)), made.held_out(rng), mixture)
    return tally.figures()


def on_run(run: str, logs: int) -> dict[str, object]:
    """Logs of a known mixture from a run's held-out works, by its own scorer."""
    val, known = _answers(run)
    rng = np.random.default_rng(2)
    tally, sizes = Tally(), []
    for _ in range(logs):
        held, rest = parted(known, val.counts, rng)
        mixture = rng.dirichlet(np.full(len(val.counts), rng.choice(_MIXTURES)))
        rows = draw(rest, mixture, rng)
        tally.add(rest.shares[rows], rest.groups[rows], held, mixture)
        sizes.append(len(rows))
    return {
        **tally.figures(),
        "logs": logs,
        "texts": [min(sizes), round(float(np.mean(sizes))), max(sizes)],
        "sub_datasets": len(val.counts) - 1,
        "of_one_held_out_work": int((val.group_counts[:-1] == 1).sum()),
    }


def parted(
    known: HeldOutShares, passages: np.ndarray, rng: np.random.Generator
) -> tuple[HeldOutShares, HeldOutShares]:
    """Works at random: of each origin enough for so many passages, and the rest, at least one."""
    first = np.zeros(len(known.labels), dtype=bool)
    for origin, wanted in enumerate(passages):
        mine = known.labels == origin
        for work in rng.permutation(np.unique(known.groups[mine]))[1:]:
            if first[mine].sum() >= wanted:
                break
            first |= mine & (known.groups == work)
    return _some(known, first), _some(known, ~first)


def _some(known: HeldOutShares, chosen: np.ndarray) -> HeldOutShares:
    return HeldOutShares(known.shares[chosen], known.labels[chosen], known.groups[chosen])


def draw(pool: HeldOutShares, mixture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of a log from the mixture, none twice.

    It has as many texts as the passages allow when every origin gets three standard deviations
    more than it should; that a log is drawn again for want of passages is then rare.
    """
    spread = 3 * np.sqrt(mixture * (1 - mixture))
    root = (np.sqrt(spread**2 + 4 * mixture * pool.counts) - spread) / np.maximum(2 * mixture, 1e-9)
    texts = int(np.min(root[mixture > 1e-9]) ** 2)
    counts = rng.multinomial(texts, mixture)
    while (counts > pool.counts).any():
        counts = rng.multinomial(texts, mixture)
    of = [np.flatnonzero(pool.labels == origin) for origin in range(len(mixture))]
    return np.concatenate([rng.choice(mine, n, replace=False) for mine, n in zip(of, counts)])


def _answers(run: str) -> tuple[HeldOutShares, HeldOutShares]:
    """What the scorer keeps of val, and the same of val, test and OOD together."""
    scorer = Scorer.load(storage.join(run, "model"))
    names = load_manifest(run).sub_datasets
    K, config = len(names), scorer.config.model_copy(update={"output": run})
    train, val, test, ood_test = (
        load_texts(config, split, names) for split in ("train", "val", "test", "ood_test")
    )
    if CrossFit.plan(config, train, val).folds:
        raise SystemExit(f"error: val of '{run}' shares works with train; name another run")
    kept = scorer.model.held_shares
    rows, origins = [kept.shares], [kept.labels]
    groups: list[tuple[str, str]] = [("val", str(n)) for n in kept.groups]
    for part, label in ((test, test.labels), (ood_test, np.full(len(ood_test), K))):
        scores = scorer.score(part.texts, part.states)
        rows.append(np.concatenate([scores.shares, scores.unregistered[:, None]], axis=1))
        origins.append(label)
        groups += list(part.groups)
    numbers = {group: n for n, group in enumerate(dict.fromkeys(groups))}
    places = np.array([numbers[group] for group in groups])
    return kept, HeldOutShares(np.concatenate(rows), np.concatenate(origins), places)


class Tally:
    """Errors and coverage over logs."""

    def __init__(self) -> None:
        self.errors: list[list[float]] = []
        self.covered: list[float] = []
        self.widths: list[float] = []

    def add(
        self, log: np.ndarray, documents: np.ndarray, held: HeldOutShares, truth: np.ndarray
    ) -> None:
        places = np.unique(documents, return_inverse=True)[1]
        sums = np.zeros((places.max() + 1, log.shape[1]))
        np.add.at(sums, places, log)
        found = estimate(sums, np.bincount(places), held, seed=len(self.errors), resamples=400)
        low, high = found.interval()
        self.errors.append([float(np.abs(s - truth).mean()) for s in (found.share, found.observed)])
        self.covered.append(float(((low <= truth + 1e-9) & (truth <= high + 1e-9)).mean()))
        self.widths.append(float((high - low).mean()))

    def figures(self) -> dict[str, object]:
        ours, raw = np.mean(self.errors, axis=0)
        return {
            "error_corrected": round(float(ours), 5),
            "error_observed": round(float(raw), 5),
            "error_ratio": round(float(ours / raw), 3),
            "coverage": round(float(np.mean(self.covered)), 3),
            "interval_width": round(float(np.mean(self.widths)), 4),
        }


if __name__ == "__main__":
    main()
