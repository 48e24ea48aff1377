"""Evidence on the development corpora and 60 MB of installed source code.

    python -m benchmarks.evidence [--seed 1] [--quotations 1000] [--code-mb 60]

Registered: the train passages of books and sources, and the installed distributions in the order
of their names, at most 4 MB of each. Planted: quotations of 20 to 200 words, evenly over these
sub-datasets, in test passages of other sub-datasets, which are not registered here. Found means:
ONE span from a sub-dataset that has the quotation covers four fifths of it. Wrong source: the
first span that lies mostly in the quotation is from a sub-dataset that does not have it; where a
quotation truly stands in two sub-datasets (searched for word by word, without the index) both are
right. Settings were chosen with --seed 0. Ends with one line of JSON.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # started by its path
    sys.path[0] = str(ROOT)

from benchmarks.support.quotations import Originals, Planted, plant, words_between  # noqa: E402
from benchmarks.support.registered import development, source_code, speed_texts  # noqa: E402
from copylens.evidence.building import build_index  # noqa: E402
from copylens.evidence.index import Citation, EvidenceIndex  # noqa: E402
from copylens.records import Passage  # noqa: E402

SHARES = (0.0, 0.05, 0.10)
COVERED = 0.8
CLOSE = 2


def measure_recall(
    index: EvidenceIndex, originals: Originals, planted: Iterable[Planted]
) -> dict[str, Any]:
    found, wrong, borders, cases = 0, 0, [], 0
    for case in planted:
        cases += 1
        items = index.trace(case.text)
        here = [item for item in items if _overlap(item, case) > 0.5 * (item.end - item.start)]
        right = [item for item in here if _is_right(item, case, originals)]
        wrong += bool(here) and here[0] not in right
        whole = [e for e in right if _overlap(e, case) >= COVERED * (case.end - case.start)]
        found += bool(whole)
        for item in whole[:1]:
            begin = words_between(case.text, item.start, case.start)
            borders.append(max(begin, words_between(case.text, item.end, case.end)))
    return {
        "cases": cases,
        "recall": found / cases,
        "wrong_source": wrong / cases,
        "border_words_p95": float(np.percentile(borders, 95)),
        "borders_within_2": float(np.mean(np.array(borders) <= CLOSE)),
    }


def _overlap(item: Citation, case: Planted) -> int:
    return min(item.end, case.end) - max(item.start, case.start)


def _is_right(item: Citation, case: Planted, originals: Originals) -> bool:
    same = item.sub_dataset == case.source.sub_dataset
    return same or originals.holds(item.sub_dataset, case.original)


def measure_speed(index: EvidenceIndex, texts: list[str]) -> dict[str, float]:
    for text in texts[:20]:
        index.trace(text)
    seconds = []
    for text in texts:
        start = time.perf_counter()
        index.trace(text)
        seconds.append(time.perf_counter() - start)
    return {
        "trace_p50_seconds": float(np.percentile(seconds, 50)),
        "trace_p95_seconds": float(np.percentile(seconds, 95)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quotations", type=int, default=1000, help="per share of changed words")
    parser.add_argument("--code-mb", type=float, default=60)
    words = parser.parse_args()
    passages = [*development("train"), *source_code(int(words.code_mb * 1e6))]
    hosts = development("test")
    corpus: dict[str, list[Passage]] = {}
    for passage in passages:
        corpus.setdefault(passage.sub_dataset, []).append(passage)
    size = sum(len(p.text.encode()) for p in passages)
    print(f"{len(passages)} passages, {len(corpus)} sub-datasets, {size / 1e6:.1f} MB", flush=True)
    folder = tempfile.mkdtemp()
    try:
        start, used = time.perf_counter(), time.process_time()
        manifest = build_index(folder, passages)
        seconds, used = time.perf_counter() - start, time.process_time() - used
        index = EvidenceIndex.open(folder)
        figures: dict[str, Any] = {
            "seed": words.seed,
            "corpus_bytes": size,
            "passages": len(passages),
            "sub_datasets": len(corpus),
            "build_mb_per_second": size / 1e6 / seconds,
            # On a machine that does other things as well this one tells more.
            "build_mb_per_cpu_second": size / 1e6 / used,
            "index_bytes_ratio": manifest.summary()["bytes"] / size,
            **measure_speed(index, speed_texts(passages, hosts, words.seed)),
        }
        print(json.dumps(figures), flush=True)
        originals = Originals(corpus)
        for share in SHARES:
            planted = plant(corpus, hosts, share, words.quotations, words.seed)
            found = measure_recall(index, originals, planted)
            print(json.dumps({"changed": share, **found}), flush=True)
            figures |= {f"{key}_{round(100 * share)}": value for key, value in found.items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
