"""Logs whose shares are known: intervals hold them, and nobody absent is paid.

The promise of docs/statement.md in small; benchmarks/statement.py is its full measure.
"""

import numpy as np
import pytest

from benchmarks.support.known_logs import MIXTURES, NAMES, RIGHTS, known_logs
from benchmarks.support.worlds import MODEL, certain
from copylens.fit.confusion import HeldOutShares
from copylens.settlement import ScoringVersion, Terms, VerdictLog, make_statement
from copylens.settlement.pages import as_html

LOGS, RESAMPLES = 40, 500


@pytest.mark.parametrize("texts", [30, 300, 3000])
@pytest.mark.parametrize("mixture", ["uneven", "three absent"])
def test_intervals_hold_the_truth_and_the_absent_get_nothing_to_speak_of(mixture, texts) -> None:
    found = known_logs("sharp", mixture, texts, LOGS, RESAMPLES)
    # Of some 200 lines; the full measure lies between 0.87 and 0.95.
    assert 0.82 < found["coverage"] < 0.98
    there = np.array(MIXTURES[mixture]) > 0
    assert np.array(found["coverage_by_line"])[~there].min(initial=1) > 0.9
    assert found["absent_paid"] < 500, "of 100,000"


def test_an_equal_fee_pays_the_absent_what_the_shares_alone_do_not() -> None:
    alone, equal = (
        known_logs("rough", "three absent", 30, 15, RESAMPLES, fee) for fee in (None, "equal")
    )
    assert alone["absent_paid"] < 500 < 10_000 < equal["absent_paid"]


def statement(counts: list[int], fee: object = None) -> dict:
    """A statement over verdicts that are certain and right; counts end with `unregistered`."""
    log = np.eye(7)[np.repeat(np.arange(7), counts)]
    ones = np.ones(len(log), np.int64)
    verdicts = VerdictLog(NAMES, RIGHTS, log, ones, len(log), MODEL, 0, "ab" * 32)
    return make_statement(
        verdicts, ScoringVersion(NAMES, certain(7), ""), Terms("1000", "EUR", fee)
    )


def test_payment_follows_the_shares_and_a_share_of_nothing_is_paid_nothing() -> None:
    made = statement([50, 25, 0, 0, 0, 0, 25])
    paid = {line["sub_dataset"]: (line["kind"], line["amount"]) for line in made["lines"]}
    assert paid["s0"] == ("paid", "500.00") and paid["s1"] == ("paid", "250.00")
    assert paid["unregistered"] == ("unregistered", "250.00")
    assert {paid[f"s{k}"] for k in range(2, 6)} == {("unclear", "0.00")}
    assert made["totals"]["kept_unclear"] == "0.00" and made["method"]["trust"] == 1
    assert [entry["holder"] for entry in made["holders"]] == ["s0", "s1"]
    assert any("4 of 6 sub-datasets cannot be told from absent" in said for said in made["limits"])


def test_the_part_of_a_line_that_may_be_nothing_is_kept_and_said() -> None:
    """Verdicts that hardly tell s0 from s1: neither is shown to be there, and neither is paid."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(7), 60)
    rows = np.eye(7) * 0.9 + 0.1 / 7
    rows[:2, :2] = 0.45
    shares = np.stack([rng.dirichlet(50 * rows[label]) for label in labels])
    held = HeldOutShares(shares, labels, np.arange(len(labels)) // 3)
    log = np.stack([rng.dirichlet(50 * rows[k]) for k in np.repeat([0, 2, 6], 100)])
    ones = np.ones(len(log), np.int64)
    verdicts = VerdictLog(NAMES, RIGHTS, log, ones, len(log), MODEL, 0, "cd" * 32)
    made = make_statement(verdicts, ScoringVersion(NAMES, held, ""), Terms("1000", "EUR"))
    lines = {line["sub_dataset"]: line for line in made["lines"]}
    assert [lines[name]["kind"] for name in ("s0", "s1", "s2")] == ["unclear", "unclear", "paid"]
    assert lines["s0"]["share"] + lines["s1"]["share"] == pytest.approx(1 / 3, abs=0.05)
    assert as_html(made).count("may be absent") == 5 and "of it unclear" in as_html(made)
    kept = float(made["totals"]["kept_unclear"])
    assert kept == pytest.approx(333, abs=60)
    assert float(lines["unregistered"]["amount"]) == pytest.approx(333 + kept, abs=40)
    assert sum(float(line["amount"]) for line in made["lines"]) == pytest.approx(1000)


@pytest.mark.parametrize(("texts", "said"), [(99, True), (100, False)])
def test_a_log_too_small_for_its_intervals_says_so_first(texts, said) -> None:
    made = statement([texts - 10, 0, 0, 0, 0, 0, 10])
    assert made["limits"][0].startswith(f"The log has {texts} texts: fewer than 100") == said


def test_who_has_no_part_and_no_fee_shares_nothing_even_where_nothing_is_registered() -> None:
    made = statement([0, 0, 0, 0, 0, 0, 40])
    assert (made["totals"]["paid"], made["totals"]["kept"]) == ("0.00", "1000.00")
    assert statement([0, 0, 0, 0, 0, 0, 40], "equal")["terms"]["fee"] == "equal"
