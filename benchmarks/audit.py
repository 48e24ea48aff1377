"""`python -m benchmarks.audit`: is training found where it was, nowhere else, and on how little?

Two LMs whose training data is known to the passage ($COPYLENS_SHARED/models): one has read eighteen
sub-datasets, the other nine of them. Non-members are passages of the same books and domains that
neither has read (id buckets 0 and 1).

- all_found, minus_found, minus_false: sub-datasets with a Holm-corrected p below 0.05.
- passages_for_power_0.9: members, and as many non-members, at which a test at the level 0.05 / K
  (what Holm asks of the first of K sub-datasets) finds nine of ten read sub-datasets; mean over
  the K that the first LM has read, over random samples of passages. The whole curve goes to
  OUT/power.json. null: not within what there is.
- false_alarms: share of p-values below 0.05 with members drawn anew (shuffled), and of the nine
  unread sub-datasets.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from copylens.audit.battery import (
    LEARNED,
    PUBLISHED_TESTS,
    PassageScores,
    direction_from,
    learned_scores,
    score_all,
)
from copylens.audit.findings import DECIDING, SELF, find, self_compared
from copylens.audit.passages import audit_passages, audited
from copylens.audit.permutation import p_values
from copylens.audit.reading import Reader, load_reading, plan_readings
from copylens.config.load import build_config
from copylens.config.schema import RunConfig
from copylens.corpus import ingest_corpus
from copylens.corpus.manifest import MANIFEST, corpus_uri
from copylens.store import storage

LMS = ("neox-2.5m-all", "neox-2.5m-minus")
TESTS = (*PUBLISHED_TESTS, LEARNED, "decision", SELF)
SIZES = (6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
UNREAD = (
    "arthur_conan_doyle",
    "charlotte_bronte",
    "george_eliot",
    "joseph_conrad",
    "rudyard_kipling",
    "arxiv_abstracts",
    "freelaw_opinions",
    "pubmed_abstracts",
    "uspto_backgrounds",
)
ALPHA, POWER = 0.05, 0.9


def main() -> None:
    """Reads what was not read yet, tests, and prints the JSON line last."""
    torch.set_num_threads(1)
    asked = _arguments()
    runs = {name: _config(asked, lm) for name, lm in zip(("all", "minus"), LMS)}
    scored = {name: read(config) for name, config in runs.items()}
    names = audited(runs["all"])
    found = {
        name: find(scored[name], names, config.audit, config.seed) for name, config in runs.items()
    }
    for name, entries in found.items():
        for entry in entries.values():
            tell(f"{name}: {entry['sentence']}")
        storage.write_json(storage.join(asked.out, f"findings-{name}.json"), entries)
    curve = power_curve(scored["all"], names, asked.repeats)
    storage.write_json(storage.join(asked.out, "power.json"), curve)
    needed = {test: passages_needed(curve[test]) for test in TESTS}
    single = {test: n for test, n in needed.items() if n is not None and test != "decision"}
    figures = {
        "all_found": len(trained(found["all"])),
        "minus_found": len(trained(found["minus"]) - set(UNREAD)),
        "minus_false": len(trained(found["minus"]) & set(UNREAD)),
        "passages_for_power_0.9": needed,
        "best_test": min(single, key=lambda test: single[test]) if single else None,
        "self_comparison": {name: by_self(entries) for name, entries in found.items()},
        "false_alarms": {
            "shuffled": false_alarms(scored["all"], names, 8 * asked.repeats),
            "unread": unread_alarms(found["minus"]),
        },
        "level": ALPHA / len(names),
    }
    print(json.dumps(figures))


def read(config: RunConfig) -> dict[str, PassageScores]:
    """Scores of all audited passages; what is on disk is not read again."""
    if not storage.exists(corpus_uri(config.output, MANIFEST)):
        ingest_corpus(config)
    items = audit_passages(config)
    tasks = plan_readings(config, items)
    pending = [task for task in tasks if not task.done]
    reader = Reader(config) if pending else None
    for task in pending:
        assert reader is not None
        reader(task)
        tell(f"read {task.sub_dataset}: {task.passages} passages")
    readings = {task.sub_dataset: load_reading(task) for task in tasks}
    return score_all(items, readings, config.audit, config.seed)


def power_curve(
    scored: Mapping[str, PassageScores], names: Sequence[str], repeats: int
) -> dict[str, dict[int, float]]:
    """Test -> passages of each kind -> share of samples with p below the level, over all names."""
    level = ALPHA / len(names)
    hits: dict[str, dict[int, list[float]]] = {test: {n: [] for n in SIZES} for test in TESTS}
    for number, name in enumerate(names):
        others = {other: item for other, item in scored.items() if other != name}
        weights, _ = direction_from(others)
        generator = np.random.default_rng([7, number])
        for n in SIZES:
            for repeat in range(repeats):
                some = sample(scored[name], n, generator)
                if some is None:
                    continue
                found = sample_p_values(some, others, weights, level, repeat)
                for test, p_value in found.items():
                    hits[test][n].append(p_value < level)
        tell(f"power: {name} done")
    return {
        test: {n: float(np.mean(some)) for n, some in by_size.items() if some}
        for test, by_size in hits.items()
    }


def sample(scored: PassageScores, n: int, generator: np.random.Generator) -> PassageScores | None:
    """`n` members and `n` others; None where there are too few."""
    sides = [np.flatnonzero(scored.member == side) for side in (True, False)]
    if min(map(len, sides)) < n:
        return None
    rows = np.concatenate([generator.choice(side, n, replace=False) for side in sides])
    return PassageScores(
        tuple(scored.groups[i] for i in rows),
        scored.member[rows],
        scored.published[rows],
        scored.features[rows],
        scored.increases[rows],
    )


def shuffled(scored: PassageScores, generator: np.random.Generator) -> PassageScores:
    """The same passages with membership labels permuted as under the null hypothesis."""
    units, member = scored.units, scored.member.copy()
    drawn = units.member.copy()
    for mine in units.strata:
        drawn[mine] = generator.permutation(drawn[mine])
    kept = units.unit_of >= 0
    member[kept] = drawn[units.unit_of[kept]]
    return replace(scored, member=member)


def sample_p_values(
    some: PassageScores,
    others: Mapping[str, PassageScores],
    weights: Any,
    level: float,
    seed: int,
) -> dict[str, float]:
    """P-value of every test on a sample."""
    units, learned = learned_scores(some, weights, seed)
    if not len(units.member):
        return dict.fromkeys(TESTS, 1.0)
    scores = np.hstack([some.published, learned])
    found = dict(
        zip(
            (*PUBLISHED_TESTS, LEARNED),
            p_values(units, scores, round(6 / level), seed),
            strict=True,
        )
    )
    found["decision"] = min(1.0, len(DECIDING) * min(found[test] for test in DECIDING))
    alone = self_compared(some, others)["p_value"]
    found[SELF] = 1.0 if alone is None else alone
    return {test: float(p_value) for test, p_value in found.items()}


def passages_needed(curve: Mapping[int, float]) -> int | None:
    """The smallest size from which on the power stays at `POWER`."""
    enough = None
    for n in sorted(curve, reverse=True):
        if curve[n] < POWER:
            break
        enough = n
    return enough


def false_alarms(
    scored: Mapping[str, PassageScores], names: Sequence[str], repeats: int
) -> dict[str, float]:
    """Share of p-values below 0.05 where members are drawn anew, as the null hypothesis has it."""
    below: dict[str, list[bool]] = {test: [] for test in TESTS if test != SELF}
    for number, name in enumerate(names):
        others = {other: item for other, item in scored.items() if other != name}
        weights, _ = direction_from(others)
        generator = np.random.default_rng([11, number])
        for repeat in range(repeats):
            found = sample_p_values(shuffled(scored[name], generator), {}, weights, ALPHA, repeat)
            for test, some in below.items():
                some.append(found[test] < ALPHA)
    return {test: round(float(np.mean(some)), 4) for test, some in below.items()}


def unread_alarms(entries: Mapping[str, Any]) -> dict[str, int]:
    """Test -> how many of the nine unread sub-datasets have an uncorrected p below 0.05."""
    tests = {
        test: [entries[name]["tests"][test]["p_value"] for name in UNREAD]
        for test in TESTS
        if test != "decision"
    }
    tests["decision"] = [entries[name]["p_value"] for name in UNREAD]
    return {test: sum(p is not None and p < ALPHA for p in some) for test, some in tests.items()}


def by_self(entries: Mapping[str, Any]) -> dict[str, int]:
    """Self-Comparison alone: how many it finds, of the read and of the unread nine."""
    corrected = {n for n, e in entries.items() if (e["tests"][SELF]["p_holm"] or 1) < ALPHA}
    plain = {n for n, e in entries.items() if (e["tests"][SELF]["p_value"] or 1) < ALPHA}
    return {
        "holm": len(corrected),
        "holm_of_nine": len(corrected & set(UNREAD)),
        "uncorrected": len(plain),
        "uncorrected_of_nine": len(plain & set(UNREAD)),
    }


def trained(entries: Mapping[str, Any]) -> set[str]:
    """The sub-datasets that the audit says the LM was trained on."""
    return {name for name, entry in entries.items() if entry["finding"] == "trained on"}


def tell(line: str) -> None:
    """One line for whoever watches."""
    print(line, file=sys.stderr, flush=True)


def _config(asked: Any, lm: str) -> RunConfig:
    data = Path(asked.shared) / "data"
    return build_config(
        {
            "output": str(Path(asked.out) / lm),
            "corpus": {
                "paths": [str(data / f"{name}.jsonl.gz") for name in ("books", "sources")],
                "ood_paths": [str(data / f"{name}_ood.jsonl.gz") for name in ("books", "sources")],
            },
            "probe": {"model": str(Path(asked.shared) / "models" / lm)},
            "audit": {"unread_buckets": [0, 1], "passages": asked.passages},
        }
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shared", default=os.environ.get("COPYLENS_SHARED", "../shared"))
    parser.add_argument("--out", default="runs/audit", help="readings are kept there")
    parser.add_argument("--passages", type=int, default=64, help="members per sub-dataset")
    parser.add_argument("--repeats", type=int, default=10, help="samples per size and name")
    asked = parser.parse_args()
    if not (Path(asked.shared) / "models").is_dir():
        print(f"error: no models in '{asked.shared}'; give --shared", file=sys.stderr)
        raise SystemExit(2)
    return asked


if __name__ == "__main__":
    main()
