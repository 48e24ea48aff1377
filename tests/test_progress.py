"""The lines a job's log gets: how many, how fast, how long still."""

import io

import pytest

from copylens.progress import LogLines, duration


def test_a_line_every_ten_seconds_with_rate_and_time_left():
    now = [0.0]
    out = io.StringIO()
    advance = LogLines("embed", 1000, "passages", out, clock=lambda: now[0])
    for second in range(1, 26):
        now[0] = float(second)
        advance(20)
    lines = out.getvalue().splitlines()
    assert lines[0] == "embed: 200 of 1,000 passages, 20.0 a second, 40 s left"
    assert lines[1] == "embed: 400 of 1,000 passages, 20.0 a second, 30 s left"
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(48, "48 s"), (720, "12 min"), (18720, "5.2 h"), (267840, "3.1 days"), (1e999, "unknown")],
)
def test_durations_for_people(seconds, told):
    assert duration(seconds) == told
