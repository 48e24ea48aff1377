"""What the cards at the top of a report say of its figures."""

from typing import Any

import pytest

from copylens.evaluation.report.wording import headlines
from tests.evaluation.report.test_html import report_with_figures


@pytest.mark.parametrize(
    ("ends", "tone", "word"),
    [
        ([0.01, 0.2], "good", "Better"),
        ([-0.2, -0.01], "bad", "Worse"),
        ([-0.1, 0.1], "open", "Not told apart"),
        (None, "open", "too few split groups"),
    ],
)
def test_the_comparison_says_what_its_interval_says(ends: Any, tone: str, word: str) -> None:
    report = report_with_figures()
    report["baselines"]["best_text"]["difference_ci95"] = ends
    card = headlines(report)[1]
    assert card.tone == tone
    assert word in card.meaning


@pytest.mark.parametrize(
    ("rate", "power", "tone", "word"),
    [
        (0.04, 0.6, "good", "60.0 %"),
        (0.08, 0.6, "bad", "Exceeded"),
        # No false alarm is no merit of a detector that never says anything.
        (0.0, 0.0, "bad", "hardly ever"),
        (0.04, None, "open", "power is open"),
    ],
)
def test_false_alarms_are_told_beside_the_power(
    rate: float, power: float | None, tone: str, word: str
) -> None:
    report = report_with_figures()
    report["conformal"]["false_alarm_rate"] = rate
    report["ood"]["power"] = power
    card = headlines(report)[3]
    assert card.tone == tone
    assert word in card.meaning
