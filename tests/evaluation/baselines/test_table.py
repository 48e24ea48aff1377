import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist

from copylens.evaluation.baselines import table as baselines
from copylens.evaluation.baselines import text_ood
from copylens.evaluation.baselines.bm25 import bm25_votes
from copylens.evaluation.baselines.linear import Split
from copylens.evaluation.baselines.text_ood import neighbour_distances
from copylens.records import Passage, SplitName

TOPICS = {
    "sea": ["ship", "sail", "wave", "harbour", "anchor", "gull", "tide", "mast", "deck", "storm"],
    "farm": ["cow", "field", "plough", "barn", "hay", "sheep", "furrow", "gate", "milk", "corn"],
    "town": [
        "street",
        "lamp",
        "shop",
        "coach",
        "crowd",
        "bridge",
        "clerk",
        "window",
        "bell",
        "smoke",
    ],
}
STRANGE = [
    "quark",
    "lepton",
    "boson",
    "photon",
    "gluon",
    "neutrino",
    "muon",
    "tensor",
    "spin",
    "charge",
]
COMMON = ["the", "and", "of", "to", "was", "in", "it", "on", "that", "with"]
NAMES = {"sea": "Ahab", "farm": "Bathsheba", "town": "Pip"}


def _text(words: list[str], name: str, rng: np.random.Generator) -> str:
    picks = [str(rng.choice(words if rng.random() < 0.4 else COMMON)) for _ in range(60)]
    picks[10] = picks[30] = name
    return "Here " + " ".join(picks) + "."


def _passages(split: SplitName, count: int, rng: np.random.Generator) -> list[Passage]:
    topics = {"none": STRANGE} if split.startswith("ood") else TOPICS
    return [
        Passage(
            id=f"{split}{i}{topic}",
            text=_text(words, NAMES.get(topic, "Zed"), rng),
            sub_dataset=topic,
            holder="h",
            license="l",
            title="t",
            source_url="u",
            split_group=f"{split}{i}",
            split=split,
        )
        for i in range(count)
        for topic, words in topics.items()
    ]


@pytest.fixture(scope="module")
def results() -> dict[str, baselines.BaselineResult]:
    rng = np.random.default_rng(0)
    parts = [_passages(split, 20, rng) for split in ("train", "val", "test", "ood_val", "ood_test")]
    return baselines.run_text_baselines(*parts, labels=sorted(TOPICS), seed=0)


def test_every_text_baseline_learns_topics(results: dict[str, baselines.BaselineResult]) -> None:
    assert list(results) == [
        "tfidf_word",
        "tfidf_char",
        "tfidf_word_masked",
        "tfidf_char_masked",
        "bm25",
    ]
    for name, result in results.items():
        assert result.probabilities.shape == (60, 3)
        np.testing.assert_allclose(result.probabilities.sum(axis=1), 1)
        assert result.accuracy == pytest.approx(result.correct.mean())
        assert result.accuracy >= 0.95, name


def test_strange_words_are_ood_by_either_score(
    results: dict[str, baselines.BaselineResult],
) -> None:
    masked = results["tfidf_word_masked"]
    assert set(masked.ood) == {"msp", "knn"}
    assert masked.auroc is not None and masked.auroc > 0.95
    assert masked.auroc == max(masked.ood.values(), key=lambda score: score.val_auroc).auroc
    assert masked.ood["knn"].k in text_ood.NEIGHBOURS
    assert results["bm25"].to_report()["auroc"] is None


def test_best_text_is_the_most_accurate(results: dict[str, baselines.BaselineResult]) -> None:
    best = baselines.best_text(results)
    assert best.accuracy == max(result.accuracy for result in results.values())


def test_without_ood_texts_ood_figures_are_not_measured() -> None:
    rng = np.random.default_rng(1)
    train, val, test = (_passages(split, 8, rng) for split in ("train", "val", "test"))
    found = baselines.run_text_baselines(train, val, test, [], [], sorted(TOPICS), 0)
    assert found["tfidf_word"].to_report()["auroc"] is None
    assert found["tfidf_char"].ood == {}


def test_k_is_chosen_on_val_and_never_on_test(monkeypatch: pytest.MonkeyPatch) -> None:
    # On val only the 1st neighbour separates, on test only the 5th.
    good, bad = (np.zeros(9), np.ones(9)), (np.ones(9), np.zeros(9))
    columns = {1: (good, bad), 5: (bad, good), 10: (bad, bad), 50: (bad, bad)}
    parts = {7: (0, 0), 8: (1, 0), 9: (0, 1), 10: (1, 1)}  # rows -> (is test, is OOD)

    def distances(references: object, queries: np.ndarray, ks: list[int]) -> np.ndarray:
        test, ood = parts[len(queries)]
        return np.array([np.resize(columns[k][test][ood], len(queries)) for k in ks]).T

    class Flat:
        def logits(self, features: np.ndarray) -> np.ndarray:
            return np.zeros((len(features), 2))

    def rows(n: int) -> np.ndarray:
        return np.zeros((n, 2))

    monkeypatch.setattr(text_ood, "neighbour_distances", distances)
    none = np.zeros(0, dtype=int)
    split = Split(rows(60), none, rows(7), none, rows(8), none, rows(9), rows(10))
    found = text_ood.ood_figures(split, Flat())["knn"]  # type: ignore[arg-type]
    assert (found.k, found.val_auroc, found.auroc) == (1, 1.0, 0.0)


@pytest.mark.parametrize("width", [6, 5000])
def test_neighbour_distances_match_scipy_on_dense_and_sparse(width: int) -> None:
    rng = np.random.default_rng(2)
    base, points = (rng.random((n, width)) * (rng.random((n, width)) < 0.3) for n in (40, 9))
    base[:, 0] = points[:, 0] = 0.1
    expected = np.sort(cdist(points, base, "cosine"), axis=1)[:, [0, 4]]
    for kind in (np.asarray, csr_matrix):
        found = neighbour_distances(kind(base), kind(points), [1, 5])
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_bm25_votes_by_hand() -> None:
    train = ["red apple pie", "green apple tart", "blue sea"]
    votes = bm25_votes(train, np.array([0, 0, 1]), ["apple", "sea", "nothing"], 2)
    np.testing.assert_allclose(votes, [[1, 0], [0, 1], [0.5, 0.5]])


def test_linear_probe_reads_fp16_states_of_any_scale() -> None:
    rng = np.random.default_rng(4)
    labels = np.arange(90) % 3
    states = rng.normal(size=(90, 6)) + 3 * np.eye(6)[labels]
    states[:, 5] = 7.0  # a constant feature
    states[:, 0] *= 3000  # sums overflow fp16
    half = states.astype(np.float16)
    strange = (rng.normal(size=(30, 6)) * [3000, 1, 1, 1, 1, 0] + [0, -9, -9, 9, 9, 7]).astype(
        np.float16
    )
    split = Split(half[:60], labels[:60], half[60:75], labels[60:75], half[75:], labels[75:],
                  strange[:15], strange[15:])  # fmt: skip
    found = baselines.run_linear_probe("linear_probe", split, 3, seed=0)
    assert found.name == "linear_probe"
    assert found.accuracy > 0.9
    assert found.ood["knn"].auroc > 0.85
