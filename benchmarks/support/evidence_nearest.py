"""What each ranking of nearest passages is worth, in a RUN.

RUN is the output of a run that has ingested and embedded. Its train passages are indexed with their
states, and each of 400 test passages asks for its five nearest, by BM25, by mean states, and by
both. `first` and `all_five`: the share of the nearest one, and of all five, that is of the test
passage's own sub-dataset (its split group is another one). Ends with one line of JSON.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from copylens.corpus import read_split, shard_uris
from copylens.evidence.building import (
    add_vectors,
    build_task,
    plan_index,
    publish_index,
)
from copylens.evidence.index import EvidenceIndex
from copylens.evidence.vectors import publish_mean_states
from copylens.states.shards import read_states, shard_uri

ASKED = 400
PART = 16_000


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    output = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        tasks = plan_index(folder, read_split(output, "train"), PART)
        mean_states = []
        for number, shard in enumerate(shard_uris(output, "train")):
            mean_states.append(str(Path(folder, "mean_states", str(number))))
            publish_mean_states(shard_uri(output, "train", shard), mean_states[-1])
        for task in tasks:
            build_task(task)
        add_vectors(tasks, "measured", mean_states)
        publish_index(folder, tasks, "", PART, "measured")
        index = EvidenceIndex.open(folder)
        texts = {p.id: p.text for p in read_split(output, "test")}
        rows = [
            row
            for shard in shard_uris(output, "test")
            for row in read_states(shard_uri(output, "test", shard))
        ]
        rows = rows[:: max(1, len(rows) // ASKED)]
        hits: dict[str, list[list[bool]]] = {"bm25": [], "states": [], "fused": []}
        for row in rows:
            text, states = texts[row.id], row.states.values
            found = {
                "bm25": index.nearest(text),
                # A word that no passage has: only the states speak.
                "states": index.nearest("\u0416" * 20, states),
                "fused": index.nearest(text, states),
            }
            for name, items in found.items():
                hits[name].append([item.sub_dataset == row.sub_dataset for item in items])
    figures = {
        name: {
            "first": float(np.mean([some[0] for some in table])),
            "all_five": float(np.mean([np.mean(some) for some in table])),
        }
        for name, table in hits.items()
    }
    print(json.dumps({"run": Path(output).name, "asked": len(rows), **figures}))


if __name__ == "__main__":
    main()
