"""Other indexes on the corpus of `benchmarks.evidence`.

infini-gram (its suffix array over bytes, `attribute`: exact spans), bm25s and tantivy (BM25) beside
our own, each built from the same passages and asked the same texts of 2,000 characters. What is not
installed is null: none of them but bm25s is needed by CopyLens. Ends with one line of JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.registered import development, source_code, speed_texts
from copylens.evidence.building import build_index
from copylens.evidence.index import EvidenceIndex
from copylens.records import Passage

# Of a slow index fewer texts are asked.
ASKED = 40
# Eight words of English, in bytes.
SPAN_BYTES = 40

Query = Callable[[str], object]


def timed(query: Query, texts: Sequence[str]) -> dict[str, float]:
    for text in texts[:5]:
        query(text)
    seconds = []
    for text in texts:
        start = time.perf_counter()
        query(text)
        seconds.append(time.perf_counter() - start)
    p50, p95 = np.percentile(seconds, [50, 95])
    return {"p50_seconds": float(p50), "p95_seconds": float(p95)}


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def ours(passages: list[Passage], folder: Path) -> dict[str, Query]:
    build_index(str(folder), passages)
    index = EvidenceIndex.open(str(folder))
    return {"trace": index.trace, "nearest": index.nearest}


def infini_gram(passages: list[Passage], folder: Path) -> dict[str, Query]:
    from infini_gram.engine import InfiniGramEngine

    with tempfile.TemporaryDirectory() as data:
        lines = (json.dumps({"text": p.text}) + "\n" for p in passages)
        Path(data, "corpus.jsonl").write_text("".join(lines))
        words = ["--data_dir", data, "--save_dir", str(folder), "--token_dtype", "u8"]
        words += ["--cpus", "2", "--mem", "8", "--ulimit", "4096", "--add_unigram"]
        command = [sys.executable, "-m", "infini_gram.indexing", *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    engine = InfiniGramEngine(
        str(folder),
        eos_token_id=0,
        vocab_size=255,
        token_dtype="u8",
        precompute_unigram_logprobs=True,
    )

    def attribute(text: str) -> object:
        found = engine.attribute(list(text.encode()), [], SPAN_BYTES, 10, False)
        assert "spans" in found, found
        return found

    return {"trace": attribute}


def bm25s_index(passages: list[Passage], folder: Path) -> dict[str, Query]:
    import bm25s

    retriever = bm25s.BM25()
    tokens = bm25s.tokenize([p.text for p in passages], stopwords=None, show_progress=False)
    retriever.index(tokens, show_progress=False)
    retriever.save(str(folder))

    def nearest(text: str) -> object:
        query = bm25s.tokenize([text], stopwords=None, show_progress=False)
        return retriever.retrieve(query, k=50, show_progress=False, n_threads=1)

    return {"nearest": nearest}


def tantivy_index(passages: list[Passage], folder: Path) -> dict[str, Query]:
    import tantivy

    schema = tantivy.SchemaBuilder().add_text_field("text", stored=False).build()
    folder.mkdir(parents=True, exist_ok=True)
    index = tantivy.Index(schema, path=str(folder))
    writer = index.writer(num_threads=1)
    for passage in passages:
        writer.add_document(tantivy.Document(text=passage.text))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def nearest(text: str) -> object:
        query, _ = index.parse_query_lenient(text, ["text"])
        return searcher.search(query, 50)

    return {"nearest": nearest}


INDEXES = {
    "copylens": (ours, "copylens"),
    "infini_gram": (infini_gram, "infini_gram"),
    "bm25s": (bm25s_index, "bm25s"),
    "tantivy": (tantivy_index, "tantivy"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code-mb", type=float, default=60)
    parser.add_argument("--only", nargs="*", choices=list(INDEXES), default=list(INDEXES))
    words = parser.parse_args()
    passages = [*development("train"), *source_code(int(words.code_mb * 1e6))]
    size = sum(len(p.text.encode()) for p in passages)
    texts = speed_texts(passages, development("test"), 1)
    texts = texts[:: len(texts) // ASKED]
    figures: dict[str, Any] = {"corpus_bytes": size}
    for name in words.only:
        build, module = INDEXES[name]
        figures[name] = None
        if find_spec(module) is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            queries = build(passages, Path(folder, "index"))
            seconds = time.perf_counter() - start
            figures[name] = {
                "build_mb_per_second": size / 1e6 / seconds,
                "bytes_ratio": size_of(Path(folder, "index")) / size,
                **{what: timed(query, texts) for what, query in queries.items()},
            }
        print(json.dumps({name: figures[name]}), flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
